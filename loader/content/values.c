/* SPDX-License-Identifier: MIT */
#include "content/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "content/view.h"
#include "convert/narrow.h"

bool tfs_valued(const struct tfs_tensor *t)
{
	const char *name = t->dtype->name;

	return (t->encoding && t->encoding->coding == TFS_SCALED) || !t->dtype->safetensors || !strncmp(name, "F8", 2) ||
	       !strncmp(name, "F6_", 3) || !strncmp(name, "F4", 2);
}

bool tfs_has_values(const struct tfs_tensor *t)
{
	return tfs_view_shows(TFS_F32, t);
}

/* Number of values that are computed at a time. */
enum { PIECE = 256 << 10 };

/* Room for these and the unneeded ones of their first and last blocks of @block; aligned to TFS_IO_ALIGN. */
static float *values_create(uint32_t block)
{
	return aligned_alloc(TFS_IO_ALIGN, (((size_t)PIECE + 2 * block) * sizeof(float) / TFS_IO_ALIGN + 3) * TFS_IO_ALIGN);
}

static int no_memory(struct tfs_error *err)
{
	return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
}

/* The values of the stored blocks [from, to), to @values. */
static int convert(struct tfs_extractor *x, const struct tfs_layout *l, uint64_t from, uint64_t to, float *values,
		   struct tfs_read_request *rq)
{
	const size_t len = (to - from) * l->in;
	cleanup_free uint8_t *raw = malloc(len);
	cleanup_free void *bounce = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	int r = raw && bounce ? tfs_extract_copy(x, l->tensor, from * l->in, len, raw, bounce, rq) : no_memory(&rq->err);

	if (!r)
		tfs_layout_convert(l, raw, len, (uint8_t *)values);
	return r;
}

/* Compute values [first, first + n) of @l's tensor; *@ret_values points to them, somewhere in @buf. */
static int make(struct tfs_extractor *x, const struct tfs_layout *l, uint64_t first, size_t n, float *buf, const float **ret_values,
		struct tfs_read_request *rq)
{
	struct tfs_read_request part = {
		.at = first * sizeof(float),
		.len = n * sizeof(float),
		.priority = rq->priority,
		.buf = (uint8_t *)buf,
		.scratch = rq->scratch,
		.err.offset = TFS_NO_OFFSET,
	};
	int r;

	if (!l->tensor->encoding || l->tensor->encoding->coding != TFS_SCALED) {
		*ret_values = buf + first % l->block;
		return convert(x, l, first / l->block, (first + n + l->block - 1) / l->block, buf, rq);
	}
	r = l->content.ops->read(l->content.of, x, &part);
	*ret_values = (const float *)(const void *)part.data;
	rq->how = part.how;
	if (r)
		rq->err = part.err;
	return r;
}

int tfs_values_copy(struct tfs_extractor *x, const struct tfs_tensor *t, const struct tfs_dtype *as, uint64_t at, size_t len,
		    uint8_t *dst, struct tfs_read_request *rq, size_t *ret_too_large)
{
	const uint32_t width = as->block_bytes;
	const bool narrow = width < sizeof(float);
	tfs_narrow_fn *to = !strcmp(as->name, "BF16") ? tfs_to_bf16() : tfs_to_f16();
	struct tfs_layout l;
	int r = tfs_view_layout(TFS_F32, t, TFS_VIEW_ALIGN_MIN, &l);
	cleanup_free float *buf = r ? NULL : values_create(l.block);
	cleanup_free uint8_t *small = narrow ? malloc((size_t)PIECE * width) : NULL;

	*ret_too_large = 0;
	if (r)
		return tfs_error_set(&rq->err, r, TFS_NO_OFFSET, "it has no values");
	if (!buf || (narrow && !small))
		return no_memory(&rq->err);
	while (len) {
		const uint64_t first = at / width, lead = at % width;
		const size_t wanted = (lead + len + width - 1) / width, n = wanted < PIECE ? wanted : PIECE;
		const size_t bytes = n * width - lead < len ? n * width - lead : len;
		const float *values;

		r = make(x, &l, first, n, buf, &values, rq);
		if (r)
			return r;
		if (narrow)
			*ret_too_large += to(values, small, n);
		memcpy(dst, (narrow ? small : (const uint8_t *)values) + lead, bytes);
		at += bytes;
		dst += bytes;
		len -= bytes;
	}
	return 0;
}
