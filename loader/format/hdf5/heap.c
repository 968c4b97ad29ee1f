/* SPDX-License-Identifier: MIT */
/*
 * Fractal heaps (III.G): what has the links of large groups. Objects are found by their offset in the heap, in blocks whose sizes
 * double from row to row of a table, which may contain tables like itself.
 */
#include "format/hdf5/impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct heap {
	struct tfs_h5 *h;
	uint64_t at;
	uint16_t width, id_len;
	uint64_t start_size, max_direct; /* bytes of a block in the first row; of the largest that isn't a table */
	uint16_t max_bits, rows;	 /* the root table's; 0: the root is a block */
	uint32_t max_managed;
	uint64_t root;
	bool filtered;
};

static bool is_power(uint64_t n)
{
	return n && !(n & (n - 1));
}

static int read_heap(struct tfs_h5 *h, uint64_t at, struct heap *ret)
{
	unsigned o = h->offset_size, l = h->length_size;
	struct tfs_cursor c;
	int r = tfs_h5_get(h, TFS_H5_HEAPS, at, 22 + 12 * l + 3 * o, &c);

	if (r)
		return r;
	if (memcmp(c.at, "FRHP", 4) != 0 || c.at[4])
		return tfs_h5_refuse(h, at, "there is no fractal heap where one should be");
	*ret = (struct heap){ .h = h, .at = at };
	tfs_cursor_bytes(&c, 5);
	ret->id_len = tfs_cursor_u16(&c);
	ret->filtered = tfs_cursor_u16(&c);
	tfs_cursor_bytes(&c, 1);
	ret->max_managed = tfs_cursor_u32(&c);
	tfs_cursor_bytes(&c, 10 * l + 2 * o);
	ret->width = tfs_cursor_u16(&c);
	ret->start_size = tfs_h5_length(h, &c);
	ret->max_direct = tfs_h5_length(h, &c);
	ret->max_bits = tfs_cursor_u16(&c);
	tfs_cursor_bytes(&c, 2);
	ret->root = tfs_h5_address(h, &c);
	ret->rows = tfs_cursor_u16(&c);
	if (c.bad || !is_power(ret->width) || !is_power(ret->start_size) || !is_power(ret->max_direct) ||
	    ret->start_size > ret->max_direct || ret->max_direct > UINT32_MAX || !ret->max_bits || ret->max_bits > 64)
		return tfs_h5_refuse(h, at, "a fractal heap whose blocks have no possible sizes");
	if (ret->filtered)
		return tfs_h5_refuse(h, at, "a fractal heap that is compressed, which isn't read");
	return 0;
}

static unsigned log2_of(uint64_t n)
{
	return 63 - __builtin_clzll(n);
}

/*
 * The block with heap offset @offset, below the table at @at, of @rows rows, whose first block begins at *@begin: its address, and
 * heap offset in *@begin.
 */
static int find_block(const struct heap *f, uint64_t at, unsigned rows, uint64_t offset, uint64_t *ret_at, uint64_t *begin,
		      uint64_t *ret_size)
{
	unsigned head = 5 + f->h->offset_size + (f->max_bits + 7) / 8;
	uint64_t first = f->width * f->start_size;
	struct tfs_cursor c;

	assert(first); /* read_heap() checks both */
	/* Each table is smaller than the one it is in. */
	while (1) {
		uint64_t rel = offset - *begin, size, column;
		unsigned row = rel < first ? 0 : log2_of(rel / first) + 1;
		int r;

		if (row >= rows || row > 63)
			return tfs_h5_refuse(f->h, f->at, "heap offset %" PRIu64 " is beyond its last row, %u", offset, rows);
		size = f->start_size << (row ? row - 1 : 0);
		rel -= row ? first << (row - 1) : 0;
		column = rel / size;
		*begin = offset - rel % size;
		r = tfs_h5_get(f->h, TFS_H5_HEAPS, at, 4, &c);
		if (!r && memcmp(c.at, "FHIB", 4) != 0)
			r = tfs_h5_refuse(f->h, at, "there is no table of a fractal heap where one should be");
		if (!r)
			r = tfs_h5_get(f->h, TFS_H5_HEAPS, at + head + (row * f->width + column) * f->h->offset_size,
				       f->h->offset_size, &c);
		if (r)
			return r;
		at = tfs_h5_address(f->h, &c);
		if (size <= f->max_direct) {
			*ret_at = at;
			*ret_size = size;
			return 0;
		}
		if (size < first)
			return tfs_h5_refuse(f->h, at, "a table of a fractal heap of %" PRIu64 " bytes", size);
		rows = log2_of(size) - log2_of(first) + 1;
	}
}

/* Bytes of an object's length in its id (H5HFhdr.c). */
static unsigned length_width(const struct heap *f)
{
	unsigned block = (log2_of(f->max_direct) + 7) / 8, managed = f->max_managed ? log2_of(f->max_managed) / 8 + 1 : 1;

	return block < managed ? block : managed;
}

int tfs_h5_heap_object(struct tfs_h5 *h, uint64_t heap, const uint8_t *id, size_t len, uint64_t *ret_at, uint64_t *ret_len)
{
	struct heap f = { 0 };
	struct tfs_cursor c = tfs_cursor(id, len);
	uint64_t offset, begin = 0, block, size;
	int r = read_heap(h, heap, &f);

	if (r)
		return r;
	if (tfs_h5_byte(&c)) /* version 0, managed */
		return tfs_h5_refuse(h, heap, "an object of a fractal heap that has a place of its own, which isn't read");
	offset = tfs_h5_number(&c, (f.max_bits + 7) / 8);
	*ret_len = tfs_h5_number(&c, length_width(&f));
	if (c.bad)
		return tfs_h5_refuse(h, heap, "the id of a fractal heap's object has %zu bytes", len);
	block = f.root;
	size = f.start_size;
	if (f.rows)
		r = find_block(&f, f.root, f.rows, offset, &block, &begin, &size);
	if (!r && (offset - begin > size || *ret_len > size - (offset - begin)))
		r = tfs_h5_refuse(h, heap,
				  "an object of %" PRIu64 " bytes at %" PRIu64 " of a fractal heap, whose block ends before",
				  *ret_len, offset);
	if (r)
		return r;
	if (block == TFS_H5_UNDEFINED || __builtin_add_overflow(block, offset - begin, ret_at))
		return tfs_h5_refuse(h, heap, "a block of a fractal heap has no address");
	return 0;
}
