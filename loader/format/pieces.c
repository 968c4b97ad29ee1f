/* SPDX-License-Identifier: MIT */
#include "format/pieces.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"

void tfs_pieces_clear(struct tfs_pieces *p)
{
	p->n = 0;
}

void tfs_pieces_fini(struct tfs_pieces *p)
{
	free(p->all);
	free(p->segments);
	*p = (struct tfs_pieces){ 0 };
}

int tfs_pieces_add(struct tfs_pieces *p, uint64_t at, uint64_t offset, uint64_t len)
{
	struct tfs_piece *last = p->n ? &p->all[p->n - 1] : NULL;

	if (!len)
		return 0;
	if (last && last->at + last->len == at && last->offset + last->len == offset) {
		last->len += len;
		return 0;
	}
	if (p->n == TFS_MAX_PIECES)
		return -E2BIG;
	if (tfs_array_room(p->all, p->n, p->room))
		return -ENOMEM;
	assert(p->all);
	p->all[p->n++] = (struct tfs_piece){ at, offset, len };
	return 0;
}

/* The dimensions from the one returned on are contiguous in tensor and file: only the first of them may be cut. */
static unsigned contiguous_from(const uint64_t *shape, unsigned ndim, const struct tfs_box *b)
{
	unsigned k = ndim;

	while (k && (k == ndim || (b->count[k] == shape[k] && b->stored[k] == shape[k])))
		k--;
	return k;
}

int tfs_pieces_add_box(struct tfs_pieces *p, const uint64_t *shape, unsigned ndim, uint32_t size, const struct tfs_box *b,
		       uint64_t offset)
{
	uint64_t to[TFS_MAX_DIMS], from[TFS_MAX_DIMS], i[TFS_MAX_DIMS] = { 0 }; /* bytes of a step; the current row */
	uint64_t at = 0, len = size;
	unsigned k = contiguous_from(shape, ndim, b);
	int r = 0;

	for (unsigned d = 0; d < ndim; d++)
		if (!b->count[d])
			return 0;
	for (unsigned d = ndim; d--;) {
		to[d] = d + 1 == ndim ? size : to[d + 1] * shape[d + 1];
		from[d] = d + 1 == ndim ? size : from[d + 1] * b->stored[d + 1];
		at += b->start ? b->start[d] * to[d] : 0;
	}
	if (ndim)
		len = b->count[k] * to[k];
	while (!r) {
		unsigned d = k;

		r = tfs_pieces_add(p, at, offset, len);
		while (d && ++i[d - 1] == b->count[d - 1]) {
			d--;
			at -= (i[d] - 1) * to[d];
			offset -= (i[d] - 1) * from[d];
			i[d] = 0;
		}
		if (!d)
			break;
		at += to[d - 1];
		offset += from[d - 1];
	}
	return r;
}

static int by_at(const void *a, const void *b)
{
	const struct tfs_piece *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

int tfs_pieces_encode(struct tfs_pieces *p, uint64_t nbytes, uint64_t *ret_offset, struct tfs_encoding *ret)
{
	cleanup_free const void **order = reallocarray(NULL, p->n + 1, 2 * sizeof *order);
	struct tfs_segment *segments = reallocarray(p->segments, p->n + 1, sizeof *segments);
	uint64_t at = 0, first = UINT64_MAX, end = 0, next = 0;
	size_t n = 0, i;

	if (segments)
		p->segments = segments;
	if (!order || !segments)
		return -ENOMEM;
	for (i = 0; i < p->n; i++)
		order[i] = &p->all[i];
	tfs_sort(order, p->n, order + p->n, by_at);
	for (i = 0; i < p->n && ((const struct tfs_piece *)order[i])->at == at; i++) {
		const struct tfs_piece *x = order[i];

		if (!n || x->offset != next)
			segments[n++] = (struct tfs_segment){ .offset = x->offset, .at = at };
		first = x->offset < first ? x->offset : first;
		next = x->offset + x->len;
		end = next > end ? next : end;
		at += x->len;
	}
	if (i < p->n || at != nbytes) {
		*ret_offset = at;
		return -EINVAL;
	}
	*ret_offset = n ? first : 0;
	ret->length = n ? end - first : 0;
	ret->segments = n > 1 ? segments : NULL;
	ret->n_segments = n > 1 ? n : 0;
	return 0;
}
