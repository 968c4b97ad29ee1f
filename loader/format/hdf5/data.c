/* SPDX-License-Identifier: MIT */
/*
 * Where a dataset's elements are (IV.A.2.i): in its header, in one piece, or in chunks, of which libhdf5 has five indexes. Chunks are
 * boxes of the array, all of one size, those at its edges too; where a filter compresses them, they aren't read.
 */
#include "format/hdf5/impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "storage/storage.h"

/* What an index may have in any case, and for each chunk. */
enum { MIN_STEPS = 64, STEPS = 2 };

/* A dataset in chunks. */
struct chunks {
	struct tfs_h5 *h;
	const struct tfs_h5_layout *layout;
	const uint64_t *dims;
	unsigned ndim;
	uint32_t size;		       /* bytes of an element */
	uint64_t bytes;		       /* of a chunk */
	uint64_t counts[TFS_MAX_DIMS]; /* chunks along each dimension */
	uint64_t n;		       /* and in all */
	uint64_t left;		       /* nodes and chunks that their index may have */
};

/* What was wrong: 1, with the reason in @why. */
static __attribute__((cold, format(printf, 3, 4))) int cannot(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return 1;
}

unsigned tfs_h5_shape(const struct tfs_h5_object *o, uint64_t ret[static TFS_MAX_DIMS])
{
	unsigned n = o->ndim;

	if (o->is_null) {
		ret[0] = 0;
		return 1;
	}
	memcpy(ret, o->dims, n * sizeof *ret);
	for (unsigned i = 0; i < o->type.ndim && n < TFS_MAX_DIMS; i++)
		ret[n++] = o->type.dims[i];
	return n;
}

/* The file's offset of the @len bytes at @at; false: they aren't in it. */
static bool within(const struct tfs_h5 *h, uint64_t at, uint64_t len, uint64_t *ret_offset)
{
	return at != TFS_H5_UNDEFINED && !ckd_add(ret_offset, h->base, at) && *ret_offset <= h->in->size &&
	       len <= h->in->size - *ret_offset;
}

/* --- Chunks -------------------------------------------------------------------------------------------------------- */

static int prepare(struct chunks *k)
{
	struct tfs_h5 *h = k->h;

	k->bytes = k->size;
	k->n = 1;
	for (unsigned i = 0; i < k->ndim; i++) {
		uint64_t chunk = k->layout->chunk[i];

		if (!chunk || ckd_mul(&k->bytes, k->bytes, chunk) || k->bytes > h->in->size)
			return tfs_h5_refuse(h, TFS_H5_UNDEFINED, "chunks that are larger than the file, or empty");
		k->counts[i] = k->dims[i] / chunk + (k->dims[i] % chunk != 0);
		if (ckd_mul(&k->n, k->n, k->counts[i]))
			return tfs_h5_refuse(h, TFS_H5_UNDEFINED, "more chunks than 2^64");
	}
	/* Each has a byte in the file, and a node at least one below it. */
	k->left = MIN_STEPS + STEPS * (k->n < h->in->size ? k->n : h->in->size);
	return 0;
}

/* One more node or chunk of the index: refuses one that leads to the same again and again. */
static int step(struct chunks *k)
{
	if (!k->left--)
		return tfs_h5_refuse(k->h, k->layout->at, "the index of %" PRIu64 " chunks refers to more", k->n);
	return tfs_h5_step(k->h);
}

/* The chunk that begins at element @start is at @at. */
static int add_chunk(struct chunks *k, const uint64_t *start, uint64_t at)
{
	struct tfs_h5 *h = k->h;
	uint64_t count[TFS_MAX_DIMS], offset;
	const struct tfs_box box = { .start = start, .count = count, .stored = k->layout->chunk };
	int r = step(k);

	if (r)
		return r;
	if (at == TFS_H5_UNDEFINED) /* never written: missed in the end */
		return 0;
	for (unsigned i = 0; i < k->ndim; i++) {
		if (start[i] >= k->dims[i]) /* the array was made smaller */
			return 0;
		if (start[i] % k->layout->chunk[i])
			return tfs_h5_refuse(h, at, "a chunk begins at element %" PRIu64 " of a dimension with chunks of %" PRIu64,
					     start[i], k->layout->chunk[i]);
		count[i] = k->dims[i] - start[i];
		count[i] = count[i] < k->layout->chunk[i] ? count[i] : k->layout->chunk[i];
	}
	if (!within(h, at, k->bytes, &offset))
		return tfs_h5_refuse(h, at, "a chunk of %" PRIu64 " bytes goes past the end of the file, at %" PRIu64, k->bytes,
				     h->in->size);
	return tfs_pieces_add_box(&h->pieces, k->dims, k->ndim, k->size, &box, offset);
}

