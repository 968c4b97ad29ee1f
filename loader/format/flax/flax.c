/* SPDX-License-Identifier: MIT */
/*
 * Flax: the parameters of a model in MessagePack (github.com/msgpack/msgpack, spec.md), as flax/serialization.py writes them: maps in
 * maps, whose leaves are extensions:
 *
 *	1	an ndarray: in MessagePack again, an array of its shape, its dtype's name and its bytes in C order
 *	2	a complex number: an array of two floats
 *	3	a NumPy scalar: like an ndarray without dimensions
 *
 * An ndarray of more than 1 GiB is a map: {"__msgpack_chunked_array__": true, "shape": {"0": …}, "chunks": {"0": ndarray, …}}, whose
 * pieces follow each other in the flattened array. A name is the path of keys, separated by dots. Only what is around the arrays is
 * read. Python's numbers, texts and bytes aren't tensors, and passed over.
 */
#include "format/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/flax/msgpack.h"
#include "format/numpy/type.h"
#include "format/pieces.h"
#include "storage/storage.h"

#define EXTENSION ".msgpack"

/* A path of keys; no real name is that long. */
#define MAX_NAME 4096u

static const char chunked_key[] = "__msgpack_chunked_array__";

enum { EXT_NDARRAY = 1, EXT_COMPLEX = 2, EXT_SCALAR = 3 };

struct flax {
	struct tfs_msgpack m;
	const char *file_name;
	struct tfs_catalog *catalog;
	unsigned parts;
	size_t len; /* of the path */
	struct tfs_pieces pieces;
	char path[MAX_NAME];
};

/* A tensor that is being read. */
struct leaf {
	const struct tfs_dtype *dtype;
	uint8_t swap;
	unsigned ndim;
	uint64_t shape[TFS_MAX_DIMS];
	uint64_t offset, nbytes;
	uint64_t why_at;
	char why[160]; /* why it is left out, or "" */
};

static int walk(struct flax *f);

/* It can't be read for this reason. The first one is kept. */
static __attribute__((cold, format(printf, 3, 4))) void leave_out(struct leaf *l, uint64_t at, const char *fmt, ...)
{
	va_list ap;

	if (*l->why)
		return;
	l->why_at = at;
	va_start(ap, fmt);
	vsnprintf(l->why, sizeof l->why, fmt, ap);
	va_end(ap);
}

/* --- Names --------------------------------------------------------------------------------------------------------- */

static int too_long(struct flax *f, uint64_t at)
{
	return tfs_error_set(f->m.err, -EINVAL, at, "the path of keys to a value is longer than %u bytes", MAX_NAME);
}

static int put_bytes(struct flax *f, uint64_t at, const void *s, uint64_t len)
{
	if (len > MAX_NAME - f->len)
		return too_long(f, at);
	memcpy(f->path + f->len, s, len);
	f->len += len;
	return 0;
}

static int put_number(struct flax *f, uint64_t at, const char *before, uint64_t n)
{
	char text[32];

	return put_bytes(f, at, text, snprintf(text, sizeof text, "%s%" PRIu64, before, n));
}

/* Append the key @it, whose content is next, and move past it. One that is neither text nor a number is `#` and its position. */
static int put_key(struct flax *f, const struct tfs_msgpack_item *it, uint64_t position)
{
	const uint8_t *p = NULL;
	int r = f->parts > 1 ? put_bytes(f, it->at, ".", 1) : 0;

	if (r)
		return r;
	if (it->kind == TFS_MSGPACK_INT && !it->negative)
		return put_number(f, it->at, "", it->value);
	if (it->kind == TFS_MSGPACK_STR || it->kind == TFS_MSGPACK_BIN) {
		r = it->value > MAX_NAME ? too_long(f, it->at) : tfs_window_get(&f->m.window, f->m.at, it->value, &p);
		if (r)
			return r;
		if (tfs_utf8_valid((const char *)p, it->value)) {
			r = put_bytes(f, it->at, p, it->value);
			f->m.at += it->value;
			return r;
		}
	}
	r = tfs_msgpack_skip(&f->m, it);
	return r ? r : put_number(f, it->at, "#", position);
}

