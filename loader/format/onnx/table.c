/* SPDX-License-Identifier: MIT */
/* What an ONNX file has, with names: kept until all of it is read, as duplicate names are known only then. */
#include "format/onnx/impl.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"

/*
 * Tensors in one file: ten times those of the largest models, whose experts are separate tensors. A hostile file needs 6 bytes for
 * one, we about 200.
 */
#define MAX_TENSORS (1u << 20)

/* --- Names ------------------------------------------------------------------------------------------------------- */

/* A name that is being built. */
struct name {
	struct tfs_pb *pb;
	uint64_t at; /* of the field that it begins with */
	size_t len;
	char s[TFS_ONNX_MAX_NAME];
};

/* Room for @len bytes more, or NULL, with the error filled. */
static char *room_in(struct name *n, uint64_t len)
{
	char *at = n->s + n->len;

	if (len > TFS_ONNX_MAX_NAME - n->len) {
		tfs_error_set(n->pb->err, -EINVAL, n->at, "the name of a tensor has more than %u bytes", TFS_ONNX_MAX_NAME);
		return NULL;
	}
	n->len += len;
	return at;
}

static int append_text(struct name *n, const char *s)
{
	char *to = room_in(n, strlen(s));

	if (!to)
		return -EINVAL;
	memcpy(to, s, strlen(s));
	return 0;
}

static int append_field(struct name *n, const struct tfs_pb_field *f)
{
	char *to = room_in(n, f->value);

	return to ? tfs_pb_copy(n->pb, f, to, f->value) : -EINVAL;
}

/* The name of another tensor. */
static int make_name(struct tfs_onnx *o, const struct tfs_pb_field *base, const struct tfs_pb_field *attribute, const char *suffix,
		     struct tfs_onnx_text *ret)
{
	const struct tfs_onnx_table *table = &o->table;
	struct name n;
	int r;

	if (table->n_records + table->n_unreadable + table->strings.n + table->unwritten.n == MAX_TENSORS)
		return tfs_error_set(o->pb.err, -EINVAL, base->tag_at, "more than %u tensors", MAX_TENSORS);
	n.pb = &o->pb;
	n.at = base->tag_at;
	n.len = 0;
	r = append_field(&n, base);
	if (!r && attribute)
		r = append_text(&n, ".");
	if (!r && attribute)
		r = append_field(&n, attribute);
	if (!r)
		r = append_text(&n, suffix);
	if (r)
		return r;
	if (!tfs_utf8_valid(n.s, n.len))
		return tfs_error_set(o->pb.err, -EINVAL, n.at, "the name of a tensor isn't valid UTF-8");
	o->table.name_bytes += n.len;
	if (o->table.name_bytes > TFS_ONNX_MAX_NAMES)
		return tfs_error_set(o->pb.err, -EINVAL, n.at, "the names of the tensors have more than %zu bytes together",
				     TFS_ONNX_MAX_NAMES);
	ret->s = tfs_arena_copy(&o->table.arena, n.s, n.len);
	ret->len = n.len;
	return ret->s ? 0 : -ENOMEM;
}

/* --- Records ----------------------------------------------------------------------------------------------------- */

