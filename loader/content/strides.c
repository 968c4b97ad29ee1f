/* SPDX-License-Identifier: MIT */
#include "content/strides.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

void tfs_strided_describe(const struct tfs_tensor *t, struct tfs_strided *ret)
{
	uint64_t to = 1;

	ret->n = 0;
	for (unsigned i = 0; i <= t->ndim; i++) {
		struct tfs_dim d = { .n = t->dtype->block_bytes, .from = 1 };

		if (i < t->ndim) {
			d.n = t->shape[i];
			d.from = t->encoding->strides[i];
		}
		if (d.n == 1 && (i < t->ndim || ret->n))
			continue;
		struct tfs_dim *outer = ret->n ? &ret->dims[ret->n - 1] : NULL;
		uint64_t all;
		if (outer && !ckd_mul(&all, d.n, d.from) && outer->from == all) {
			outer->n *= d.n; /* the tensor's bytes were counted in 64 bits */
			outer->from = d.from;
		} else {
			ret->dims[ret->n++] = d;
		}
	}
	for (unsigned i = ret->n; i--;) {
		ret->dims[i].to = to;
		to *= ret->dims[i].n;
	}
}

unsigned tfs_strided_box(const struct tfs_strided *a, unsigned level, uint64_t count, struct tfs_dim d[TFS_MAX_DIMS + 1])
{
	unsigned n = 0;

	for (unsigned i = level; i < a->n; i++) {
		struct tfs_dim x = a->dims[i];
		unsigned k = n++;

		if (i == level)
			x.n = count;
		for (; k && d[k - 1].from - 1 > x.from - 1; k--)
			d[k] = d[k - 1];
		d[k] = x;
	}
	return n;
}

/* --- Copying ------------------------------------------------------------------------------------------------------- */

/* @a->n elements of @size bytes in a row. */
static void copy_line(size_t size, const struct tfs_dim *a, const uint8_t *src, uint8_t *dst)
{
	uint64_t from = a->from, to = a->to;

	if (from == size && to == size) {
		memcpy(dst, src, a->n * size);
		return;
	}
	/* The possible sizes, each as a move of its own. */
#define MOVE(bytes)                                                  \
	case bytes:                                                  \
		for (uint64_t i = 0; i < a->n; i++)                  \
			memcpy(dst + i * to, src + i * from, bytes); \
		return;
	switch (size) {
		MOVE(1)
		MOVE(2)
		MOVE(4)
		MOVE(8)
		MOVE(16)
	}
#undef MOVE
	for (uint64_t i = 0; i < a->n; i++)
		memcpy(dst + i * to, src + i * from, size);
}

/* Bytes of a cache line, in which a transposed block is read and written. */
enum { LINE = 64 };

/*
 * Turn one block of LINE / size by LINE / size elements: element i of row j, rows @from bytes apart, becomes element j of row i, rows
 * @to bytes apart. Each line is touched once, even if many of the others map to the same cache set.
 */
#define TURN(name, type)                                                               \
	static void name(const uint8_t *src, uint64_t from, uint8_t *dst, uint64_t to) \
	{                                                                              \
		enum { W = LINE / sizeof(type) };                                      \
		type in[W][W], out[W];                                                 \
		for (unsigned j = 0; j < W; j++)                                       \
			memcpy(in[j], src + j * from, LINE);                           \
		for (unsigned i = 0; i < W; i++) {                                     \
			for (unsigned j = 0; j < W; j++)                               \
				out[j] = in[j][i];                                     \
			memcpy(dst + i * to, out, LINE);                               \
		}                                                                      \
	}
struct pair {
	uint64_t a, b;
};
TURN(turn1, uint8_t)
TURN(turn2, uint16_t)
TURN(turn4, uint32_t)
TURN(turn8, uint64_t)
TURN(turn16, struct pair)
#undef TURN

typedef void turn_fn(const uint8_t *src, uint64_t from, uint8_t *dst, uint64_t to);

static turn_fn *turn_for(size_t size)
{
	switch (size) {
	case 1:
		return turn1;
	case 2:
		return turn2;
	case 4:
		return turn4;
	case 8:
		return turn8;
	case 16:
		return turn16;
	}
	return NULL;
}

/* Elements along @a and @b; if they are adjacent along @a in the source and along @b in the destination, block by block. */
static void copy_plane(size_t size, const struct tfs_dim *a, const struct tfs_dim *b, const uint8_t *src, uint8_t *dst)
{
	turn_fn *turn = a->from == size && b->to == size ? turn_for(size) : NULL;
	uint64_t w = turn ? LINE / size : 1, a_whole = turn ? a->n / w * w : 0, b_whole = turn ? b->n / w * w : 0;

	for (uint64_t j = 0; j < b_whole; j += w)
		for (uint64_t i = 0; i < a_whole; i += w)
			turn(src + j * b->from + i * size, b->from, dst + i * a->to + j * size, a->to);
	/* The rest at the edges. */
	struct tfs_dim rest = *a;
	rest.n = a->n - a_whole;
	for (uint64_t j = 0; rest.n && j < b_whole; j++)
		copy_line(size, &rest, src + j * b->from + a_whole * a->from, dst + j * b->to + a_whole * a->to);
	for (uint64_t j = b_whole; j < b->n; j++)
		copy_line(size, a, src + j * b->from, dst + j * b->to);
}