/* --- Tensors ------------------------------------------------------------------------------------------------------- */

/* The array @it of numbers, whose content is next, as @l's shape. */
static int read_shape(struct flax *f, const struct tfs_msgpack_item *it, uint64_t end, struct leaf *l)
{
	struct tfs_msgpack_item dim;
	int r = 0;

	for (uint64_t i = 0; i < it->value && !r; i++) {
		r = tfs_msgpack_next(&f->m, end, &dim);
		if (!r && (dim.kind != TFS_MSGPACK_INT || dim.negative))
			leave_out(l, dim.at, "a dimension that isn't a positive number");
		if (!r && i >= TFS_MAX_DIMS)
			leave_out(l, dim.at, "%" PRIu64 " dimensions; the limit is %d", it->value, TFS_MAX_DIMS);
		if (*l->why)
			return r;
		l->shape[i] = dim.value;
		l->ndim = i + 1;
	}
	return r;
}

/* NumPy's name of the dtype, which is next. */
static int read_dtype(struct flax *f, const struct tfs_msgpack_item *it, struct leaf *l)
{
	char word[TFS_NPY_WORD], quoted[TFS_QUOTE_SIZE];
	struct tfs_npy_type type;
	const uint8_t *p;
	int r;

	if (it->value >= sizeof word) {
		leave_out(l, it->at, "the name of its dtype has %" PRIu64 " bytes", it->value);
		return 0;
	}
	r = tfs_window_get(&f->m.window, f->m.at, it->value, &p);
	if (r)
		return r;
	memcpy(word, p, it->value);
	word[it->value] = '\0';
	if (strlen(word) != it->value || tfs_npy_type_parse(word, &type) || type.kind == 'O' || !type.size) {
		leave_out(l, it->at, "dtype %s isn't one of numbers", tfs_quote(quoted, sizeof quoted, (const char *)p, it->value));
		return 0;
	}
	l->dtype = tfs_npy_type_dtype(&type, f->catalog, &l->swap);
	return l->dtype ? 0 : -ENOMEM;
}

/* Expect a value of @kind, or of @other, that ends before @end; else @l is left out. */
static int expect(struct flax *f, uint64_t end, enum tfs_msgpack_kind kind, enum tfs_msgpack_kind other, const char *what,
		  struct leaf *l, struct tfs_msgpack_item *ret)
{
	int r = tfs_msgpack_next(&f->m, end, ret);

	if (!r && ret->kind != kind && ret->kind != other)
		leave_out(l, ret->at, "its %s isn't where an ndarray has it", what);
	return r;
}

/* The bytes, which are next; and nothing follows them. */
static void take_bytes(struct flax *f, const struct tfs_msgpack_item *it, uint64_t end, struct leaf *l)
{
	uint64_t nbytes;

	if (tfs_dtype_nbytes(l->dtype, l->shape, l->ndim, &nbytes) || nbytes != it->value)
		leave_out(l, it->at, "dtype %s and its shape don't make %" PRIu64 " bytes", l->dtype->name, it->value);
	if (end - f->m.at != it->value)
		leave_out(l, it->at, "its bytes don't end with its extension");
	l->offset = f->m.at;
	l->nbytes = it->value;
}

/* Read the ndarray in the extension @ext, whose content is next and is passed. If it can't be read, @l says why. */
static int read_ndarray(struct flax *f, const struct tfs_msgpack_item *ext, struct leaf *l)
{
	uint64_t end = f->m.at + ext->value;
	struct tfs_msgpack_item it;
	int r = expect(f, end, TFS_MSGPACK_ARRAY, TFS_MSGPACK_ARRAY, "array", l, &it);

	if (!r && !*l->why && it.value != 3)
		leave_out(l, it.at, "an ndarray of %" PRIu64 " parts, not 3", it.value);
	if (!r && !*l->why)
		r = expect(f, end, TFS_MSGPACK_ARRAY, TFS_MSGPACK_ARRAY, "shape", l, &it);
	if (!r && !*l->why)
		r = read_shape(f, &it, end, l);
	if (!r && !*l->why)
		r = expect(f, end, TFS_MSGPACK_STR, TFS_MSGPACK_BIN, "dtype", l, &it);
	if (!r && !*l->why)
		r = read_dtype(f, &it, l);
	if (!r && !*l->why) {
		f->m.at += it.value;
		r = expect(f, end, TFS_MSGPACK_BIN, TFS_MSGPACK_STR, "bytes", l, &it);
	}
	if (!r && !*l->why)
		take_bytes(f, &it, end, l);
	/* What is inside an extension is for this tensor alone. */
	if (r == -EINVAL) {
		leave_out(l, f->m.err->offset, "%s", f->m.err->what);
		r = 0;
	}
	f->m.at = end;
	return r;
}

