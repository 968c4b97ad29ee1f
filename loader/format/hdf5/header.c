/* SPDX-License-Identifier: MIT */
/* Object headers, versions 1 and 2 (IV.A.1), and the messages in them. */
#include "format/hdf5/impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "storage/storage.h"

/* Blocks that continue one header: libhdf5 adds one where attributes outgrow the last. */
enum { MAX_BLOCKS = 1024 };

struct block {
	uint64_t at, end; /* of its messages */
};

struct messages {
	struct tfs_h5 *h;
	bool is_v2, has_order;
	struct block blocks[MAX_BLOCKS];
	size_t n;
};

/* --- Bytes --------------------------------------------------------------------------------------------------------- */

int tfs_h5_refuse(struct tfs_h5 *h, uint64_t at, const char *fmt, ...)
{
	char what[256];
	va_list ap;
	uint64_t offset;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (at == TFS_H5_UNDEFINED)
		offset = TFS_NO_OFFSET;
	else if (ckd_add(&offset, h->base, at) || offset > h->in->size)
		offset = h->in->size;
	return tfs_error_set(h->err, -EINVAL, offset, "HDF5: %s", what);
}

int tfs_h5_get(struct tfs_h5 *h, enum tfs_h5_window window, uint64_t at, size_t len, struct tfs_cursor *ret)
{
	const uint8_t *p;
	uint64_t offset;
	int r;

	*ret = (struct tfs_cursor){ 0 };
	if (at == TFS_H5_UNDEFINED)
		return tfs_h5_refuse(h, at, "a table that is required has no address");
	if (len > TFS_WINDOW)
		return tfs_h5_refuse(h, at, "a table of %zu bytes; the limit is %zu", len, TFS_WINDOW);
	if (ckd_add(&offset, h->base, at) || offset > h->in->size)
		return tfs_h5_refuse(h, at, "address %" PRIu64 " is past the end of the file, at %" PRIu64, at, h->in->size);
	r = tfs_window_get(&h->windows[window], offset, len, &p);
	if (!r)
		*ret = tfs_cursor(p, len);
	return r;
}

uint64_t tfs_h5_number(struct tfs_cursor *c, unsigned width)
{
	const uint8_t *p = tfs_cursor_bytes(c, width);
	uint64_t v = 0;

	for (unsigned i = width; p && i--;)
		v = v << 8 | p[i];
	return v;
}

uint64_t tfs_h5_address(const struct tfs_h5 *h, struct tfs_cursor *c)
{
	uint64_t v = tfs_h5_number(c, h->offset_size);

	return h->offset_size < 8 && v == (UINT64_C(1) << 8 * h->offset_size) - 1 ? TFS_H5_UNDEFINED : v;
}

uint64_t tfs_h5_length(const struct tfs_h5 *h, struct tfs_cursor *c)
{
	return tfs_h5_number(c, h->length_size);
}

/* --- Messages ------------------------------------------------------------------------------------------------------ */

/* Add the block of @len bytes at @at, of which the first @skip and the last @tail aren't messages. */
static int add_block(struct messages *m, uint64_t at, uint64_t len, unsigned skip, unsigned tail)
{
	uint64_t end;

	if (at == TFS_H5_UNDEFINED || ckd_add(&end, at, len) || len < skip + tail)
		return tfs_h5_refuse(m->h, at, "%" PRIu64 " bytes of an object header aren't a block", len);
	if (m->n == MAX_BLOCKS)
		return tfs_h5_refuse(m->h, at, "an object header in more than %d blocks", MAX_BLOCKS);
	m->blocks[m->n++] = (struct block){ at + skip, end - tail };
	return 0;
}

static int read_prefix_v1(struct messages *m, uint64_t at)
{
	struct tfs_cursor c;
	uint32_t size;
	int r = tfs_h5_get(m->h, TFS_H5_HEADERS, at, 16, &c);

	if (r)
		return r;
	tfs_cursor_bytes(&c, 8);
	size = tfs_cursor_u32(&c);
	return add_block(m, at + 16, size, 0, 0);
}

