/* SPDX-License-Identifier: MIT */
#include "content/view.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

static const struct tfs_view *const views[TFS_VIEW_IDS] = {
	[TFS_RAW] = &tfs_view_raw,
	[TFS_NPY] = &tfs_view_npy,
	[TFS_F32] = &tfs_view_f32,
};

/* tensors/NAME: the bytes, and nothing else. */
const struct tfs_view tfs_view_raw = { 0 };

/* Elements that the last block has room for, but the tensor lacks. */
static uint32_t missing_elems(const struct tfs_tensor *t)
{
	uint32_t block = t->dtype->block_elems, elems = 1;

	/* Only the product's remainder modulo whole blocks matters. */
	for (unsigned i = 0; i < t->ndim; i++)
		elems = (uint32_t)(elems * (t->shape[i] % block) % block);
	return (block - elems % block) % block;
}

/* The bytes of the view's file without its prefix. -ENOENT: there is none; -EOVERFLOW: it would be larger than a file can be. */
static int shown_bytes(const struct tfs_view *v, const struct tfs_tensor *t, uint64_t *ret_bytes)
{
	uint64_t bytes = t->nbytes;

	if (v->shows && !v->shows(t))
		return -ENOENT;
	if (v->convert) {
		if (ckd_mul(&bytes, t->nbytes / t->dtype->block_bytes, (uint64_t)t->dtype->block_elems * sizeof(float)))
			return -EOVERFLOW;
		bytes -= missing_elems(t) * sizeof(float);
	}
	/* Which files exist doesn't depend on the alignment. */
	if (bytes > INT64_MAX - (v->make_prefix ? TFS_VIEW_PREFIX_MAX : 0))
		return -EOVERFLOW;
	*ret_bytes = bytes;
	return 0;
}

int tfs_view_layout(enum tfs_view_id view, const struct tfs_tensor *t, unsigned align, struct tfs_layout *ret_layout)
{
	const struct tfs_view *v = views[view];
	struct tfs_layout l = {
		.view = v, .tensor = t, .content = tfs_content_of_tensor(t), .align = align, .block = 1, .in = 1, .out = 1
	};
	uint8_t prefix[TFS_VIEW_PREFIX_MAX];
	uint64_t bytes;
	int r = shown_bytes(v, t, &bytes);

	if (r)
		return r;
	if (v->convert) {
		l.convert = v->convert(t->dtype);
		l.block = t->dtype->block_elems;
		l.in = t->dtype->block_bytes;
		l.out = l.block * (uint32_t)sizeof(float);
	} else if (t->encoding) {
		l.in = l.out = tfs_encoding_unit(t->encoding);
	}
	/* Without data there is nothing to map, and mmap(2) fails at the end of a file. */
	if (!bytes)
		l.align = align = TFS_VIEW_ALIGN_MIN;
	if (v->make_prefix)
		l.prefix = align == TFS_VIEW_PREFIX_MAX ? align : v->make_prefix(t, align, prefix);
	l.size = l.prefix + bytes;
	*ret_layout = l;
	return 0;
}

bool tfs_view_shows(enum tfs_view_id view, const struct tfs_tensor *t)
{
	uint64_t bytes;

	return !shown_bytes(views[view], t, &bytes);
}

void tfs_layout_make_prefix(const struct tfs_layout *l, uint8_t *buf)
{
	if (l->prefix)
		l->view->make_prefix(l->tensor, l->align, buf);
}

void tfs_layout_source(const struct tfs_layout *l, uint64_t *at, uint64_t *end, uint64_t *ret_from, uint64_t *ret_len)
{
	uint64_t first = *at > l->prefix ? (*at - l->prefix) / l->out * l->out : 0;
	uint64_t past = *end > l->prefix ? (*end - l->prefix + l->out - 1) / l->out * l->out : 0;

	if (*at > l->prefix)
		*at = l->prefix + first;
	if (past)
		*end = l->prefix + past < l->size ? l->prefix + past : l->size;
	*ret_from = first / l->out * l->in;
	*ret_len = past / l->out * l->in - *ret_from;
}

uint64_t tfs_layout_place(const struct tfs_layout *l, uint64_t from)
{
	return l->prefix + from / l->in * l->out;
}

size_t tfs_layout_convert(const struct tfs_layout *l, const uint8_t *src, size_t len, uint8_t *dst)
{
	if (!l->convert) {
		memcpy(dst, src, len);
		return len;
	}
	l->convert(src, (float *)(void *)dst, len / l->in * l->block);
	return len / l->in * l->out;
}
