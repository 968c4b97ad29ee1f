/* SPDX-License-Identifier: MIT */
/*
 * The links of a group, in one of the three ways in which libhdf5 stores them (IV.A.2.c, IV.A.2.g, III.A.1, III.B to III.D): a B-tree of
 * tables with names in a heap; messages of its header; these in a fractal heap, with a B-tree. Soft and external links have no object
 * of their own, and are passed over.
 */
#include "format/hdf5/impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"

/* --- Tables -------------------------------------------------------------------------------------------------------- */

/* The names of a group. */
struct names {
	uint64_t at, size;
};

static int read_local_heap(struct tfs_h5 *h, uint64_t at, struct names *ret)
{
	struct tfs_cursor c;
	int r = tfs_h5_get(h, TFS_H5_HEAPS, at, 8 + 2 * h->length_size + h->offset_size, &c);

	if (r)
		return r;
	if (memcmp(c.at, "HEAP", 4) != 0 || c.at[4])
		return tfs_h5_refuse(h, at, "there is no local heap where one should be");
	tfs_cursor_bytes(&c, 8);
	ret->size = tfs_h5_length(h, &c);
	tfs_h5_length(h, &c);
	ret->at = tfs_h5_address(h, &c);
	return 0;
}

/* The link @name to the object at @at. */
static int visit_name(struct tfs_h5 *h, const struct names *names, uint64_t name, uint64_t at)
{
	char copy[TFS_H5_MAX_NAME + 1];
	uint64_t left = name < names->size ? names->size - name : 0;
	size_t n = left < sizeof copy ? left : sizeof copy, len;
	struct tfs_cursor c;
	uint64_t where;
	int r;

	if (ckd_add(&where, names->at, name))
		where = TFS_H5_UNDEFINED - 1;
	r = tfs_h5_get(h, TFS_H5_HEAPS, where, n, &c);
	if (r)
		return r;
	len = strnlen((const char *)c.at, n);
	if (len == n)
		return tfs_h5_refuse(h, where, "the name of a link has more than %u bytes, or no end", TFS_H5_MAX_NAME);
	memcpy(copy, c.at, len + 1);
	return tfs_h5_visit(h, copy, len, at);
}

/* A node of symbols (III.C): each is a name and the address of its object. */
static int each_symbol(struct tfs_h5 *h, const struct names *names, uint64_t at)
{
	unsigned o = h->offset_size, size = 2 * o + 24;
	struct tfs_cursor c;
	uint16_t n;
	int r = tfs_h5_get(h, TFS_H5_TABLES, at, 8, &c);

	if (r)
		return r;
	if (memcmp(c.at, "SNOD", 4) != 0)
		return tfs_h5_refuse(h, at, "there is no symbol table where one should be");
	tfs_cursor_bytes(&c, 6);
	n = tfs_cursor_u16(&c);
	for (uint64_t i = 0; i < n && !r; i++) {
		uint64_t name, object;

		r = tfs_h5_get(h, TFS_H5_TABLES, at + 8 + i * size, size, &c);
		if (r)
			break;
		name = tfs_h5_number(&c, o);
		object = tfs_h5_address(h, &c);
		if (object != TFS_H5_UNDEFINED && tfs_cursor_u32(&c) != 2) /* a soft link */
			r = visit_name(h, names, name, object);
	}
	return r;
}

/* The tree's node at @at. @above: the level of the node above; -1: none is. A key is where a name is. */
static int each_table(struct tfs_h5 *h, const struct names *names, uint64_t at, int above)
{
	const unsigned pair = h->length_size + h->offset_size;
	struct tfs_h5_node node;
	int r = tfs_h5_step(h);

	if (!r)
		r = tfs_h5_btree1_node(h, at, TFS_H5_NODE_OF_GROUP, above, &node);
	if (r)
		return r;
	for (uint64_t i = 0; i < node.n && !r; i++) {
		struct tfs_cursor c;
		uint64_t child;

		r = tfs_h5_get(h, TFS_H5_TABLES, node.children + i * pair, pair, &c);
		if (r)
			break;
		tfs_h5_length(h, &c);
		child = tfs_h5_address(h, &c);
		r = node.level ? each_table(h, names, child, node.level) : each_symbol(h, names, child);
	}
	return r;
}

static int table_links(struct tfs_h5 *h, const struct tfs_h5_group *group)
{
	struct names names = { 0 };
	int r;

	if (group->btree == TFS_H5_UNDEFINED)
		return 0;
	r = read_local_heap(h, group->heap, &names);
	return r ? r : each_table(h, &names, group->btree, -1);
}

/* --- Messages ------------------------------------------------------------------------------------------------------ */

/* A link message (IV.A.2.g) of @len bytes at @at. */
static int visit_link(struct tfs_h5 *h, enum tfs_h5_window window, uint64_t at, size_t len)
{
	char copy[TFS_H5_MAX_NAME + 1];
	struct tfs_cursor c;
	const uint8_t *name;
	uint64_t name_len, object;
	uint8_t version, flags, kind = 0;
	int r = tfs_h5_get(h, window, at, len, &c);

	if (r)
		return r;
	version = tfs_h5_byte(&c);
	flags = tfs_h5_byte(&c);
	if (flags & 0x8)
		kind = tfs_h5_byte(&c);
	if (flags & 0x4)
		tfs_cursor_bytes(&c, 8);
	if (flags & 0x10)
		tfs_cursor_bytes(&c, 1);
	name_len = tfs_h5_number(&c, 1u << (flags & 3));
	if (version != 1 || name_len > TFS_H5_MAX_NAME)
		return tfs_h5_refuse(h, at, "a link of an unknown version, or of a name with more than %u bytes", TFS_H5_MAX_NAME);
	name = tfs_cursor_bytes(&c, name_len);
	if (c.bad)
		return tfs_h5_refuse(h, at, "a link of %zu bytes ends early", len);
	if (kind)
		return 0;
	object = tfs_h5_address(h, &c);
	if (c.bad)
		return tfs_h5_refuse(h, at, "a link of %zu bytes ends early", len);
	memcpy(copy, name, name_len);
	return tfs_h5_visit(h, copy, name_len, object);
}

static int visit_message(struct tfs_h5 *h, const struct tfs_h5_message *m, void *arg)
{
	(void)arg;
	return m->type == TFS_H5_LINK && !m->shared ? visit_link(h, TFS_H5_HEADERS, m->at, m->size) : 0;
}

/* A hash, and the id of the link in the heap. */
static int visit_record(struct tfs_h5 *h, struct tfs_cursor record, void *arg)
{
	const struct tfs_h5_group *group = arg;
	uint64_t at, len;
	int r;

	tfs_cursor_bytes(&record, 4);
	r = tfs_h5_heap_object(h, group->links_heap, record.at, tfs_cursor_left(&record), &at, &len);
	return r ? r : visit_link(h, TFS_H5_HEAPS, at, len);
}

int tfs_h5_links(struct tfs_h5 *h, const struct tfs_h5_group *group)
{
	int r = group->is_table ? table_links(h, group) : 0;

	if (!r && group->has_links)
		r = tfs_h5_messages(h, group->header, visit_message, NULL);
	if (!r && group->has_heap)
		r = tfs_h5_btree2(h, group->links_index, TFS_H5_LINKS_BY_NAME, visit_record, (void *)group);
	return r;
}