/* What is the whole file is named after it. */
static void name_after_file(struct flax *f)
{
	const char *name = f->file_name;
	size_t len = tfs_format_stem(name);

	if (!tfs_utf8_valid(name, len) || len > MAX_NAME) {
		name = "tensor";
		len = strlen(name);
	}
	memcpy(f->path, name, len);
	f->len = len;
}

/* Add @l under the current path, or leave it out. @how: its encoding but for the swap; NULL: plain. */
static int add(struct flax *f, const struct leaf *l, const struct tfs_encoding *how)
{
	struct tfs_encoding e = how ? *how : (struct tfs_encoding){ .length = l->nbytes };
	int r;

	if (!f->parts)
		name_after_file(f);
	if (*l->why)
		return tfs_catalog_leave_out(f->catalog, f->path, f->len, l->why_at, "%s", l->why);
	e.swap = l->swap;
	r = tfs_catalog_add(f->catalog, f->path, f->len, l->dtype, l->shape, l->ndim, l->offset, l->nbytes);
	if (!r && (e.swap || e.n_segments))
		r = tfs_catalog_encode(f->catalog, NULL, &e);
	return r;
}

/* An array of two floats of 8 bytes, each after the byte that says so. */
static int read_complex(struct flax *f, const struct tfs_msgpack_item *ext)
{
	struct leaf l = { .dtype = tfs_dtype_by_name("C128", 4), .swap = 8, .offset = f->m.at + 2, .nbytes = 16 };
	const struct tfs_segment halves[] = { { f->m.at + 2, 0 }, { f->m.at + 11, 8 } };
	const struct tfs_encoding how = { .length = 17, .segments = halves, .n_segments = 2 };
	const uint8_t *p;
	int r = 0;

	if (ext->value == 19)
		r = tfs_window_get(&f->m.window, f->m.at, 19, &p);
	if (r)
		return r;
	if (ext->value != 19 || p[0] != 0x92 || p[1] != 0xcb || p[10] != 0xcb)
		leave_out(&l, ext->at, "a complex number that isn't two floats");
	f->m.at += ext->value;
	return add(f, &l, &how);
}

static int read_ext(struct flax *f, const struct tfs_msgpack_item *ext)
{
	struct leaf l = { 0 };
	int r;

	if (ext->type == EXT_COMPLEX)
		return read_complex(f, ext);
	if (ext->type != EXT_NDARRAY && ext->type != EXT_SCALAR)
		return tfs_msgpack_skip(&f->m, ext);
	r = read_ndarray(f, ext, &l);
	return r ? r : add(f, &l, NULL);
}

/* --- Arrays in pieces ------------------------------------------------------------------------------------------------ */

struct chunk {
	uint64_t number, offset, nbytes;
};

struct chunked {
	struct leaf leaf;
	struct chunk *chunks;
	size_t n, room;
	uint64_t seen; /* a bit for each dimension that was given */
};

/* The number in decimal that is a key, as flax writes positions; else UINT64_MAX. Moves past it. */
static int read_position(struct flax *f, const struct tfs_msgpack_item *it, uint64_t *ret)
{
	const uint8_t *p;
	int r = 0;

	*ret = UINT64_MAX;
	if ((it->kind == TFS_MSGPACK_STR || it->kind == TFS_MSGPACK_BIN) && it->value && it->value < 10) {
		r = tfs_window_get(&f->m.window, f->m.at, it->value, &p);
		*ret = 0;
		for (uint64_t i = 0; i < it->value && !r && *ret != UINT64_MAX; i++)
			*ret = p[i] >= '0' && p[i] <= '9' ? *ret * 10 + (p[i] - '0') : UINT64_MAX;
	}
	return r ? r : tfs_msgpack_skip(&f->m, it);
}