/* The same, for chunk number @i in C order. */
static int add_nth(struct chunks *k, uint64_t i, uint64_t at)
{
	uint64_t start[TFS_MAX_DIMS] = { 0 };

	for (unsigned d = k->ndim; d--; i /= k->counts[d])
		start[d] = i % k->counts[d] * k->layout->chunk[d];
	return add_chunk(k, start, at);
}

/* The tree's node at @at, below one of level @above (-1: none). A key is the chunk's bytes, a mask of filters, and its first element. */
static int each_chunk(struct chunks *k, uint64_t at, int above)
{
	struct tfs_h5 *h = k->h;
	const unsigned pair = 8 + 8 * (k->ndim + 1) + h->offset_size;
	uint64_t start[TFS_MAX_DIMS] = { 0 };
	struct tfs_h5_node node;
	int r = step(k);

	if (!r)
		r = tfs_h5_btree1_node(h, at, TFS_H5_NODE_OF_CHUNKS, above, &node);
	if (r)
		return r;
	for (uint64_t i = 0; i < node.n && !r; i++) {
		struct tfs_cursor c;
		uint64_t child;

		r = tfs_h5_get(h, TFS_H5_TABLES, node.children + i * pair, pair, &c);
		if (r)
			break;
		tfs_cursor_bytes(&c, 8);
		for (unsigned d = 0; d < k->ndim; d++)
			start[d] = tfs_cursor_u64(&c);
		tfs_cursor_bytes(&c, 8);
		child = tfs_h5_address(h, &c);
		r = node.level ? each_chunk(k, child, node.level) : add_chunk(k, start, child);
	}
	return r;
}

static int add_implicit(struct chunks *k)
{
	int r = 0;

	for (uint64_t i = 0; i < k->n && !r; i++) {
		uint64_t at;

		if (ckd_mul(&at, i, k->bytes) || ckd_add(&at, at, k->layout->at))
			return tfs_h5_refuse(k->h, k->layout->at, "more chunks than fit in a file");
		r = add_nth(k, i, at);
	}
	return r;
}

/* A fixed array (III.A.3, "Fixed Array Index"): one block of addresses, or, if there are many, pages of it. */
static int add_fixed_array(struct chunks *k)
{
	struct tfs_h5 *h = k->h;
	unsigned o = h->offset_size;
	struct tfs_cursor c;
	uint8_t page_bits;
	uint64_t n, block, at, per_page, bitmap;
	int r = tfs_h5_get(h, TFS_H5_TABLES, k->layout->at, 8 + h->length_size + o, &c);

	if (r)
		return r;
	if (memcmp(c.at, "FAHD", 4) != 0 || c.at[4] || c.at[5] || c.at[6] != o)
		return tfs_h5_refuse(h, k->layout->at, "there is no fixed array of chunks where one should be");
	page_bits = c.at[7];
	tfs_cursor_bytes(&c, 8);
	n = tfs_h5_length(h, &c);
	block = tfs_h5_address(h, &c);
	if (n != k->n || n > h->in->size || page_bits > 32)
		return tfs_h5_refuse(h, k->layout->at, "a fixed array of %" PRIu64 " chunks for %" PRIu64, n, k->n);
	r = tfs_h5_get(h, TFS_H5_TABLES, block, 6 + o, &c);
	if (!r && (memcmp(c.at, "FADB", 4) != 0 || c.at[4] || c.at[5]))
		r = tfs_h5_refuse(h, block, "there is no block of a fixed array where one should be");
	per_page = UINT64_C(1) << page_bits;
	assert(per_page);							 /* of up to 2^32 */
	bitmap = n > per_page ? ((n + per_page - 1) / per_page + 7) / 8 + 4 : 0; /* of pages, and a checksum */
	for (uint64_t i = 0; i < n && !r; i++) {
		uint64_t page = i / per_page;
		bool written = true;

		if (bitmap && i % per_page == 0) {
			r = tfs_h5_step(h);
			if (r)
				break;
			r = tfs_h5_get(h, TFS_H5_TABLES, block + 6 + o + page / 8, 1, &c);
			written = !r && *c.at & 0x80 >> page % 8;
		}
		if (!r && !written) {
			i += per_page - 1;
			continue;
		}
		/* Each page has a checksum. */
		at = block + 6 + o + bitmap + (bitmap ? page * 4 : 0) + i * o;
		if (!r)
			r = tfs_h5_get(h, TFS_H5_TABLES, at, o, &c);
		if (!r)
			r = add_nth(k, i, tfs_h5_address(h, &c));
	}
	return r;
}