/* The outermost dimension first; the innermost two are a plane. */
static void copy_dims(size_t size, const struct tfs_dim *d, unsigned n, const uint8_t *src, uint8_t *dst)
{
	const struct tfs_dim *outer = &d[n - 1];

	if (n == 1)
		copy_line(size, outer, src, dst);
	else if (n == 2)
		copy_plane(size, &d[0], outer, src, dst);
	else
		for (uint64_t i = 0; i < outer->n; i++)
			copy_dims(size, d, n - 1, src + i * outer->from, dst + i * outer->to);
}

void tfs_strided_copy(const struct tfs_dim *d, unsigned n, const uint8_t *src, uint8_t *dst)
{
	struct tfs_dim e[TFS_MAX_DIMS + 1];
	size_t size = 1;
	unsigned near = 1;

	if (n && d->from == 1 && d->to == 1) {
		size = d->n;
		d++;
		n--;
	}
	if (!n) {
		memcpy(dst, src, size);
		return;
	}
	/* Second is the dimension that is densest in the destination, as the first one is in the source. */
	memcpy(e, d, n * sizeof *e);
	for (unsigned i = 2; i < n; i++)
		if (e[i].to < e[near].to)
			near = i;
	if (near > 1) {
		struct tfs_dim b = e[near];

		memmove(e + 2, e + 1, (near - 1) * sizeof *e);
		e[1] = b;
	}
	copy_dims(size, e, n, src, dst);
}

/* --- Parts --------------------------------------------------------------------------------------------------------- */

/* Bytes of the elements at one index of dimension @level, counting each once. */
static uint64_t item_size(const struct tfs_strided *a, unsigned level)
{
	uint64_t size = 1;

	for (unsigned i = level + 1; i < a->n; i++)
		if (a->dims[i].from)
			size *= a->dims[i].n;
	return size;
}

/* From the first byte of a box to its last. */
static uint64_t span_of(const struct tfs_dim *d, unsigned n)
{
	uint64_t span = 1;

	for (unsigned i = 0; i < n; i++)
		span += (d[i].n - 1) * d[i].from; /* inside what is decoded */
	return span;
}

/* The part consisting of the box [level, …), whose first dimension is cut to @count. */
static void make_part(const struct tfs_strided *a, unsigned level, uint64_t count, struct tfs_strided_part *p)
{
	struct tfs_dim d[TFS_MAX_DIMS + 1];
	unsigned n = tfs_strided_box(a, level, count, d);
	uint64_t span = span_of(d, n), size = 1;

	p->array.n = a->n - level;
	memcpy(p->array.dims, a->dims + level, p->array.n * sizeof *a->dims);
	p->array.dims[0].n = count;
	for (unsigned i = 0; i < n; i++)
		size *= d[i].from ? d[i].n : 1;
	if (span <= size) { /* everything in between is needed, or needed several times */
		p->bytes = span;
		p->n_fill = 1;
		p->fill[0] = (struct tfs_dim){ .n = span, .from = 1, .to = 1 };
		return;
	}
	p->bytes = size;
	p->n_fill = 0;
	size = 1;
	for (unsigned i = 0; i < n && d[i].from; i++) {
		struct tfs_dim *inner = p->n_fill ? &p->fill[p->n_fill - 1] : NULL;

		for (unsigned k = 0; k < p->array.n; k++)
			if (p->array.dims[k].to == d[i].to) /* no two are the same */
				p->array.dims[k].from = size;
		if (inner && inner->from * inner->n == d[i].from)
			inner->n *= d[i].n;
		else
			p->fill[p->n_fill++] = (struct tfs_dim){ .n = d[i].n, .from = d[i].from, .to = size };
		size *= d[i].n;
	}
}

uint64_t tfs_strided_size(const struct tfs_strided *a)
{
	uint64_t size = item_size(a, 0) * (a->dims[0].from ? a->dims[0].n : 1), span = span_of(a->dims, a->n);

	return span < size ? span : size;
}

void tfs_strided_part(const struct tfs_strided *a, uint64_t at, uint64_t room, struct tfs_strided_part *ret)
{
	uint64_t rest = at;
	unsigned level = 0;

	ret->at = ret->from = 0;
	if (tfs_strided_size(a) <= room) {
		ret->end = a->dims[0].n * a->dims[0].to;
		make_part(a, 0, a->dims[0].n, ret);
		return;
	}
	/*
	 * Down to the level where at least one index fits; the last dimension is the bytes of an element, of which one always fits.
	 */
	for (; item_size(a, level) > room; level++) {
		const struct tfs_dim *d = &a->dims[level];

		ret->at += rest / d->to * d->to;
		ret->from += rest / d->to * d->from;
		rest %= d->to;
	}
	const struct tfs_dim *d = &a->dims[level];
	uint64_t most = room / item_size(a, level), count = !d->from || most > d->n ? d->n : most;
	assert(count); /* of an index that has room */
	uint64_t first = rest / d->to / count * count;

	if (count > d->n - first)
		count = d->n - first;
	ret->at += first * d->to;
	ret->from += first * d->from;
	ret->end = ret->at + count * d->to;
	make_part(a, level, count, ret);
}