static int read_prefix_v2(struct messages *m, uint64_t at)
{
	struct tfs_cursor c;
	unsigned skip, width;
	uint64_t size;
	uint8_t flags;
	int r = tfs_h5_get(m->h, TFS_H5_HEADERS, at, 6, &c);

	if (r)
		return r;
	tfs_cursor_bytes(&c, 4);
	if (tfs_h5_byte(&c) != 2)
		return tfs_h5_refuse(m->h, at, "an object header of an unknown version");
	flags = tfs_h5_byte(&c);
	m->has_order = flags & 0x4;
	skip = 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
	width = 1u << (flags & 3);
	r = tfs_h5_get(m->h, TFS_H5_HEADERS, at + skip, width, &c);
	if (r)
		return r;
	size = tfs_h5_number(&c, width);
	return add_block(m, at + skip + width, size, 0, 0);
}

/* Read the prefix of the header at @at. */
static int read_prefix(struct messages *m, uint64_t at)
{
	struct tfs_cursor c;
	const uint8_t *p;
	int r = tfs_h5_get(m->h, TFS_H5_HEADERS, at, 4, &c);

	if (r)
		return r;
	p = tfs_cursor_bytes(&c, 4);
	m->is_v2 = !memcmp(p, "OHDR", 4);
	if (!m->is_v2 && p[0] != 1)
		return tfs_h5_refuse(m->h, at, "there is no object header where one should be");
	return m->is_v2 ? read_prefix_v2(m, at) : read_prefix_v1(m, at);
}

/* The message at @at, of a block that ends at @end: *@ret_next is after it. 1: there is none. */
static int read_message(struct messages *m, uint64_t at, uint64_t end, struct tfs_h5_message *ret, uint64_t *ret_next)
{
	unsigned head = m->is_v2 ? 4 + 2 * m->has_order : 8;
	struct tfs_cursor c;
	uint8_t flags;
	int r;

	if (end - at < head) /* a gap */
		return 1;
	r = tfs_h5_get(m->h, TFS_H5_HEADERS, at, head, &c);
	if (r)
		return r;
	ret->type = m->is_v2 ? tfs_h5_byte(&c) : tfs_cursor_u16(&c);
	ret->size = tfs_cursor_u16(&c);
	flags = tfs_h5_byte(&c);
	ret->shared = flags & 2;
	ret->at = at + head;
	if (ret->size > end - ret->at)
		return tfs_h5_refuse(m->h, at, "a message of %" PRIu32 " bytes, in a block with %" PRIu64 " more", ret->size,
				     end - ret->at);
	*ret_next = ret->at + ret->size;
	return 0;
}

static int add_continuation(struct messages *m, const struct tfs_h5_message *message)
{
	struct tfs_cursor c;
	uint64_t at, len;
	int r = tfs_h5_get(m->h, TFS_H5_HEADERS, message->at, message->size, &c);

	if (r)
		return r;
	at = tfs_h5_address(m->h, &c);
	len = tfs_h5_length(m->h, &c);
	if (c.bad)
		return tfs_h5_refuse(m->h, message->at, "a continuation of %" PRIu32 " bytes", message->size);
	return m->is_v2 ? add_block(m, at, len, 4, 4) : add_block(m, at, len, 0, 0); /* its signature and checksum */
}

static int each_message(struct messages *m, tfs_h5_message_fn *fn, void *arg)
{
	struct tfs_h5_message message;
	int r = 0;

	for (size_t i = 0; i < m->n && !r; i++) {
		uint64_t at = m->blocks[i].at;

		while (!r) {
			r = tfs_h5_step(m->h);
			if (!r)
				r = read_message(m, at, m->blocks[i].end, &message, &at);
			if (!r)
				r = message.type == TFS_H5_CONTINUATION ? add_continuation(m, &message) : fn(m->h, &message, arg);
		}
		r = r == 1 ? 0 : r;
	}
	return r;
}

int tfs_h5_messages(struct tfs_h5 *h, uint64_t at, tfs_h5_message_fn *fn, void *arg)
{
	struct messages *m = malloc(sizeof *m);
	int r;

	if (!m)
		return -ENOMEM;
	m->h = h;
	m->n = 0;
	m->has_order = false;
	r = read_prefix(m, at);
	if (!r)
		r = each_message(m, fn, arg);
	free(m);
	return r;
}

/* --- What they say ------------------------------------------------------------------------------------------------- */