static void *keep(struct tfs_onnx *o, const void *data, size_t size)
{
	void *copy = tfs_arena_alloc(&o->table.arena, size, alignof(uint64_t));

	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

static int keep_encoding(struct tfs_onnx *o, const struct tfs_onnx_tensor *t, const struct tfs_encoding **ret)
{
	const struct tfs_encoding *from = t->encoding;
	struct tfs_encoding *how = keep(o, from, sizeof *how);

	if (!how)
		return -ENOMEM;
	if (from->strides)
		how->strides = keep(o, from->strides, t->ndim * sizeof *from->strides);
	if (from->segments)
		how->segments = keep(o, from->segments, from->n_segments * sizeof *from->segments);
	*ret = how;
	return (from->strides && !how->strides) || (from->segments && !how->segments) ? -ENOMEM : 0;
}

static int keep_location(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_onnx_text *ret)
{
	char *s = tfs_arena_alloc(&o->table.arena, f->value, 1);
	int r = s ? tfs_pb_copy(&o->pb, f, s, f->value) : -ENOMEM;

	if (!r)
		*ret = (struct tfs_onnx_text){ s, f->value };
	return r;
}

static int omit(struct tfs_onnx *o, struct tfs_onnx_omitted *omitted, const struct tfs_pb_field *base,
		const struct tfs_pb_field *attribute, const char *suffix)
{
	struct tfs_onnx_text name = { 0 };
	int r = make_name(o, base, attribute, suffix, &name);

	if (!r && !omitted->n++) {
		omitted->first = name.s;
		omitted->first_len = name.len;
	}
	return r;
}

int tfs_onnx_add_unwritten(struct tfs_onnx *o, const struct tfs_pb_field *base)
{
	return omit(o, &o->table.unwritten, base, NULL, "");
}

int tfs_onnx_add(struct tfs_onnx *o, const struct tfs_onnx_tensor *t, const struct tfs_pb_field *base,
		 const struct tfs_pb_field *attribute, const char *suffix, uint32_t scope, bool is_value)
{
	struct tfs_onnx_table *table = &o->table;
	struct tfs_onnx_record rec = {
		.dtype = t->dtype,
		.offset = t->offset,
		.nbytes = t->nbytes,
		.ndim = (uint8_t)t->ndim,
		.scope = scope,
		.depth = o->scopes[scope].depth,
		.is_value = is_value,
	};
	int r;

	if (!*t->why && !t->dtype)
		return omit(o, &table->strings, base, attribute, suffix);
	r = make_name(o, base, attribute, suffix, &rec.name);
	if (r)
		return r;
	if (*t->why) {
		table->n_unreadable++;
		return tfs_catalog_leave_out(o->catalog, rec.name.s, rec.name.len, t->why_at, "%s", t->why);
	}
	rec.shown = rec.name;
	rec.dims = keep(o, t->dims, t->ndim * sizeof *t->dims);
	if (!rec.dims)
		return -ENOMEM;
	if (t->encoding)
		r = keep_encoding(o, t, &rec.encoding);
	if (!r && t->location.number)
		r = keep_location(o, &t->location, &rec.location);
	if (r)
		return r;
	if (tfs_array_room(table->records, table->n_records, table->room))
		return -ENOMEM;
	table->records[table->n_records++] = rec;
	table->dims += t->ndim;
	return 0;
}

/* --- The tensors together ---------------------------------------------------------------------------------------- */

int tfs_onnx_by_name(const void *a, const void *b)
{
	const struct tfs_onnx_record *x = a, *y = b;

	return tfs_name_cmp(x->name.s, x->name.len, y->name.s, y->name.len);
}

/* Equal names from the outermost graph inwards; otherwise order is kept. */
static int by_rank(const void *a, const void *b)
{
	const struct tfs_onnx_record *x = a, *y = b;
	int c = tfs_onnx_by_name(a, b);

	return c ? c : (x->depth > y->depth) - (x->depth < y->depth);
}

/* Does the file have a tensor of this name? @order is by name. */
static bool is_taken(const void *const *order, size_t n, struct tfs_onnx_text name)
{
	const struct tfs_onnx_record key = { .name = name };

	return tfs_sorted_have(order, n, &key, tfs_onnx_by_name);
}

/* Append `~2` to the second tensor with a name, and so on. No two such names are equal, but the file may already contain one. */
static int rename_others(struct tfs_onnx_table *table, const void *const *order)
{
	size_t n = table->n_records, copy = 1;

	for (size_t i = 1; i < n; i++) {
		struct tfs_onnx_record *rec = (struct tfs_onnx_record *)order[i];
		struct tfs_onnx_text name;
		char *s;

		if (tfs_onnx_by_name(order[i - 1], rec)) {
			copy = 1;
			continue;
		}
		s = tfs_arena_alloc(&table->arena, rec->name.len + 24, 1);
		if (!s)
			return -ENOMEM;
		memcpy(s, rec->name.s, rec->name.len);
		do
			name = (struct tfs_onnx_text){ s, rec->name.len + sprintf(s + rec->name.len, "~%zu", ++copy) };
		while (is_taken(order, n, name));
		rec->shown = name;
	}
	return 0;
}

/* Append what @omitted has, as @one or @many, to the @len bytes in @text; returns the new length. */
static size_t describe(char *text, size_t size, size_t len, const struct tfs_onnx_omitted *omitted, const char *one,
		       const char *many)
{
	char quoted[TFS_QUOTE_SIZE];

	if (!omitted->n)
		return len;
	tfs_quote(quoted, sizeof quoted, omitted->first, omitted->first_len);
	return len + snprintf(text + len, size - len, "%s%zu %s left out, the first is %s", len ? "; " : "", omitted->n,
			      omitted->n == 1 ? one : many, quoted);
}

static int warn_omitted(const struct tfs_onnx *o)
{
	const struct tfs_onnx_table *table = &o->table;
	char text[2 * (TFS_QUOTE_SIZE + 100)];
	size_t len = describe(text, sizeof text, 0, &table->strings, "tensor of strings", "tensors of strings");

	len = describe(text, sizeof text, len, &table->unwritten, "number that is 0 and not written",
		       "numbers that are 0 and not written");
	return len ? tfs_catalog_note(o->catalog, TFS_NO_OFFSET, "%s", text) : 0;
}

int tfs_onnx_catalog(struct tfs_onnx *o)
{
	struct tfs_onnx_table *table = &o->table;
	struct tfs_catalog *catalog = o->catalog;
	size_t n = table->n_records;
	cleanup_free const void **order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	int r;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &table->records[i];
	tfs_sort(order, n, order + n, by_rank);
	r = rename_others(table, order);
	if (!r)
		r = tfs_catalog_reserve(catalog, n, table->name_bytes, table->dims);
	for (size_t i = 0; i < n && !r; i++) {
		struct tfs_onnx_record *rec = (struct tfs_onnx_record *)order[i];

		rec->at = i;
		r = tfs_catalog_add(catalog, rec->shown.s, rec->shown.len, rec->dtype, rec->dims, rec->ndim, rec->offset,
				    rec->nbytes);
		if (!r && rec->encoding)
			r = tfs_catalog_encode(catalog, NULL, rec->encoding);
		if (!r && rec->location.s)
			r = tfs_catalog_external(catalog, rec->location.s, rec->location.len);
	}
	if (!r)
		r = tfs_onnx_make_recipes(o, order, n);
	return r ? r : warn_omitted(o);
}

void tfs_onnx_fini(struct tfs_onnx *o)
{
	free(o->values.segments);
	free(o->table.records);
	free(o->scopes);
	free(o->uses);
	tfs_arena_fini(&o->table.arena);
}
