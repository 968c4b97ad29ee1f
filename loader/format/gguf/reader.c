/* SPDX-License-Identifier: MIT */
#include "format/gguf/reader.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "storage/storage.h"

/*
 * Size of a read. Large enough that the number of calls doesn't matter, small enough to allocate one for each of many small files.
 */
#define BUFFER ((size_t)256 << 10)

/* The longest record except for values: a tensor's. It is in the buffer completely, so its name doesn't move. */
#define RECORD (8 + TFS_GGUF_MAX_NAME + 4 + TFS_GGUF_MAX_DIMS * 8 + 4 + 8)

#define MAGIC	    "GGUF"
#define MAGIC_DRAFT "FUGG" /* of big-endian files, as proposed for llama.cpp more than once; in the end the version tells */

static const struct {
	const char *name;
	unsigned size; /* bytes of a value; 0: it contains its length */
} types[TFS_GGUF_TYPES] = {
	[TFS_GGUF_UINT8] = { "uint8", 1 },     [TFS_GGUF_INT8] = { "int8", 1 },	    [TFS_GGUF_UINT16] = { "uint16", 2 },
	[TFS_GGUF_INT16] = { "int16", 2 },     [TFS_GGUF_UINT32] = { "uint32", 4 }, [TFS_GGUF_INT32] = { "int32", 4 },
	[TFS_GGUF_FLOAT32] = { "float32", 4 }, [TFS_GGUF_BOOL] = { "bool", 1 },	    [TFS_GGUF_STRING] = { "string", 0 },
	[TFS_GGUF_ARRAY] = { "array", 0 },     [TFS_GGUF_UINT64] = { "uint64", 8 }, [TFS_GGUF_INT64] = { "int64", 8 },
	[TFS_GGUF_FLOAT64] = { "float64", 8 },
};