static int read_dim(struct flax *f, struct chunked *c, uint64_t position, const struct tfs_msgpack_item *it)
{
	if (position >= TFS_MAX_DIMS || it->kind != TFS_MSGPACK_INT || it->negative) {
		leave_out(&c->leaf, it->at, "its shape isn't a map of positions to dimensions");
		return tfs_msgpack_skip(&f->m, it);
	}
	c->leaf.shape[position] = it->value;
	c->seen |= UINT64_C(1) << position;
	return 0;
}

static int read_chunk(struct flax *f, struct chunked *c, uint64_t position, const struct tfs_msgpack_item *it)
{
	struct leaf part = { 0 };
	int r;

	if (position == UINT64_MAX || it->kind != TFS_MSGPACK_EXT || it->type != EXT_NDARRAY) {
		leave_out(&c->leaf, it->at, "its chunks aren't a map of positions to ndarrays");
		return tfs_msgpack_skip(&f->m, it);
	}
	r = read_ndarray(f, it, &part);
	if (r)
		return r;
	if (!*part.why && c->n && part.dtype != c->leaf.dtype)
		leave_out(&part, it->at, "chunks of %s and of %s", c->leaf.dtype->name, part.dtype->name);
	if (!*part.why && c->n == TFS_MAX_PIECES)
		leave_out(&part, it->at, "more than %u chunks", TFS_MAX_PIECES);
	if (*part.why) {
		leave_out(&c->leaf, part.why_at, "%s", part.why);
		return 0;
	}
	c->leaf.dtype = part.dtype;
	c->leaf.swap = part.swap;
	if (tfs_share_scratch(f->m.in->share, sizeof *c->chunks) || tfs_array_room(c->chunks, c->n, c->room))
		return -ENOMEM;
	c->chunks[c->n++] = (struct chunk){ position, part.offset, part.nbytes };
	return 0;
}

/* The map @map, whose content is next, of positions to what @read reads. */
static int read_positions(struct flax *f, const struct tfs_msgpack_item *map, struct chunked *c,
			  int (*read)(struct flax *f, struct chunked *c, uint64_t position, const struct tfs_msgpack_item *it))
{
	struct tfs_msgpack_item it;
	uint64_t position = 0;
	int r = 0;

	if (map->kind != TFS_MSGPACK_MAP) {
		leave_out(&c->leaf, map->at, "its shape, or its chunks, aren't a map");
		return tfs_msgpack_skip(&f->m, map);
	}
	for (uint64_t i = 0; i < map->value && !r; i++) {
		r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
		if (!r)
			r = read_position(f, &it, &position);
		if (!r)
			r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
		if (!r)
			r = read(f, c, position, &it);
	}
	return r;
}

