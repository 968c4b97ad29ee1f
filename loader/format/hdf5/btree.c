/* SPDX-License-Identifier: MIT */
/*
 * B-trees. Version 1 (III.A.1): the index of the names in a group, and of chunks; their nodes' children are for who knows their keys.
 * Version 2 (III.A.2): the index of large groups, and of chunks with several unlimited dimensions.
 */
#include "format/hdf5/impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "storage/storage.h"

/* Deeper than any of 2^64 records. */
enum { MAX_LEVELS = 64 };

/* --- Version 1 ----------------------------------------------------------------------------------------------------- */

/* Deeper than any that fits in a file. */
enum { MAX_LEVELS_1 = 32 };

int tfs_h5_btree1_node(struct tfs_h5 *h, uint64_t at, unsigned type, int above, struct tfs_h5_node *ret)
{
	const unsigned head = 8 + 2 * h->offset_size;
	struct tfs_cursor c;
	int r = tfs_h5_get(h, TFS_H5_TABLES, at, head, &c);

	if (r)
		return r;
	ret->level = c.at[5];
	if (memcmp(c.at, "TREE", 4) != 0 || c.at[4] != type || ret->level >= MAX_LEVELS_1 ||
	    (above >= 0 && ret->level + 1 != above))
		return tfs_h5_refuse(h, at, "there is no B-tree node of %s where one should be",
				     type == TFS_H5_NODE_OF_CHUNKS ? "chunks" : "a group");
	tfs_cursor_bytes(&c, 6);
	ret->n = tfs_cursor_u16(&c);
	ret->children = at + head;
	return 0;
}

/* --- Version 2 ----------------------------------------------------------------------------------------------------- */

struct tree {
	struct tfs_h5 *h;
	unsigned type;
	uint32_t node_size, record_size;
	struct {
		uint8_t count, total; /* bytes of the number of records in a node on this level; of all below it */
		uint64_t most, most_below;
	} levels[MAX_LEVELS];
	uint64_t left; /* records that the header promises */
	tfs_h5_record_fn *fn;
	void *arg;
};

/* Bytes that hold the number @n. */
static uint8_t width_of(uint64_t n)
{
	return n ? (71 - __builtin_clzll(n)) / 8 : 1;
}

/* How many records a node has at most, level by level: the widths of counts in the nodes above follow from it (H5B2hdr.c). */
static int find_widths(struct tree *t, unsigned depth, uint64_t at)
{
	const unsigned head = 10; /* signature, version, type, checksum */

	t->levels[0].most = t->levels[0].most_below = (t->node_size - head) / t->record_size;
	t->levels[0].count = width_of(t->levels[0].most);
	for (unsigned i = 1; i <= depth; i++) {
		unsigned pointer = t->h->offset_size + t->levels[0].count + t->levels[i - 1].total;
		uint64_t below = t->levels[i - 1].most_below, most;

		if (t->node_size < head + pointer + t->record_size + pointer)
			return tfs_h5_refuse(t->h, at, "a B-tree's nodes of %" PRIu32 " bytes have no room", t->node_size);
		most = (t->node_size - head - pointer) / (t->record_size + pointer);
		t->levels[i].most = most;
		if (__builtin_mul_overflow(most + 1, below, &below) || __builtin_add_overflow(below, most, &below))
			below = UINT64_MAX;
		t->levels[i].most_below = below;
		t->levels[i].total = width_of(below);
	}
	return 0;
}

static int each_record(struct tree *t, uint64_t at)
{
	uint8_t copy[TFS_H5_MAX_RECORD];
	struct tfs_cursor c;
	int r = tfs_h5_get(t->h, TFS_H5_TABLES, at, t->record_size, &c);

	if (r)
		return r;
	if (!t->left--)
		return tfs_h5_refuse(t->h, at, "a B-tree has more records than its header says");
	memcpy(copy, c.at, t->record_size);
	return t->fn(t->h, tfs_cursor(copy, t->record_size), t->arg);
}

static int each_node(struct tree *t, uint64_t at, uint64_t n, unsigned level);

/* The child @i of the internal node at @at, with @n records. */
static int each_child(struct tree *t, uint64_t at, uint64_t n, uint64_t i, unsigned level)
{
	unsigned pointer = t->h->offset_size + t->levels[0].count + t->levels[level - 1].total;
	struct tfs_cursor c;
	uint64_t child, count;
	int r = tfs_h5_get(t->h, TFS_H5_TABLES, at + 6 + n * t->record_size + i * pointer, pointer, &c);

	if (r)
		return r;
	child = tfs_h5_address(t->h, &c);
	count = tfs_h5_number(&c, t->levels[0].count);
	return each_node(t, child, count, level - 1);
}

/* The node at @at, with @n records, @level levels above the leaves. */
static int each_node(struct tree *t, uint64_t at, uint64_t n, unsigned level)
{
	const char *signature = level ? "BTIN" : "BTLF";
	struct tfs_cursor c;
	int r = tfs_h5_step(t->h);

	if (!r)
		r = tfs_h5_get(t->h, TFS_H5_TABLES, at, t->node_size, &c);
	if (r)
		return r;
	if (memcmp(c.at, signature, 4) != 0 || c.at[4] || c.at[5] != t->type)
		return tfs_h5_refuse(t->h, at, "there is no B-tree node of type %u where one should be", t->type);
	if (n > t->levels[level].most || n > t->left || (!n && level))
		return tfs_h5_refuse(t->h, at, "a B-tree node of %" PRIu64 " records", n);
	for (uint64_t i = 0; i < n && !r; i++) {
		if (level)
			r = each_child(t, at, n, i, level);
		if (!r)
			r = each_record(t, at + 6 + i * t->record_size);
	}
	return level && !r ? each_child(t, at, n, n, level) : r;
}

int tfs_h5_btree2(struct tfs_h5 *h, uint64_t at, unsigned type, tfs_h5_record_fn *fn, void *arg)
{
	struct tree t = { .h = h, .type = type, .fn = fn, .arg = arg };
	struct tfs_cursor c;
	unsigned depth;
	uint64_t root, n;
	int r = tfs_h5_get(h, TFS_H5_TABLES, at, 16 + h->offset_size + 2 + h->length_size, &c);

	if (r)
		return r;
	if (memcmp(c.at, "BTHD", 4) != 0 || c.at[4] || c.at[5] != type)
		return tfs_h5_refuse(h, at, "there is no B-tree of type %u where one should be", type);
	tfs_cursor_bytes(&c, 6);
	t.node_size = tfs_cursor_u32(&c);
	t.record_size = tfs_cursor_u16(&c);
	depth = tfs_cursor_u16(&c);
	tfs_cursor_bytes(&c, 2);
	root = tfs_h5_address(h, &c);
	n = tfs_cursor_u16(&c);
	t.left = tfs_h5_length(h, &c);
	if (t.node_size > TFS_WINDOW || !t.record_size || t.record_size > TFS_H5_MAX_RECORD || t.node_size < 10u + t.record_size ||
	    depth >= MAX_LEVELS)
		return tfs_h5_refuse(h, at, "a B-tree with nodes of %" PRIu32 " bytes, records of %" PRIu32 ", and %u levels",
				     t.node_size, t.record_size, depth);
	if (root == TFS_H5_UNDEFINED || !n)
		return 0;
	r = find_widths(&t, depth, at);
	return r ? r : each_node(&t, root, n, depth);
}