static int bad(struct tfs_h5 *h, const struct tfs_h5_message *m, const char *what)
{
	return tfs_h5_refuse(h, m->at, "%s of %" PRIu32 " bytes can't be read", what, m->size);
}

/* Versions 1 and 2 (IV.A.2.b). */
static int read_space(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	struct tfs_h5_object *o = &h->object;
	uint8_t version = tfs_h5_byte(c), ndim = tfs_h5_byte(c), kind;

	tfs_h5_byte(c); /* flags: what follows the dimensions */
	kind = tfs_h5_byte(c);
	if (version == 1)
		tfs_cursor_bytes(c, 4);
	if (version < 1 || version > 2 || ndim > TFS_MAX_DIMS)
		return bad(h, m, "a dataspace");
	for (unsigned i = 0; i < ndim; i++)
		o->dims[i] = tfs_h5_length(h, c);
	o->ndim = ndim;
	o->has_space = true;
	o->is_null = version == 2 && kind == 2;
	return c->bad ? bad(h, m, "a dataspace") : 0;
}

static int read_type(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	int r = tfs_h5_type(h, c, &h->object.type);

	h->object.has_type = true;
	return r == -EINVAL ? bad(h, m, "a datatype") : r;
}

static int find_type(struct tfs_h5 *h, const struct tfs_h5_message *m, void *arg)
{
	struct tfs_cursor c;
	int r;

	(void)arg;
	if (m->type != TFS_H5_DATATYPE || m->shared)
		return 0;
	r = tfs_h5_get(h, TFS_H5_HEADERS, m->at, m->size, &c);
	return r ? r : read_type(h, m, &c);
}

/* The datatype is an object of its own (IV.A.2, "Shared Message"). */
static int read_shared_type(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	uint8_t version = tfs_h5_byte(c), kind = tfs_h5_byte(c);
	uint64_t at;

	if (version == 1)
		tfs_cursor_bytes(c, 6);
	if (version < 1 || version > 3 || (version == 3 && kind != 2)) {
		h->object.has_type = true;
		h->object.type = (struct tfs_h5_type){ .wrong = "its type is in a heap of shared messages, which isn't read" };
		return 0;
	}
	at = tfs_h5_address(h, c);
	return c->bad ? bad(h, m, "a shared datatype") : tfs_h5_messages(h, at, find_type, NULL);
}

/* Version 4's chunks (IV.A.2.i). */
static int read_chunks_v4(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c, struct tfs_h5_layout *l)
{
	uint8_t flags = tfs_h5_byte(c), ndim = tfs_h5_byte(c), width = tfs_h5_byte(c);
	static const uint8_t more[] = { [TFS_H5_FIXED_ARRAY] = 1, [TFS_H5_EXTENSIBLE_ARRAY] = 5, [TFS_H5_BTREE2] = 6 };

	if (!ndim || ndim > TFS_MAX_DIMS + 1 || !width || width > 8)
		return bad(h, m, "a layout");
	l->ndim = ndim - 1;
	for (unsigned i = 0; i < l->ndim; i++)
		l->chunk[i] = tfs_h5_number(c, width);
	tfs_h5_number(c, width);
	l->index = tfs_h5_byte(c);
	if (l->index < TFS_H5_SINGLE || l->index > TFS_H5_BTREE2)
		return bad(h, m, "a layout");
	if (l->index == TFS_H5_SINGLE && flags & 2)
		tfs_cursor_bytes(c, h->length_size + 4);
	tfs_cursor_bytes(c, more[l->index]);
	l->at = tfs_h5_address(h, c);
	return 0;
}

/* Version 3's, and those before it: @ndim is read there. */
static int read_chunks(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c, uint8_t ndim,
		       struct tfs_h5_layout *l)
{
	if (!ndim || ndim > TFS_MAX_DIMS + 1)
		return bad(h, m, "a layout");
	l->ndim = ndim - 1;
	l->at = tfs_h5_address(h, c);
	for (unsigned i = 0; i < l->ndim; i++)
		l->chunk[i] = tfs_cursor_u32(c);
	tfs_cursor_u32(c);
	return 0;
}