static int by_number(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Put the chunks together; @at: of the map, for errors. */
static int join(struct flax *f, struct chunked *c, uint64_t at, struct tfs_encoding *ret)
{
	cleanup_free const void **order = reallocarray(NULL, c->n + 1, 2 * sizeof *order);
	struct leaf *l = &c->leaf;
	uint64_t done = 0;
	int r = order ? 0 : -ENOMEM;

	tfs_pieces_clear(&f->pieces);
	if (c->seen & (c->seen + 1))
		leave_out(l, at, "its shape lacks a dimension");
	for (size_t i = 0; i < c->n && !r; i++)
		order[i] = &c->chunks[i];
	if (!r)
		tfs_sort(order, c->n, order + c->n, by_number);
	for (size_t i = 0; i < c->n && !r; i++) {
		const struct chunk *chunk = order[i];

		if (chunk->number != i)
			leave_out(l, at, "chunk %zu is missing, or there are two of a number", i);
		r = tfs_pieces_add(&f->pieces, done, chunk->offset, chunk->nbytes);
		done += chunk->nbytes; /* disjoint parts of the file */
	}
	if (r || *l->why)
		return r;
	l->ndim = (unsigned)__builtin_popcountll(c->seen);
	if (!c->n)
		leave_out(l, at, "it has no chunks");
	else if (tfs_dtype_nbytes(l->dtype, l->shape, l->ndim, &l->nbytes) || l->nbytes != done)
		leave_out(l, at, "dtype %s and its shape don't make the %" PRIu64 " bytes of its chunks", l->dtype->name, done);
	else
		r = tfs_pieces_encode(&f->pieces, l->nbytes, &l->offset, ret);
	return r;
}

/* The map @map, one of whose keys says that it is an array in pieces. */
static int read_chunked(struct flax *f, const struct tfs_msgpack_item *map)
{
	struct chunked c = { 0 };
	struct tfs_encoding how = { 0 };
	struct tfs_msgpack_item it;
	bool shape = false, chunks = false;
	int r = 0;

	for (uint64_t i = 0; i < map->value && !r; i++) {
		uint64_t at;

		r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
		at = f->m.at;
		if (!r)
			r = tfs_msgpack_is(&f->m, &it, "shape", &shape);
		if (!r && !shape) {
			f->m.at = at;
			r = tfs_msgpack_is(&f->m, &it, "chunks", &chunks);
		}
		if (!r)
			r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
		if (!r)
			r = shape  ? read_positions(f, &it, &c, read_dim) :
			    chunks ? read_positions(f, &it, &c, read_chunk) :
				     tfs_msgpack_skip(&f->m, &it);
	}
	if (!r)
		r = join(f, &c, map->at, &how);
	if (!r)
		r = add(f, &c.leaf, &how);
	free(c.chunks);
	return r;
}

/* --- All ----------------------------------------------------------------------------------------------------------- */

/* The value that is next, whose part of the path is there. */
static int walk_part(struct flax *f)
{
	int r;

	if (f->m.depth == TFS_MSGPACK_MAX_DEPTH)
		return tfs_error_set(f->m.err, -EINVAL, f->m.at, "MessagePack: nested deeper than %d values",
				     TFS_MSGPACK_MAX_DEPTH);
	f->m.depth++;
	r = walk(f);
	f->m.depth--;
	return r;
}

static bool is_container(const struct tfs_msgpack_item *it)
{
	return it->kind == TFS_MSGPACK_ARRAY || it->kind == TFS_MSGPACK_MAP;
}

/* Pass over the value that is next, unless it is deeper than those of an array in pieces: a map of plain values. */
static int skip_shallow(struct flax *f, bool *ret_shallow)
{
	struct tfs_msgpack_item it;
	int r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
	uint64_t n = it.kind == TFS_MSGPACK_MAP ? 2 * it.value : 0;

	*ret_shallow = it.kind != TFS_MSGPACK_ARRAY;
	if (r || !n)
		return r || !*ret_shallow ? r : tfs_msgpack_skip(&f->m, &it);
	while (n-- && !r && *ret_shallow) {
		r = tfs_msgpack_next(&f->m, f->m.in->size, &it);
		*ret_shallow = !r && !is_container(&it);
		if (*ret_shallow)
			r = tfs_msgpack_skip(&f->m, &it);
	}
	return r;
}

/*
 * Is the map @map, whose content is next, an array in pieces? flax writes the key that says so first; others may have it after the shape or
 * the chunks. What is looked at for that is at most three levels deep, so no value more than three times. Stays where it is.
 */
static int is_chunked(struct flax *f, const struct tfs_msgpack_item *map, bool *ret)
{
	const uint64_t start = f->m.at;
	struct tfs_msgpack_item key;
	bool goes_on = true;
	int r = 0;

	*ret = false;
	for (uint64_t i = 0; i < map->value && !r && !*ret && goes_on; i++) {
		uint64_t at;

		r = tfs_msgpack_next(&f->m, f->m.in->size, &key);
		at = f->m.at;
		if (!r)
			r = tfs_msgpack_is(&f->m, &key, chunked_key, ret);
		if (r || *ret)
			break;
		f->m.at = at;
		if (!i)
			r = tfs_msgpack_is(&f->m, &key, "shape", &goes_on);
		if (!r && !i && !goes_on) {
			f->m.at = at;
			r = tfs_msgpack_is(&f->m, &key, "chunks", &goes_on);
		}
		if (!r && i)
			r = tfs_msgpack_skip(&f->m, &key);
		if (!r && goes_on)
			r = skip_shallow(f, &goes_on);
	}
	f->m.at = start;
	return r;
}

static int walk_map(struct flax *f, const struct tfs_msgpack_item *map)
{
	size_t len = f->len;
	struct tfs_msgpack_item key;
	bool chunked = false;
	int r = is_chunked(f, map, &chunked);

	if (r)
		return r;
	f->parts++;
	for (uint64_t i = 0; i < map->value && !r && !chunked; i++) {
		r = tfs_msgpack_next(&f->m, f->m.in->size, &key);
		if (!r)
			r = put_key(f, &key, i);
		if (!r)
			r = walk_part(f);
		f->len = len;
	}
	f->parts--;
	return r || !chunked ? r : read_chunked(f, map);
}

static int walk_array(struct flax *f, const struct tfs_msgpack_item *array)
{
	size_t len = f->len;
	int r = 0;

	f->parts++;
	for (uint64_t i = 0; i < array->value && !r; i++) {
		r = put_number(f, array->at, f->parts > 1 ? "." : "", i);
		if (!r)
			r = walk_part(f);
		f->len = len;
	}
	f->parts--;
	return r;
}

static int walk(struct flax *f)
{
	struct tfs_msgpack_item it;
	int r = tfs_msgpack_next(&f->m, f->m.in->size, &it);

	if (r)
		return r;
	switch (it.kind) {
	case TFS_MSGPACK_MAP:
		return walk_map(f, &it);
	case TFS_MSGPACK_ARRAY:
		return walk_array(f, &it);
	case TFS_MSGPACK_EXT:
		return read_ext(f, &it);
	default:
		return tfs_msgpack_skip(&f->m, &it);
	}
}

static int read_file(struct flax *f)
{
	int r = walk(f);

	if (!r && f->m.at != f->m.in->size)
		r = tfs_error_set(f->m.err, -EINVAL, f->m.at, "MessagePack: %" PRIu64 " bytes follow its value",
				  f->m.in->size - f->m.at);
	return r ? r : tfs_catalog_make_unique(f->catalog);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct flax *f = malloc(sizeof *f);
	int r;

	if (!f)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a reader of MessagePack");
	tfs_msgpack_init(&f->m, in, err);
	f->file_name = file_name;
	f->catalog = catalog;
	f->parts = 0;
	f->len = 0;
	f->pieces = (struct tfs_pieces){ 0 };
	r = read_file(f);
	tfs_pieces_fini(&f->pieces);
	free(f);
	return r;
}

/* Maps, their keys and plain values up to the first ndarray. */
static bool recognises(const struct tfs_sample *s)
{
	struct tfs_cursor c = tfs_cursor(s->start, s->len);
	struct tfs_msgpack_item it;
	bool first = true;
	size_t n;

	for (; (n = tfs_msgpack_first(c.at, tfs_cursor_left(&c), &it)); first = false) {
		tfs_cursor_bytes(&c, n);
		if (first && (it.kind != TFS_MSGPACK_MAP || !it.value))
			return false;
		if (it.kind == TFS_MSGPACK_EXT) {
			const uint8_t *inner = tfs_cursor_bytes(&c, 2);

			return inner && (it.type == EXT_NDARRAY || it.type == EXT_SCALAR) && inner[0] == 0x93 &&
			       (inner[1] & 0xf0) == 0x90;
		}
		if ((it.kind == TFS_MSGPACK_STR || it.kind == TFS_MSGPACK_BIN) && !tfs_cursor_bytes(&c, it.value))
			return false;
	}
	return false;
}

/* transformers' index joins the keys by slashes (modeling_flax_utils.py, flax_shard_checkpoint()). */
static char *indexed(char *name, size_t *len) /* NOLINT(readability-non-const-parameter): of struct tfs_format */
{
	for (size_t i = 0; i < *len; i++)
		if (name[i] == '/')
			name[i] = '.';
	return name;
}

const struct tfs_format tfs_format_flax = {
	.name = "flax",
	.what = "a Flax file",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.shard_ext = EXTENSION,
	.indexed = indexed,
	.recognises = recognises,
	.parse = parse,
};
