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

/* A read of the file. Long enough that calls do not count, short enough for one to be had for each of many small files. */
#define BUFFER ((size_t)256 << 10)

/* The longest record but for values: a tensor's. It is in the buffer whole, so that its name stays where it is. */
#define RECORD (8 + TFS_GGUF_MAX_NAME + 4 + TFS_GGUF_MAX_DIMS * 8 + 4 + 8)

#define MAGIC	    "GGUF"
#define MAGIC_DRAFT "FUGG" /* of big-endian files, as proposed for llama.cpp more than once; what was settled on is the version */

static const struct {
	const char *name;
	unsigned size; /* bytes of a value; 0: it says itself how long it is */
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

int tfs_gguf_refuse(struct tfs_gguf *r, uint64_t offset, const char *fmt, ...)
{
	const char *kind = r->in == TFS_GGUF_IN_KEY ? "key" : "tensor";
	char name[TFS_QUOTE_SIZE], what[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (r->in == TFS_GGUF_IN_HEAD)
		return tfs_error_set(r->err, -EINVAL, offset, "%s", what);
	if (r->named)
		return tfs_error_set(r->err, -EINVAL, offset, "%s %s: %s", kind, tfs_quote(name, sizeof name, r->name, r->name_len),
				     what);
	return tfs_error_set(r->err, -EINVAL, offset, "%s %" PRIu64 " of %" PRIu64 ": %s", kind,
			     r->in == TFS_GGUF_IN_KEY ? r->keys_read + 1 : r->tensors_read + 1,
			     r->in == TFS_GGUF_IN_KEY ? r->n_keys : r->n_tensors, what);
}

static __attribute__((cold)) int refuse_end(struct tfs_gguf *r)
{
	if (r->limit < r->input->size)
		return tfs_gguf_refuse(r, r->limit, "the header is longer than the limit of %u bytes", TFS_GGUF_MAX_HEADER);
	return tfs_gguf_refuse(r, r->input->size, "the file ends within the header");
}

/* From now on errors are about this one; only the part of its name that is shown is kept. */
static void set_name(struct tfs_gguf *r, const char *name, size_t len)
{
	r->name_len = len < sizeof r->name ? len : sizeof r->name;
	memcpy(r->name, name, r->name_len);
	r->named = true;
}

/* --- Bytes ------------------------------------------------------------------------------------------------------- */

static uint64_t left(const struct tfs_gguf *r)
{
	return r->limit - r->at;
}

/* How many of the bytes at r->at are in the buffer. */
static uint64_t buffered(const struct tfs_gguf *r)
{
	uint64_t end = r->buf_at + r->buf_len;

	return r->at >= r->buf_at && r->at < end ? end - r->at : 0;
}

/* Bring at least @n bytes at r->at into the buffer, which are there. */
static int fill(struct tfs_gguf *r, size_t n)
{
	size_t want, have = buffered(r);
	char *buf;
	int rc;

	if (n > r->room || !r->buf) {
		want = n > BUFFER ? n : BUFFER;
		buf = realloc(r->buf, want);
		if (!buf)
			return tfs_error_set(r->err, -ENOMEM, r->at, "no memory for %zu bytes of the header", want);
		r->buf = buf;
		r->room = want;
	}
	memmove(r->buf, r->buf + (have ? r->at - r->buf_at : 0), have);
	r->buf_at = r->at;
	r->buf_len = have;
	want = left(r) < r->room ? left(r) : r->room;
	rc = tfs_input_read(r->input, r->buf + have, want - have, r->at + have, r->err);
	if (!rc)
		r->buf_len = want;
	return rc;
}

/* The next @n bytes, which stay where they are until the next fill(). NULL: r->failed says why not. */
static inline const char *take(struct tfs_gguf *r, uint64_t n)
{
	const char *p;

	if (buffered(r) < n) {
		r->failed = n > left(r) ? refuse_end(r) : fill(r, n);
		if (r->failed)
			return NULL;
	}
	p = r->buf + (r->at - r->buf_at);
	r->at += n;
	return p;
}

/* Have the next record, or all that is left, in the buffer, so that take() moves nothing while it is read. */
static int settle(struct tfs_gguf *r)
{
	uint64_t want = left(r) < RECORD ? left(r) : RECORD;

	return buffered(r) < want ? fill(r, want) : 0;
}

static int take_u32(struct tfs_gguf *r, uint32_t *ret)
{
	const char *p = take(r, sizeof(uint32_t));
	uint32_t v;

	if (!p)
		return r->failed;
	memcpy(&v, p, sizeof v);
	*ret = r->big_endian ? be32toh(v) : le32toh(v);
	return 0;
}

static int take_u64(struct tfs_gguf *r, uint64_t *ret)
{
	const char *p = take(r, sizeof(uint64_t));
	uint64_t v;

	if (!p)
		return r->failed;
	memcpy(&v, p, sizeof v);
	*ret = r->big_endian ? be64toh(v) : le64toh(v);
	return 0;
}

/* Bytes of a count, a length or a dimension: version 1 had 32 bits for them. */
static unsigned length_size(const struct tfs_gguf *r)
{
	return r->version == 1 ? 4 : 8;
}

static int take_length(struct tfs_gguf *r, uint64_t *ret)
{
	uint32_t v = 0;
	int rc;

	if (r->version != 1)
		return take_u64(r, ret);
	rc = take_u32(r, &v);
	if (!rc)
		*ret = v;
	return rc;
}

static int take_name(struct tfs_gguf *r, const char **ret, size_t *ret_len)
{
	uint64_t at = r->at, len = 0;
	int rc = take_length(r, &len);

	if (!rc && len > TFS_GGUF_MAX_NAME)
		return tfs_gguf_refuse(r, at, "a name of %" PRIu64 " bytes; the limit is %u", len, TFS_GGUF_MAX_NAME);
	if (rc)
		return rc;
	*ret = take(r, len);
	if (!*ret)
		return r->failed;
	*ret_len = len;
	set_name(r, *ret, len);
	return 0;
}

static int take_type(struct tfs_gguf *r, enum tfs_gguf_type *ret)
{
	uint64_t at = r->at;
	uint32_t v = 0;
	int rc = take_u32(r, &v);

	if (!rc && v >= TFS_GGUF_TYPES)
		return tfs_gguf_refuse(r, at, "values of type %" PRIu32 "; there are types 0 to %d", v, TFS_GGUF_TYPES - 1);
	*ret = (enum tfs_gguf_type)v;
	return rc;
}

/* --- The head ---------------------------------------------------------------------------------------------------- */

static int check_magic(struct tfs_gguf *r)
{
	char quoted[TFS_QUOTE_SIZE];
	const char *p;

	if (r->input->size < strlen(MAGIC))
		return tfs_gguf_refuse(r, 0, "the file has %" PRIu64 " bytes, the magic alone takes 4", r->input->size);
	p = take(r, strlen(MAGIC));
	if (!p)
		return r->failed;
	if (!memcmp(p, MAGIC, strlen(MAGIC)))
		return 0;
	if (!memcmp(p, MAGIC_DRAFT, strlen(MAGIC_DRAFT)))
		return tfs_gguf_refuse(r, 0, "starts with \"FUGG\", a draft of big-endian GGUF that was not adopted");
	return tfs_gguf_refuse(r, 0, "is no GGUF file: starts with %s", tfs_quote(quoted, sizeof quoted, p, strlen(MAGIC)));
}

static int read_version(struct tfs_gguf *r)
{
	int rc = take_u32(r, &r->version);

	/* A small number, so its other half tells the byte order (ggml/src/gguf.cpp, gguf-py's gguf_reader.py). */
	if (!rc && r->version && !(r->version & 0xffff)) {
		r->big_endian = true;
		r->version = __builtin_bswap32(r->version);
	}
	if (!rc && (r->version < 1 || r->version > 3))
		return tfs_gguf_refuse(r, 4, "version %" PRIu32 "; known are 1 to 3", r->version);
	return rc;
}

/* Both counts against the bytes that are there, at the least that each key and tensor takes. */
static int check_counts(struct tfs_gguf *r, uint64_t tensors_at, uint64_t keys_at)
{
	const uint64_t key_min = length_size(r) + 1 + 4 + 1, tensor_min = length_size(r) + 4 + 4 + 8;
	uint64_t have = r->input->size - r->at;

	if (r->n_keys > have / key_min)
		return tfs_gguf_refuse(r, keys_at, "%" PRIu64 " keys do not fit into the %" PRIu64 " bytes that are left",
				       r->n_keys, have);
	have -= r->n_keys * key_min;
	if (r->n_tensors > have / tensor_min)
		return tfs_gguf_refuse(r, tensors_at, "%" PRIu64 " tensors do not fit into the %" PRIu64 " bytes that are left",
				       r->n_tensors, have);
	if (r->n_keys > TFS_GGUF_MAX_KEYS)
		return tfs_gguf_refuse(r, keys_at, "%" PRIu64 " keys; the limit is %u", r->n_keys, TFS_GGUF_MAX_KEYS);
	if (r->n_tensors > TFS_GGUF_MAX_TENSORS)
		return tfs_gguf_refuse(r, tensors_at, "%" PRIu64 " tensors; the limit is %u", r->n_tensors, TFS_GGUF_MAX_TENSORS);
	return 0;
}

int tfs_gguf_open(struct tfs_gguf *r, const struct tfs_input *in, struct tfs_error *err)
{
	uint64_t tensors_at, keys_at;
	int rc;

	*r = (struct tfs_gguf){
		.input = in,
		.limit = in->size < TFS_GGUF_MAX_HEADER ? in->size : TFS_GGUF_MAX_HEADER,
		.err = err,
	};
	rc = check_magic(r);
	if (!rc)
		rc = read_version(r);
	tensors_at = r->at;
	if (!rc)
		rc = take_length(r, &r->n_tensors);
	keys_at = r->at;
	if (!rc)
		rc = take_length(r, &r->n_keys);
	return rc ? rc : check_counts(r, tensors_at, keys_at);
}

void tfs_gguf_close(struct tfs_gguf *r)
{
	free(r->buf);
	r->buf = NULL;
}

/* --- Keys and values --------------------------------------------------------------------------------------------- */

int tfs_gguf_key(struct tfs_gguf *r, struct tfs_gguf_key *ret)
{
	uint64_t at = r->at;
	int rc;

	if (r->keys_read == r->n_keys)
		return 0;
	r->in = TFS_GGUF_IN_KEY;
	r->named = false;
	rc = settle(r);
	if (!rc)
		rc = take_name(r, &ret->name, &ret->len);
	if (!rc && !ret->len)
		return tfs_gguf_refuse(r, at, "has no name");
	if (!rc)
		rc = take_type(r, &ret->type);
	if (rc)
		return rc;
	r->keys_read++;
	return 1;
}

int tfs_gguf_number(struct tfs_gguf *r, enum tfs_gguf_type type, union tfs_gguf_number *ret)
{
	unsigned size = types[type].size;
	const char *p;
	uint64_t v = 0;
	uint32_t bits;
	float f;

	assert(size);
	p = take(r, size);
	if (!p)
		return r->failed;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | (unsigned char)p[r->big_endian ? i : size - 1 - i];
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

/* The length of a string, which is there. */
static inline int take_string_length(struct tfs_gguf *r, uint64_t *ret)
{
	uint64_t at = r->at;
	int rc = take_length(r, ret);

	if (!rc && *ret > left(r)) {
		if (*ret > r->input->size - r->at)
			return tfs_gguf_refuse(r, at, "a string of %" PRIu64 " bytes where %" PRIu64 " are left", *ret,
					       r->input->size - r->at);
		return refuse_end(r);
	}
	return rc;
}

int tfs_gguf_string(struct tfs_gguf *r, const char **ret, size_t *ret_len)
{
	uint64_t len = 0;
	int rc = take_string_length(r, &len);

	if (rc)
		return rc;
	*ret = take(r, len);
	*ret_len = len;
	return *ret ? 0 : r->failed;
}

int tfs_gguf_array(struct tfs_gguf *r, unsigned depth, struct tfs_gguf_array *ret)
{
	uint64_t at = r->at, least;
	unsigned each;
	int rc;

	if (depth >= TFS_GGUF_MAX_NESTING)
		return tfs_gguf_refuse(r, at, "arrays nested deeper than %u", TFS_GGUF_MAX_NESTING);
	rc = take_type(r, &ret->of);
	at = r->at;
	if (!rc)
		rc = take_length(r, &ret->count);
	if (rc)
		return rc;
	each = types[ret->of].size;
	if (!each)
		each = length_size(r) + (ret->of == TFS_GGUF_ARRAY ? 4 : 0);
	if (ckd_mul(&least, ret->count, each) || least > r->input->size - r->at)
		return tfs_gguf_refuse(r, at, "an array of %" PRIu64 " %s values where %" PRIu64 " bytes are left", ret->count,
				       types[ret->of].name, r->input->size - r->at);
	return least > left(r) ? refuse_end(r) : 0;
}

static int skip_strings(struct tfs_gguf *r, uint64_t count)
{
	uint64_t len = 0;

	for (uint64_t i = 0; i < count; i++) {
		int rc = take_string_length(r, &len);

		if (rc)
			return rc;
		r->at += len;
	}
	return 0;
}

int tfs_gguf_skip(struct tfs_gguf *r, enum tfs_gguf_type type, uint64_t count, unsigned depth)
{
	struct tfs_gguf_array array = { 0 };
	uint64_t bytes;
	int rc = 0;

	if (type == TFS_GGUF_STRING)
		return skip_strings(r, count);
	if (type != TFS_GGUF_ARRAY) {
		if (ckd_mul(&bytes, count, types[type].size) || bytes > left(r))
			return refuse_end(r);
		r->at += bytes;
		return 0;
	}
	for (uint64_t i = 0; i < count && !rc; i++) {
		rc = tfs_gguf_array(r, depth, &array);
		if (!rc)
			rc = tfs_gguf_skip(r, array.of, array.count, depth + 1);
	}
	return rc;
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

static int take_shape(struct tfs_gguf *r, struct tfs_gguf_tensor *t)
{
	uint64_t at = r->at;
	uint32_t n = 0;
	int rc = take_u32(r, &n);

	if (!rc && n > TFS_GGUF_MAX_DIMS)
		return tfs_gguf_refuse(r, at, "%" PRIu32 " dimensions; the limit is %u", n, TFS_GGUF_MAX_DIMS);
	t->ndim = n;
	while (!rc && n--) { /* the fastest comes first */
		at = r->at;
		rc = take_length(r, &t->shape[n]);
		if (!rc && t->shape[n] > INT64_MAX)
			return tfs_gguf_refuse(r, at, "a dimension of %" PRIu64 " elements", t->shape[n]);
	}
	return rc;
}

int tfs_gguf_tensor(struct tfs_gguf *r, struct tfs_gguf_tensor *ret)
{
	int rc;

	assert(r->keys_read == r->n_keys);
	if (r->tensors_read == r->n_tensors)
		return 0;
	r->in = TFS_GGUF_IN_TENSOR;
	r->named = false;
	rc = settle(r);
	if (!rc)
		rc = take_name(r, &ret->name, &ret->name_len);
	if (!rc)
		rc = take_shape(r, ret);
	if (!rc)
		rc = take_u32(r, &ret->type);
	if (!rc)
		rc = take_u64(r, &ret->offset);
	if (rc)
		return rc;
	r->tensors_read++;
	return 1;
}
