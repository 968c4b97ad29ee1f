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
#include "format/numpy/type.h"
#include "format/pieces.h"
#include "format/window.h"
#include "storage/storage.h"

#define EXTENSION ".msgpack"

/* Python's reader stops at 512 or 1024, by its version (msgpack/unpack_template.h); and this uses our own stack. */
#define MAX_DEPTH 512

/* A path of keys; no real name is that long. */
#define MAX_NAME 4096u

static const char chunked_key[] = "__msgpack_chunked_array__";

enum { EXT_NDARRAY = 1, EXT_COMPLEX = 2, EXT_SCALAR = 3 };

enum kind { OTHER, INT, STR, BIN, ARRAY, MAP, EXT };

/* A value's first bytes. */
struct item {
	enum kind kind;
	int8_t type;	/* EXT */
	bool negative;	/* INT: then its value isn't used */
	uint64_t at;	/* in the file */
	uint64_t value; /* INT: the number; STR, BIN, EXT: bytes; ARRAY, MAP: elements, or pairs */
};

struct flax {
	const struct tfs_input *in;
	const char *file_name;
	struct tfs_catalog *catalog;
	struct tfs_error *err;
	uint64_t at; /* the next byte */
	unsigned depth, parts;
	size_t len; /* of the path */
	struct tfs_pieces pieces;
	char path[MAX_NAME];
	struct tfs_window window;
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

/* --- MessagePack --------------------------------------------------------------------------------------------------- */

/* What a byte begins: the number of bytes after it that have a number, or a length. */
struct lead {
	enum kind kind;
	uint8_t width;
	bool fixed; /* not a number of that many bytes, but @value */
	bool is_signed;
	uint8_t value, skip; /* bytes of a value that isn't a number to us */
};

static bool lead_of(uint8_t b, struct lead *ret)
{
	static const struct lead leads[] = {
		[0x00] = { .kind = OTHER, .fixed = true }, /* nil */
		[0x02] = { .kind = OTHER, .fixed = true }, /* false and true */
		[0x03] = { .kind = OTHER, .fixed = true },
		[0x04] = { BIN, 1 },
		[0x05] = { BIN, 2 },
		[0x06] = { BIN, 4 },
		[0x07] = { EXT, 1 },
		[0x08] = { EXT, 2 },
		[0x09] = { EXT, 4 },
		[0x0a] = { .kind = OTHER, .fixed = true, .skip = 4 }, /* floats */
		[0x0b] = { .kind = OTHER, .fixed = true, .skip = 8 },
		[0x0c] = { INT, 1 },
		[0x0d] = { INT, 2 },
		[0x0e] = { INT, 4 },
		[0x0f] = { INT, 8 },
		[0x10] = { INT, 1, .is_signed = true },
		[0x11] = { INT, 2, .is_signed = true },
		[0x12] = { INT, 4, .is_signed = true },
		[0x13] = { INT, 8, .is_signed = true },
		[0x14] = { .kind = EXT, .fixed = true, .value = 1 },
		[0x15] = { .kind = EXT, .fixed = true, .value = 2 },
		[0x16] = { .kind = EXT, .fixed = true, .value = 4 },
		[0x17] = { .kind = EXT, .fixed = true, .value = 8 },
		[0x18] = { .kind = EXT, .fixed = true, .value = 16 },
		[0x19] = { STR, 1 },
		[0x1a] = { STR, 2 },
		[0x1b] = { STR, 4 },
		[0x1c] = { ARRAY, 2 },
		[0x1d] = { ARRAY, 4 },
		[0x1e] = { MAP, 2 },
		[0x1f] = { MAP, 4 },
	};

	if (b < 0x80)
		*ret = (struct lead){ .kind = INT, .fixed = true, .value = b };
	else if (b < 0x90)
		*ret = (struct lead){ .kind = MAP, .fixed = true, .value = b & 0xf };
	else if (b < 0xa0)
		*ret = (struct lead){ .kind = ARRAY, .fixed = true, .value = b & 0xf };
	else if (b < 0xc0)
		*ret = (struct lead){ .kind = STR, .fixed = true, .value = b & 0x1f };
	else if (b < 0xe0)
		*ret = leads[b - 0xc0];
	else
		*ret = (struct lead){ .kind = INT, .fixed = true, .is_signed = true, .value = 0xff };
	return b != 0xc1; /* never used */
}

/* The big-endian number of @width bytes. */
static uint64_t number_at(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

/* What is wrong with @it, whose content is to end within @left bytes? */
static int check_size(struct flax *f, const struct item *it, uint64_t left)
{
	static const char *const names[] = {
		[STR] = "a string", [BIN] = "bytes", [EXT] = "an extension", [ARRAY] = "an array", [MAP] = "a map"
	};
	uint64_t least = it->kind == MAP ? 2 : 1; /* bytes of each */

	if (it->kind < STR || it->value <= left / least)
		return 0;
	return tfs_error_set(f->err, -EINVAL, it->at, "%s of %" PRIu64 " %s, where at most %" PRIu64 " bytes follow",
			     names[it->kind], it->value,
			     it->kind == MAP   ? "pairs" :
			     it->kind == ARRAY ? "elements" :
						 "bytes",
			     left);
}

/* Read the next value, which ends before @end, as far as its first bytes: what it contains is next. */
static int next_item(struct flax *f, uint64_t end, struct item *ret)
{
	struct lead lead;
	const uint8_t *p;
	unsigned more;
	int r = tfs_share_scratch(f->in->share, 0); /* takes time */

	*ret = (struct item){ .at = f->at };
	if (r)
		return r;
	if (f->at >= end)
		return tfs_error_set(f->err, -EINVAL, f->at, "MessagePack: the data ends where a value should begin");
	r = tfs_window_get(&f->window, f->at, 1, &p);
	if (r)
		return r;
	if (!lead_of(*p, &lead))
		return tfs_error_set(f->err, -EINVAL, f->at, "MessagePack: byte 0xc1, which nothing begins with");
	more = lead.width + lead.skip + (lead.kind == EXT);
	if (end - f->at - 1 < more)
		return tfs_error_set(f->err, -EINVAL, f->at, "MessagePack: the data ends within a value");
	r = tfs_window_get(&f->window, f->at + 1, more, &p);
	if (r)
		return r;
	ret->kind = lead.kind;
	ret->value = lead.fixed ? lead.value : number_at(p, lead.width);
	ret->negative = lead.is_signed && (lead.fixed || p[0] & 0x80);
	ret->type = lead.kind == EXT ? (int8_t)p[lead.width] : 0;
	f->at += 1 + more;
	return check_size(f, ret, end - f->at);
}

/* Pass over what @it contains. */
static int skip_content(struct flax *f, const struct item *it)
{
	uint64_t n = it->kind == ARRAY ? it->value : it->kind == MAP ? 2 * it->value : 0;
	struct item inner;
	int r = 0;

	if (it->kind == STR || it->kind == BIN || it->kind == EXT)
		f->at += it->value;
	if (n && f->depth == MAX_DEPTH)
		return tfs_error_set(f->err, -EINVAL, it->at, "MessagePack: nested deeper than %d values", MAX_DEPTH);
	f->depth++;
	while (n-- && !r) {
		r = next_item(f, f->in->size, &inner);
		if (!r)
			r = skip_content(f, &inner);
	}
	f->depth--;
	return r;
}

/* Is the string @it, whose content is next, @text? Moves past it. */
static int is_text(struct flax *f, const struct item *it, const char *text, bool *ret)
{
	size_t len = strlen(text);
	const uint8_t *p;
	int r = 0;

	*ret = false;
	if ((it->kind == STR || it->kind == BIN) && it->value == len) {
		r = tfs_window_get(&f->window, f->at, len, &p);
		*ret = !r && !memcmp(p, text, len);
	}
	return r ? r : skip_content(f, it);
}

/* --- Names --------------------------------------------------------------------------------------------------------- */

static int too_long(struct flax *f, uint64_t at)
{
	return tfs_error_set(f->err, -EINVAL, at, "the path of keys to a value is longer than %u bytes", MAX_NAME);
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
static int put_key(struct flax *f, const struct item *it, uint64_t position)
{
	const uint8_t *p;
	int r = f->parts > 1 ? put_bytes(f, it->at, ".", 1) : 0;

	if (r)
		return r;
	if (it->kind == INT && !it->negative)
		return put_number(f, it->at, "", it->value);
	if (it->kind == STR || it->kind == BIN) {
		r = it->value > MAX_NAME ? too_long(f, it->at) : tfs_window_get(&f->window, f->at, it->value, &p);
		if (r)
			return r;
		if (tfs_utf8_valid((const char *)p, it->value)) {
			r = put_bytes(f, it->at, p, it->value);
			f->at += it->value;
			return r;
		}
	}
	r = skip_content(f, it);
	return r ? r : put_number(f, it->at, "#", position);
}

/* --- Tensors ------------------------------------------------------------------------------------------------------- */

/* The array @it of numbers, whose content is next, as @l's shape. */
static int read_shape(struct flax *f, const struct item *it, uint64_t end, struct leaf *l)
{
	struct item dim;
	int r = 0;

	for (uint64_t i = 0; i < it->value && !r; i++) {
		r = next_item(f, end, &dim);
		if (!r && (dim.kind != INT || dim.negative))
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
static int read_dtype(struct flax *f, const struct item *it, struct leaf *l)
{
	char word[TFS_NPY_WORD], quoted[TFS_QUOTE_SIZE];
	struct tfs_npy_type type;
	const uint8_t *p;
	int r;

	if (it->value >= sizeof word) {
		leave_out(l, it->at, "the name of its dtype has %" PRIu64 " bytes", it->value);
		return 0;
	}
	r = tfs_window_get(&f->window, f->at, it->value, &p);
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
static int expect(struct flax *f, uint64_t end, enum kind kind, enum kind other, const char *what, struct leaf *l, struct item *ret)
{
	int r = next_item(f, end, ret);

	if (!r && ret->kind != kind && ret->kind != other)
		leave_out(l, ret->at, "its %s isn't where an ndarray has it", what);
	return r;
}

/* The bytes, which are next; and nothing follows them. */
static void take_bytes(struct flax *f, const struct item *it, uint64_t end, struct leaf *l)
{
	uint64_t nbytes;

	if (tfs_dtype_nbytes(l->dtype, l->shape, l->ndim, &nbytes) || nbytes != it->value)
		leave_out(l, it->at, "dtype %s and its shape don't make %" PRIu64 " bytes", l->dtype->name, it->value);
	if (end - f->at != it->value)
		leave_out(l, it->at, "its bytes don't end with its extension");
	l->offset = f->at;
	l->nbytes = it->value;
}

/* Read the ndarray in the extension @ext, whose content is next and is passed. If it can't be read, @l says why. */
static int read_ndarray(struct flax *f, const struct item *ext, struct leaf *l)
{
	uint64_t end = f->at + ext->value;
	struct item it;
	int r = expect(f, end, ARRAY, ARRAY, "array", l, &it);

	if (!r && !*l->why && it.value != 3)
		leave_out(l, it.at, "an ndarray of %" PRIu64 " parts, not 3", it.value);
	if (!r && !*l->why)
		r = expect(f, end, ARRAY, ARRAY, "shape", l, &it);
	if (!r && !*l->why)
		r = read_shape(f, &it, end, l);
	if (!r && !*l->why)
		r = expect(f, end, STR, BIN, "dtype", l, &it);
	if (!r && !*l->why)
		r = read_dtype(f, &it, l);
	if (!r && !*l->why) {
		f->at += it.value;
		r = expect(f, end, BIN, STR, "bytes", l, &it);
	}
	if (!r && !*l->why)
		take_bytes(f, &it, end, l);
	/* What is inside an extension is for this tensor alone. */
	if (r == -EINVAL) {
		leave_out(l, f->err->offset, "%s", f->err->what);
		r = 0;
	}
	f->at = end;
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
static int read_complex(struct flax *f, const struct item *ext)
{
	struct leaf l = { .dtype = tfs_dtype_by_name("C128", 4), .swap = 8, .offset = f->at + 2, .nbytes = 16 };
	const struct tfs_segment halves[] = { { f->at + 2, 0 }, { f->at + 11, 8 } };
	const struct tfs_encoding how = { .length = 17, .segments = halves, .n_segments = 2 };
	const uint8_t *p;
	int r = 0;

	if (ext->value == 19)
		r = tfs_window_get(&f->window, f->at, 19, &p);
	if (r)
		return r;
	if (ext->value != 19 || p[0] != 0x92 || p[1] != 0xcb || p[10] != 0xcb)
		leave_out(&l, ext->at, "a complex number that isn't two floats");
	f->at += ext->value;
	return add(f, &l, &how);
}

static int read_ext(struct flax *f, const struct item *ext)
{
	struct leaf l = { 0 };
	int r;

	if (ext->type == EXT_COMPLEX)
		return read_complex(f, ext);
	if (ext->type != EXT_NDARRAY && ext->type != EXT_SCALAR)
		return skip_content(f, ext);
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
static int read_position(struct flax *f, const struct item *it, uint64_t *ret)
{
	const uint8_t *p;
	int r = 0;

	*ret = UINT64_MAX;
	if ((it->kind == STR || it->kind == BIN) && it->value && it->value < 10) {
		r = tfs_window_get(&f->window, f->at, it->value, &p);
		*ret = 0;
		for (uint64_t i = 0; i < it->value && !r && *ret != UINT64_MAX; i++)
			*ret = p[i] >= '0' && p[i] <= '9' ? *ret * 10 + (p[i] - '0') : UINT64_MAX;
	}
	return r ? r : skip_content(f, it);
}

static int read_dim(struct flax *f, struct chunked *c, uint64_t position, const struct item *it)
{
	if (position >= TFS_MAX_DIMS || it->kind != INT || it->negative) {
		leave_out(&c->leaf, it->at, "its shape isn't a map of positions to dimensions");
		return skip_content(f, it);
	}
	c->leaf.shape[position] = it->value;
	c->seen |= UINT64_C(1) << position;
	return 0;
}

static int read_chunk(struct flax *f, struct chunked *c, uint64_t position, const struct item *it)
{
	struct leaf part = { 0 };
	int r;

	if (position == UINT64_MAX || it->kind != EXT || it->type != EXT_NDARRAY) {
		leave_out(&c->leaf, it->at, "its chunks aren't a map of positions to ndarrays");
		return skip_content(f, it);
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
	if (tfs_share_scratch(f->in->share, sizeof *c->chunks) || tfs_array_room(c->chunks, c->n, c->room))
		return -ENOMEM;
	c->chunks[c->n++] = (struct chunk){ position, part.offset, part.nbytes };
	return 0;
}

/* The map @map, whose content is next, of positions to what @read reads. */
static int read_positions(struct flax *f, const struct item *map, struct chunked *c,
			  int (*read)(struct flax *f, struct chunked *c, uint64_t position, const struct item *it))
{
	struct item it;
	uint64_t position = 0;
	int r = 0;

	if (map->kind != MAP) {
		leave_out(&c->leaf, map->at, "its shape, or its chunks, aren't a map");
		return skip_content(f, map);
	}
	for (uint64_t i = 0; i < map->value && !r; i++) {
		r = next_item(f, f->in->size, &it);
		if (!r)
			r = read_position(f, &it, &position);
		if (!r)
			r = next_item(f, f->in->size, &it);
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

/* The rest of the map @map, whose first key said that it is an array in pieces. */
static int read_chunked(struct flax *f, const struct item *map)
{
	struct chunked c = { 0 };
	struct tfs_encoding how = { 0 };
	struct item it;
	bool shape = false, chunks = false;
	int r = next_item(f, f->in->size, &it);

	if (!r)
		r = skip_content(f, &it);
	for (uint64_t i = 1; i < map->value && !r; i++) {
		uint64_t at;

		r = next_item(f, f->in->size, &it);
		at = f->at;
		if (!r)
			r = is_text(f, &it, "shape", &shape);
		if (!r && !shape) {
			f->at = at;
			r = is_text(f, &it, "chunks", &chunks);
		}
		if (!r)
			r = next_item(f, f->in->size, &it);
		if (!r)
			r = shape  ? read_positions(f, &it, &c, read_dim) :
			    chunks ? read_positions(f, &it, &c, read_chunk) :
				     skip_content(f, &it);
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

	if (f->depth == MAX_DEPTH)
		return tfs_error_set(f->err, -EINVAL, f->at, "MessagePack: nested deeper than %d values", MAX_DEPTH);
	f->depth++;
	r = walk(f);
	f->depth--;
	return r;
}

static int walk_map(struct flax *f, const struct item *map)
{
	size_t len = f->len;
	struct item key;
	bool chunked = false;
	int r = 0;

	f->parts++;
	for (uint64_t i = 0; i < map->value && !r; i++) {
		uint64_t at;

		r = next_item(f, f->in->size, &key);
		at = f->at;
		if (!r && !i)
			r = is_text(f, &key, chunked_key, &chunked);
		if (r || chunked)
			break;
		f->at = at;
		r = put_key(f, &key, i);
		if (!r)
			r = walk_part(f);
		f->len = len;
	}
	f->parts--;
	return r || !chunked ? r : read_chunked(f, map);
}

static int walk_array(struct flax *f, const struct item *array)
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
	struct item it;
	int r = next_item(f, f->in->size, &it);

	if (r)
		return r;
	switch (it.kind) {
	case MAP:
		return walk_map(f, &it);
	case ARRAY:
		return walk_array(f, &it);
	case EXT:
		return read_ext(f, &it);
	default:
		return skip_content(f, &it);
	}
}

static int read_file(struct flax *f)
{
	int r = walk(f);

	if (!r && f->at != f->in->size)
		r = tfs_error_set(f->err, -EINVAL, f->at, "MessagePack: %" PRIu64 " bytes follow its value", f->in->size - f->at);
	return r ? r : tfs_catalog_make_unique(f->catalog);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct flax *f = malloc(sizeof *f);
	int r;

	if (!f)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a reader of MessagePack");
	f->in = in;
	f->file_name = file_name;
	f->catalog = catalog;
	f->err = err;
	f->at = 0;
	f->depth = f->parts = 0;
	f->len = 0;
	f->pieces = (struct tfs_pieces){ 0 };
	tfs_window_init(&f->window, in, err);
	r = read_file(f);
	tfs_pieces_fini(&f->pieces);
	free(f);
	return r;
}

/* Maps, their keys and plain values up to the first ndarray. */
static bool recognises(const struct tfs_sample *s)
{
	struct tfs_cursor c = tfs_cursor(s->start, s->len);
	struct lead lead;
	const uint8_t *p;
	bool first = true;

	for (; (p = tfs_cursor_bytes(&c, 1)) && lead_of(*p, &lead); first = false) {
		const uint8_t *n = tfs_cursor_bytes(&c, lead.width);
		uint64_t value = lead.fixed ? lead.value : n ? number_at(n, lead.width) : 0;

		if (!n || (first && (lead.kind != MAP || !value)))
			return false;
		if (lead.kind == EXT) {
			const uint8_t *type = tfs_cursor_bytes(&c, 3);

			return type && (type[0] == EXT_NDARRAY || type[0] == EXT_SCALAR) && type[1] == 0x93 &&
			       (type[2] & 0xf0) == 0x90;
		}
		if (!tfs_cursor_bytes(&c, lead.skip + (lead.kind == STR || lead.kind == BIN ? value : 0)))
			return false;
	}
	return false;
}

/* transformers' index joins the keys by slashes (modeling_flax_utils.py, flax_shard_checkpoint()). */
static char *indexed(char *name, size_t *len)
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