static int read_layout_old(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c, struct tfs_h5_layout *l)
{
	uint8_t ndim = tfs_h5_byte(c);

	l->kind = tfs_h5_byte(c);
	l->size = UINT64_MAX;
	tfs_cursor_bytes(c, 5);
	if (l->kind == TFS_H5_CHUNKED)
		return read_chunks(h, m, c, ndim, l);
	if (l->kind == TFS_H5_CONTIGUOUS) {
		l->at = tfs_h5_address(h, c);
		return 0;
	}
	tfs_cursor_bytes(c, 4 * (size_t)ndim);
	l->size = tfs_cursor_u32(c);
	l->at = m->at + m->size - tfs_cursor_left(c);
	return 0;
}

static int read_layout(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	struct tfs_h5_layout *l = &h->object.layout;
	uint8_t version = tfs_h5_byte(c);
	int r = 0;

	if (version < 1 || version > 4)
		return bad(h, m, "a layout of an unknown version,");
	if (version < 3) {
		r = read_layout_old(h, m, c, l);
	} else {
		l->kind = tfs_h5_byte(c);
		if (l->kind == TFS_H5_CONTIGUOUS) {
			l->at = tfs_h5_address(h, c);
			l->size = tfs_h5_length(h, c);
		} else if (l->kind == TFS_H5_COMPACT) {
			l->size = tfs_cursor_u16(c);
			l->at = m->at + 4;
		} else if (l->kind == TFS_H5_CHUNKED) {
			r = version == 4 ? read_chunks_v4(h, m, c, l) : read_chunks(h, m, c, tfs_h5_byte(c), l);
		}
	}
	h->object.has_layout = true;
	if (!r && (c->bad || l->kind > TFS_H5_VIRTUAL || (l->kind == TFS_H5_COMPACT && l->size > tfs_cursor_left(c))))
		r = bad(h, m, "a layout");
	return r;
}

static int read_symbols(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	struct tfs_h5_group *g = &h->object.group;

	g->is_table = h->object.is_group = true;
	g->btree = tfs_h5_address(h, c);
	g->heap = tfs_h5_address(h, c);
	return c->bad ? bad(h, m, "a symbol table") : 0;
}

static int read_link_info(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	struct tfs_h5_group *g = &h->object.group;
	uint8_t version = tfs_h5_byte(c), flags = tfs_h5_byte(c);

	if (flags & 1)
		tfs_cursor_bytes(c, 8);
	g->links_heap = tfs_h5_address(h, c);
	g->links_index = tfs_h5_address(h, c);
	g->has_heap = g->links_heap != TFS_H5_UNDEFINED;
	h->object.is_group = true;
	return version || c->bad ? bad(h, m, "link info") : 0;
}

/* --- Attributes ---------------------------------------------------------------------------------------------------- */

/* Object @index of the global heap collection at @at (III.E) begins with @text? */
static int global_heap_is(struct tfs_h5 *h, uint64_t at, uint32_t index, const char *text, bool *ret)
{
	struct tfs_cursor c;
	size_t len = strlen(text), head = (8 + h->length_size + 7) & ~7; /* aligned to 8 bytes (H5HGpkg.h) */
	uint64_t size, end;
	int r = tfs_h5_get(h, TFS_H5_HEAPS, at, head, &c);

	if (r)
		return r;
	tfs_cursor_bytes(&c, 8);
	size = tfs_h5_length(h, &c);
	if (ckd_add(&end, at, size))
		return tfs_h5_refuse(h, at, "a global heap of %" PRIu64 " bytes", size);
	at += head;
	while (end - at >= head && at < end) {
		uint16_t number;

		r = tfs_h5_get(h, TFS_H5_HEAPS, at, head, &c);
		if (r)
			return r;
		number = tfs_cursor_u16(&c);
		tfs_cursor_bytes(&c, 6);
		size = tfs_h5_length(h, &c);
		at += head;
		if (size > end - at || !number)
			return 0;
		if (number == index && size >= len) {
			r = tfs_h5_get(h, TFS_H5_HEAPS, at, len, &c);
			*ret = !r && !memcmp(c.at, text, len);
			return r;
		}
		size += 7;
		at += size - size % 8;
	}
	return 0;
}