/* An address, and the chunk's number in each dimension. */
static int add_record(struct tfs_h5 *h, struct tfs_cursor record, void *arg)
{
	struct chunks *k = arg;
	uint64_t start[TFS_MAX_DIMS], at = tfs_h5_address(h, &record);

	for (unsigned d = 0; d < k->ndim; d++)
		if (ckd_mul(&start[d], tfs_cursor_u64(&record), k->layout->chunk[d]))
			return tfs_h5_refuse(h, at, "a chunk whose number is too large");
	return record.bad ? tfs_h5_refuse(h, at, "a chunk of fewer dimensions than its array") : add_chunk(k, start, at);
}

static int add_chunks(struct chunks *k)
{
	const struct tfs_h5_layout *l = k->layout;

	switch (l->index) {
	case TFS_H5_BTREE1:
		return each_chunk(k, l->at, -1);
	case TFS_H5_SINGLE:
		return k->n == 1 ? add_nth(k, 0, l->at) : tfs_h5_refuse(k->h, l->at, "a single chunk of %" PRIu64, k->n);
	case TFS_H5_IMPLICIT:
		return add_implicit(k);
	case TFS_H5_FIXED_ARRAY:
		return add_fixed_array(k);
	default:
		return tfs_h5_btree2(k->h, l->at, TFS_H5_CHUNKS, add_record, k);
	}
}

/* What to do about a layout that isn't read. */
#define REPACK "; h5repack -f NONE -l CONTI writes it anew"

static int find_chunks(struct tfs_h5 *h, uint64_t nbytes, uint64_t *ret_offset, struct tfs_encoding *how, char *why, size_t size)
{
	const struct tfs_h5_object *o = &h->object;
	struct chunks k = { .h = h, .layout = &o->layout, .dims = o->dims, .ndim = o->ndim, .size = o->type.size };
	int r;

	if (o->layout.ndim != o->ndim)
		return cannot(why, size, "an array of %u dimensions in chunks of %u", o->ndim, o->layout.ndim);
	if (o->layout.index == TFS_H5_EXTENSIBLE_ARRAY)
		return cannot(why, size, "its chunks are in an extensible array, which isn't read" REPACK);
	tfs_pieces_clear(&h->pieces);
	r = prepare(&k);
	if (!r)
		r = add_chunks(&k);
	if (!r)
		r = tfs_pieces_encode(&h->pieces, nbytes, ret_offset, how);
	else if (r == -EINVAL)
		return cannot(why, size, "%s", h->err->what);
	if (r == -E2BIG)
		return cannot(why, size, "it is in more than %u pieces" REPACK, TFS_MAX_PIECES);
	if (r == -EINVAL)
		return cannot(why, size, "a chunk that was never written, or is there twice, at byte %" PRIu64 " of %" PRIu64,
			      *ret_offset, nbytes);
	return r;
}

/* --- All ----------------------------------------------------------------------------------------------------------- */

int tfs_h5_data(struct tfs_h5 *h, uint64_t *ret_nbytes, uint64_t *ret_offset, struct tfs_encoding *ret_how, char *why, size_t size)
{
	const struct tfs_h5_object *o = &h->object;
	uint64_t shape[TFS_MAX_DIMS], at = o->layout.at;
	unsigned ndim = tfs_h5_shape(o, shape);

	*ret_how = (struct tfs_encoding){ 0 };
	*ret_offset = 0;
	if (o->ndim + o->type.ndim > TFS_MAX_DIMS)
		return cannot(why, size, "more than %d dimensions", TFS_MAX_DIMS);
	if (tfs_dtype_nbytes(o->type.dtype, shape, ndim, ret_nbytes))
		return cannot(why, size, "its shape has more than 2^64-1 bits");
	if (!*ret_nbytes)
		return 0;
	if (o->is_external)
		return cannot(why, size, "its bytes are in other files (H5Pset_external), which isn't read" REPACK);
	if (o->is_filtered)
		return cannot(why, size, "it is compressed, or otherwise filtered, which isn't read" REPACK);
	if (o->layout.kind == TFS_H5_VIRTUAL)
		return cannot(why, size, "it is made of other datasets (virtual), which isn't read" REPACK);
	if (at == TFS_H5_UNDEFINED)
		return cannot(why, size, "it was never written: the file has no bytes of it");
	if (o->layout.kind == TFS_H5_CHUNKED)
		return find_chunks(h, *ret_nbytes, ret_offset, ret_how, why, size);
	if (o->layout.size < *ret_nbytes)
		return cannot(why, size, "it has %" PRIu64 " bytes, dtype and shape make %" PRIu64, o->layout.size, *ret_nbytes);
	ret_how->length = *ret_nbytes;
	if (!within(h, at, *ret_nbytes, ret_offset))
		return cannot(why, size, "%" PRIu64 " bytes at %" PRIu64 " go past the end of the file, at %" PRIu64, *ret_nbytes,
			      at, h->in->size);
	return 0;
}