const char *tfs_gguf_type_name(enum tfs_gguf_type type)
{
	return types[type].name;
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

int tfs_gguf_refuse(struct tfs_gguf *g, uint64_t offset, const char *fmt, ...)
{
	const char *kind = g->in == TFS_GGUF_IN_KEY ? "key" : "tensor";
	char name[TFS_QUOTE_SIZE], what[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (g->in == TFS_GGUF_IN_HEAD)
		return tfs_error_set(g->err, -EINVAL, offset, "%s", what);
	if (g->named)
		return tfs_error_set(g->err, -EINVAL, offset, "%s %s: %s", kind, tfs_quote(name, sizeof name, g->name, g->name_len),
				     what);
	return tfs_error_set(g->err, -EINVAL, offset, "%s %" PRIu64 " of %" PRIu64 ": %s", kind,
			     g->in == TFS_GGUF_IN_KEY ? g->keys_read + 1 : g->tensors_read + 1,
			     g->in == TFS_GGUF_IN_KEY ? g->n_keys : g->n_tensors, what);
}

static __attribute__((cold)) int refuse_end(struct tfs_gguf *g)
{
	if (g->limit < g->input->size)
		return tfs_gguf_refuse(g, g->limit, "the header is longer than the limit of %u bytes", TFS_GGUF_MAX_HEADER);
	return tfs_gguf_refuse(g, g->input->size, "the file ends within the header");
}

/* From now on errors are about this one; only the displayed part of its name is kept. */
static void set_name(struct tfs_gguf *g, const char *name, size_t len)
{
	g->name_len = len < sizeof g->name ? len : sizeof g->name;
	memcpy(g->name, name, g->name_len);
	g->named = true;
}

/* --- Bytes ------------------------------------------------------------------------------------------------------- */

static uint64_t left(const struct tfs_gguf *g)
{
	return g->limit - g->at;
}

/* How many of the bytes from g->at on are in the buffer. */
static uint64_t buffered(const struct tfs_gguf *g)
{
	uint64_t end = g->buf_at + g->buf_len;

	return g->at >= g->buf_at && g->at < end ? end - g->at : 0;
}

/* Load at least @n bytes at g->at into the buffer; the file has that many. */
static int fill(struct tfs_gguf *g, size_t n)
{
	size_t want, have = buffered(g);
	char *buf;
	int r;

	if (n > g->room || !g->buf) {
		want = n > BUFFER ? n : BUFFER;
		if (tfs_share_scratch(g->input->share, want - g->room))
			return -ENOMEM;
		buf = realloc(g->buf, want);
		if (!buf)
			return tfs_error_set(g->err, -ENOMEM, g->at, "no memory for %zu bytes of the header", want);
		g->buf = buf;
		g->room = want;
	}
	memmove(g->buf, g->buf + (have ? g->at - g->buf_at : 0), have);
	g->buf_at = g->at;
	g->buf_len = have;
	want = left(g) < g->room ? left(g) : g->room;
	r = tfs_input_read(g->input, g->buf + have, want - have, g->at + have, g->err);
	if (!r)
		g->buf_len = want;
	return r;
}

/* The next @n bytes, which don't move until the next fill(). NULL: g->failed says why. */
static inline const char *take(struct tfs_gguf *g, uint64_t n)
{
	const char *p;

	if (buffered(g) < n) {
		g->failed = n > left(g) ? refuse_end(g) : fill(g, n);
		if (g->failed)
			return NULL;
	}
	p = g->buf + (g->at - g->buf_at);
	g->at += n;
	return p;
}

/* Load the next record, or all that is left, into the buffer, so take() moves nothing while it is read. */
static int settle(struct tfs_gguf *g)
{
	uint64_t want = left(g) < RECORD ? left(g) : RECORD;

	return buffered(g) < want ? fill(g, want) : 0;
}

static int take_u32(struct tfs_gguf *g, uint32_t *ret)
{
	const char *p = take(g, sizeof(uint32_t));
	uint32_t v;

	if (!p)
		return g->failed;
	memcpy(&v, p, sizeof v);
	*ret = g->big_endian ? be32toh(v) : le32toh(v);
	return 0;
}

static int take_u64(struct tfs_gguf *g, uint64_t *ret)
{
	const char *p = take(g, sizeof(uint64_t));
	uint64_t v;

	if (!p)
		return g->failed;
	memcpy(&v, p, sizeof v);
	*ret = g->big_endian ? be64toh(v) : le64toh(v);
	return 0;
}

/* Bytes of a count, a length or a dimension: version 1 used 32 bits for them. */
static unsigned length_size(const struct tfs_gguf *g)
{
	return g->version == 1 ? 4 : 8;
}

static int take_length(struct tfs_gguf *g, uint64_t *ret)
{
	uint32_t v = 0;
	int r;

	if (g->version != 1)
		return take_u64(g, ret);
	r = take_u32(g, &v);
	if (!r)
		*ret = v;
	return r;
}

static int take_name(struct tfs_gguf *g, const char **ret, size_t *ret_len)
{
	uint64_t at = g->at, len = 0;
	int r = take_length(g, &len);

	if (!r && len > TFS_GGUF_MAX_NAME)
		return tfs_gguf_refuse(g, at, "a name of %" PRIu64 " bytes; the limit is %u", len, TFS_GGUF_MAX_NAME);
	if (r)
		return r;
	*ret = take(g, len);
	if (!*ret)
		return g->failed;
	*ret_len = len;
	set_name(g, *ret, len);
	return 0;
}

static int take_type(struct tfs_gguf *g, enum tfs_gguf_type *ret)
{
	uint64_t at = g->at;
	uint32_t v = 0;
	int r = take_u32(g, &v);

	if (!r && v >= TFS_GGUF_TYPES)
		return tfs_gguf_refuse(g, at, "values of type %" PRIu32 "; types 0 to %d are known", v, TFS_GGUF_TYPES - 1);
	*ret = (enum tfs_gguf_type)v;
	return r;
}

/* --- The head ---------------------------------------------------------------------------------------------------- */

static int check_magic(struct tfs_gguf *g)
{
	const char *p;

	if (g->input->size < strlen(MAGIC))
		return tfs_gguf_refuse(g, 0, "the file has %" PRIu64 " bytes, the magic alone is 4", g->input->size);
	p = take(g, strlen(MAGIC));
	if (!p)
		return g->failed;
	if (!memcmp(p, MAGIC, strlen(MAGIC)))
		return 0;
	if (!memcmp(p, MAGIC_DRAFT, strlen(MAGIC_DRAFT)))
		return tfs_gguf_refuse(g, 0, "starts with \"FUGG\", a draft of big-endian GGUF that was not adopted");
	return tfs_gguf_refuse(g, 0, "isn't a GGUF file: doesn't start with \"%s\"", MAGIC);
}

static int read_version(struct tfs_gguf *g)
{
	int r = take_u32(g, &g->version);

	/* A small number, so its byte order can be told from its halves (ggml/src/gguf.cpp, gguf-py's gguf_reader.py). */
	if (!r && g->version && !(g->version & 0xffff)) {
		g->big_endian = true;
		g->version = __builtin_bswap32(g->version);
	}
	if (!r && (g->version < 1 || g->version > 3))
		return tfs_gguf_refuse(g, 4, "version %" PRIu32 "; versions 1 to 3 are supported", g->version);
	return r;
}

/* Check both counts against the bytes that are left, at the minimum size of a key and a tensor. */
static int check_counts(struct tfs_gguf *g, uint64_t tensors_at, uint64_t keys_at)
{
	const uint64_t key_min = length_size(g) + 1 + 4 + 1, tensor_min = length_size(g) + 4 + 4 + 8;
	uint64_t have = g->input->size - g->at;

	if (g->n_keys > have / key_min)
		return tfs_gguf_refuse(g, keys_at, "%" PRIu64 " keys don't fit in the %" PRIu64 " bytes that are left", g->n_keys,
				       have);
	have -= g->n_keys * key_min;
	if (g->n_tensors > have / tensor_min)
		return tfs_gguf_refuse(g, tensors_at, "%" PRIu64 " tensors don't fit in the %" PRIu64 " bytes that are left",
				       g->n_tensors, have);
	if (g->n_keys > TFS_GGUF_MAX_KEYS)
		return tfs_gguf_refuse(g, keys_at, "%" PRIu64 " keys; the limit is %u", g->n_keys, TFS_GGUF_MAX_KEYS);
	if (g->n_tensors > TFS_GGUF_MAX_TENSORS)
		return tfs_gguf_refuse(g, tensors_at, "%" PRIu64 " tensors; the limit is %u", g->n_tensors, TFS_GGUF_MAX_TENSORS);
	return 0;
}

int tfs_gguf_open(struct tfs_gguf *g, const struct tfs_input *in, struct tfs_error *err)
{
	uint64_t tensors_at, keys_at;
	int r;

	*g = (struct tfs_gguf){
		.input = in,
		.limit = in->size < TFS_GGUF_MAX_HEADER ? in->size : TFS_GGUF_MAX_HEADER,
		.err = err,
	};
	r = check_magic(g);
	if (!r)
		r = read_version(g);
	tensors_at = g->at;
	if (!r)
		r = take_length(g, &g->n_tensors);
	keys_at = g->at;
	if (!r)
		r = take_length(g, &g->n_keys);
	return r ? r : check_counts(g, tensors_at, keys_at);
}

void tfs_gguf_close(struct tfs_gguf *g)
{
	free(g->buf);
	g->buf = NULL;
}

/* --- Keys and values --------------------------------------------------------------------------------------------- */

int tfs_gguf_key(struct tfs_gguf *g, struct tfs_gguf_key *ret)
{
	uint64_t at = g->at;
	int r;

	if (g->keys_read == g->n_keys)
		return 0;
	g->in = TFS_GGUF_IN_KEY;
	g->named = false;
	r = settle(g);
	if (!r)
		r = take_name(g, &ret->name, &ret->len);
	if (!r && !ret->len)
		return tfs_gguf_refuse(g, at, "has no name");
	if (!r)
		r = take_type(g, &ret->type);
	if (r)
		return r;
	g->keys_read++;
	return 1;
}

int tfs_gguf_number(struct tfs_gguf *g, enum tfs_gguf_type type, union tfs_gguf_number *ret)
{
	unsigned size = types[type].size;
	const char *p;
	uint64_t v = 0;
	uint32_t bits;
	float f;

	assert(size);
	p = take(g, size);
	if (!p)
		return g->failed;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | (unsigned char)p[g->big_endian ? i : size - 1 - i];
	switch (type) {
	case TFS_GGUF_INT8:
		ret->i = (int8_t)v;
		break;
	case TFS_GGUF_INT16:
		ret->i = (int16_t)v;
		break;
	case TFS_GGUF_INT32:
		ret->i = (int32_t)v;
		break;
	case TFS_GGUF_INT64:
		ret->i = (int64_t)v;
		break;
	case TFS_GGUF_FLOAT32:
		bits = v;
		memcpy(&f, &bits, sizeof f);
		ret->f = f;
		break;
	case TFS_GGUF_FLOAT64:
		memcpy(&ret->f, &v, sizeof v);
		break;
	case TFS_GGUF_BOOL: /* ggml's reader: anything but 0 is true */
		ret->u = v != 0;
		break;
	default:
		ret->u = v;
	}
	return 0;
}

/* The length of a string, checked against the bytes left. */
static inline int take_string_length(struct tfs_gguf *g, uint64_t *ret)
{
	uint64_t at = g->at;
	int r = take_length(g, ret);

	if (!r && *ret > left(g)) {
		if (*ret > g->input->size - g->at)
			return tfs_gguf_refuse(g, at, "a string of %" PRIu64 " bytes where %" PRIu64 " are left", *ret,
					       g->input->size - g->at);
		return refuse_end(g);
	}
	return r;
}

int tfs_gguf_string(struct tfs_gguf *g, const char **ret, size_t *ret_len)
{
	uint64_t len = 0;
	int r = take_string_length(g, &len);

	if (r)
		return r;
	*ret = take(g, len);
	*ret_len = len;
	return *ret ? 0 : g->failed;
}

int tfs_gguf_array(struct tfs_gguf *g, unsigned depth, struct tfs_gguf_array *ret)
{
	uint64_t at = g->at, least;
	unsigned each;
	int r;

	if (depth >= TFS_GGUF_MAX_NESTING)
		return tfs_gguf_refuse(g, at, "arrays nested deeper than %u", TFS_GGUF_MAX_NESTING);
	r = take_type(g, &ret->of);
	at = g->at;
	if (!r)
		r = take_length(g, &ret->count);
	if (r)
		return r;
	each = types[ret->of].size;
	if (!each)
		each = length_size(g) + (ret->of == TFS_GGUF_ARRAY ? 4 : 0);
	if (ckd_mul(&least, ret->count, each) || least > g->input->size - g->at)
		return tfs_gguf_refuse(g, at, "an array of %" PRIu64 " %s values where %" PRIu64 " bytes are left", ret->count,
				       types[ret->of].name, g->input->size - g->at);
	return least > left(g) ? refuse_end(g) : 0;
}

static int skip_strings(struct tfs_gguf *g, uint64_t count)
{
	uint64_t len = 0;

	for (uint64_t i = 0; i < count; i++) {
		int r = take_string_length(g, &len);

		if (r)
			return r;
		g->at += len;
	}
	return 0;
}

int tfs_gguf_skip(struct tfs_gguf *g, enum tfs_gguf_type type, uint64_t count, unsigned depth)
{
	struct tfs_gguf_array array = { 0 };
	uint64_t bytes;
	int r = 0;

	if (type == TFS_GGUF_STRING)
		return skip_strings(g, count);
	if (type != TFS_GGUF_ARRAY) {
		if (ckd_mul(&bytes, count, types[type].size) || bytes > left(g))
			return refuse_end(g);
		g->at += bytes;
		return 0;
	}
	for (uint64_t i = 0; i < count && !r; i++) {
		r = tfs_gguf_array(g, depth, &array);
		if (!r)
			r = tfs_gguf_skip(g, array.of, array.count, depth + 1);
	}
	return r;
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

static int take_shape(struct tfs_gguf *g, struct tfs_gguf_tensor *t)
{
	uint64_t at = g->at;
	uint32_t n = 0;
	int r = take_u32(g, &n);

	if (!r && n > TFS_GGUF_MAX_DIMS)
		return tfs_gguf_refuse(g, at, "%" PRIu32 " dimensions; the limit is %u", n, TFS_GGUF_MAX_DIMS);
	t->ndim = n;
	while (!r && n--) { /* the fastest comes first */
		at = g->at;
		r = take_length(g, &t->shape[n]);
		if (!r && t->shape[n] > INT64_MAX)
			return tfs_gguf_refuse(g, at, "a dimension of %" PRIu64 " elements", t->shape[n]);
	}
	return r;
}

int tfs_gguf_tensor(struct tfs_gguf *g, struct tfs_gguf_tensor *ret)
{
	int r;

	assert(g->keys_read == g->n_keys);
	if (g->tensors_read == g->n_tensors)
		return 0;
	g->in = TFS_GGUF_IN_TENSOR;
	g->named = false;
	r = settle(g);
	if (!r)
		r = take_name(g, &ret->name, &ret->name_len);
	if (!r)
		r = take_shape(g, ret);
	if (!r)
		r = take_u32(g, &ret->type);
	if (!r)
		r = take_u64(g, &ret->offset);
	if (r)
		return r;
	g->tensors_read++;
	return 1;
}