/* Is the value @c of an attribute, a string of @kind (the first byte of its type), "bfloat16"? */
static int is_bfloat16(struct tfs_h5 *h, uint8_t kind, struct tfs_cursor *c, bool *ret)
{
	static const char text[] = "bfloat16";
	uint32_t len, index;
	uint64_t at;

	if ((kind & 0xf) == 3) {
		*ret = tfs_cursor_left(c) >= sizeof text - 1 && !memcmp(c->at, text, sizeof text - 1);
		return 0;
	}
	len = tfs_cursor_u32(c);
	at = tfs_h5_address(h, c);
	index = tfs_cursor_u32(c);
	if ((kind & 0xf) != 9 || c->bad || len != sizeof text - 1)
		return 0;
	return global_heap_is(h, at, index, text, ret);
}

/* Versions 1 to 3 (IV.A.2.m). Those that matter: Keras's list of weights, and its dtype of an opaque dataset. */
static int read_attribute(struct tfs_h5 *h, const struct tfs_h5_message *m, struct tfs_cursor *c)
{
	static const char weights[] = "weight_names", dtype[] = "dtype";
	uint8_t version = tfs_h5_byte(c);
	size_t name_len, type_len, space_len;
	const uint8_t *name, *type;

	tfs_h5_byte(c);
	name_len = tfs_cursor_u16(c);
	type_len = tfs_cursor_u16(c);
	space_len = tfs_cursor_u16(c);
	if (version == 3)
		tfs_h5_byte(c);
	if (version < 1 || version > 3 || c->bad)
		return bad(h, m, "an attribute");
	name = tfs_cursor_bytes(c, version == 1 ? (name_len + 7) & ~(size_t)7 : name_len);
	type = tfs_cursor_bytes(c, version == 1 ? (type_len + 7) & ~(size_t)7 : type_len);
	tfs_cursor_bytes(c, version == 1 ? (space_len + 7) & ~(size_t)7 : space_len);
	if (c->bad || !name || !type)
		return bad(h, m, "an attribute");
	/* It is in pieces, weight_names0 and so on, where it is too long for a header. */
	if (name_len >= sizeof weights - 1 && !memcmp(name, weights, sizeof weights - 1))
		h->object.group.has_weight_names = true;
	if (name_len == sizeof dtype && !memcmp(name, dtype, sizeof dtype) && type_len)
		return is_bfloat16(h, *type, c, &h->object.is_bfloat16);
	return 0;
}

/* --- The object ---------------------------------------------------------------------------------------------------- */

static int read_one(struct tfs_h5 *h, const struct tfs_h5_message *m, void *arg)
{
	struct tfs_cursor c;
	int r;

	(void)arg;
	switch (m->type) {
	case TFS_H5_LINK:
		h->object.is_group = h->object.group.has_links = true;
		return 0;
	case TFS_H5_EXTERNAL:
		h->object.is_external = true;
		return 0;
	case TFS_H5_DATASPACE:
	case TFS_H5_LINK_INFO:
	case TFS_H5_DATATYPE:
	case TFS_H5_LAYOUT:
	case TFS_H5_FILTERS:
	case TFS_H5_ATTRIBUTE:
	case TFS_H5_SYMBOLS:
		break;
	default:
		return 0;
	}
	r = tfs_h5_get(h, TFS_H5_HEADERS, m->at, m->size, &c);
	if (r)
		return r;
	if (m->shared && m->type != TFS_H5_DATATYPE)
		return m->type == TFS_H5_ATTRIBUTE ? 0 : bad(h, m, "a message that is shared with others");
	switch (m->type) {
	case TFS_H5_DATASPACE:
		return read_space(h, m, &c);
	case TFS_H5_LINK_INFO:
		return read_link_info(h, m, &c);
	case TFS_H5_DATATYPE:
		return m->shared ? read_shared_type(h, m, &c) : read_type(h, m, &c);
	case TFS_H5_LAYOUT:
		return read_layout(h, m, &c);
	case TFS_H5_FILTERS:
		tfs_h5_byte(&c);
		h->object.is_filtered = tfs_h5_byte(&c);
		return 0;
	case TFS_H5_ATTRIBUTE:
		return read_attribute(h, m, &c);
	default:
		return read_symbols(h, m, &c);
	}
}

int tfs_h5_object(struct tfs_h5 *h, uint64_t at)
{
	memset(&h->object, 0, sizeof h->object);
	h->object.group.header = at;
	return tfs_h5_messages(h, at, read_one, NULL);
}
