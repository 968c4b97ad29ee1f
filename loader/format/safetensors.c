/* SPDX-License-Identifier: MIT */
/*
 * safetensors: u64 LE header length N, N bytes of JSON, then the tensors' bytes. Accepts what the reference reader
 * accepts (huggingface/safetensors, safetensors/src/tensor.rs, read_metadata and Metadata::validate), and checks in its
 * order, with these differences:
 * - a duplicate name is refused; serde's HashMap silently takes the last;
 * - a tensor with an unknown dtype is shown raw, as data_offsets say where it is; the reference refuses the file;
 * - one with more than TFS_MAX_DIMS dimensions is left out;
 * - a tensor's record must be an object; serde also accepts an array of its three fields, which nobody writes;
 * - a number in a field that we ignore may be too large for a double.
 */
#include "format/format.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/sort.h"
#include "storage/storage.h"

#define EXTENSION ".safetensors"

/* The reference reader's MAX_HEADER_SIZE. Offsets into the header fit 32 bits because of it. */
#define MAX_HEADER  100000000u
#define LENGTH_SIZE 8u

/* One tensor as in the header, not yet checked against the others. */
struct record {
	const char *name;	       /* in the header's buffer */
	const struct tfs_dtype *dtype; /* without ->safetensors: size unknown */
	uint64_t begin, end;	       /* data_offsets */
	size_t dims;		       /* index of its shape in header.dims */
	uint32_t name_len;
	uint32_t name_at; /* offset of the name in the file, for errors */
	uint32_t ndim;
};

struct header {
	struct tfs_json json;
	struct tfs_catalog *catalog;
	struct tfs_share *share;
	struct tfs_error *err;
	struct record *records;
	size_t n_records, room_records;
	uint64_t *dims; /* of all records, concatenated */
	size_t n_dims, room_dims;
	size_t name_bytes;
};

/* A header length within the limit, and a header that begins like JSON; the file may be truncated. */
static bool recognises(const struct tfs_sample *s)
{
	size_t at = LENGTH_SIZE;
	uint64_t n;

	memcpy(&n, s->start, sizeof n);
	n = le64toh(n);
	while (at < s->len && strchr(" \t\r\n", s->start[at]) && s->start[at])
		at++;
	return at < s->len && s->start[at] == '{' && n > at - LENGTH_SIZE + 1 && n <= MAX_HEADER;
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

/* "tensor NAME: " and the text, at the tensor's name in the header */
static __attribute__((cold, format(printf, 3, 4))) int refuse(struct header *h, const struct record *rec, const char *fmt, ...)
{
	char name[TFS_QUOTE_SIZE], what[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return tfs_error_set(h->err, -EINVAL, rec->name_at, "tensor %s: %s", tfs_quote(name, sizeof name, rec->name, rec->name_len),
			     what);
}

/* --- The JSON ---------------------------------------------------------------------------------------------------- */

/* Charge what tfs_array_room() is about to allocate for an array of @n elements. */
static int charge_room(struct header *h, size_t n, size_t room, size_t size)
{
	return n < room ? 0 : tfs_share_scratch(h->share, (room ? room : 16) * size);
}

/* The dtype to show for a tensor with this dtype name, which may be any text. NULL: no memory. */
static const struct tfs_dtype *unknown(struct header *h, const struct tfs_json_text *text)
{
	char quoted[TFS_QUOTE_SIZE], name[TFS_QUOTE_SIZE + sizeof "UNKNOWN()"];

	tfs_quote(quoted, sizeof quoted, text->s, text->len);
	snprintf(name, sizeof name, "UNKNOWN(%.*s)", (int)strlen(quoted) - 2, quoted + 1);
	return tfs_catalog_dtype(h->catalog, name, NULL, 1, 1);
}

static int read_dtype(struct header *h, struct record *rec)
{
	struct tfs_json_text text;
	int r = tfs_json_string(&h->json, &text);

	if (r)
		return r;
	rec->dtype = tfs_dtype_by_name(text.s, text.len);
	if (!rec->dtype || !rec->dtype->safetensors)
		rec->dtype = unknown(h, &text);
	return rec->dtype ? 0 : -ENOMEM;
}

static int read_shape(struct header *h, struct record *rec)
{
	int r = tfs_json_array_begin(&h->json);

	rec->dims = h->n_dims;
	while (!r && (r = tfs_json_array_next(&h->json)) > 0) {
		if (charge_room(h, h->n_dims, h->room_dims, sizeof *h->dims) || tfs_array_room(h->dims, h->n_dims, h->room_dims))
			return -ENOMEM;
		r = tfs_json_u64(&h->json, &h->dims[h->n_dims]);
		h->n_dims++;
		rec->ndim++;
	}
	return r;
}

static int read_offsets(struct header *h, struct record *rec)
{
	uint64_t *const ends[] = { &rec->begin, &rec->end };
	unsigned n = 0;
	int r = tfs_json_array_begin(&h->json);

	while (!r && (r = tfs_json_array_next(&h->json)) > 0) {
		if (n == 2)
			return refuse(h, rec, "data_offsets has more than two numbers");
		r = tfs_json_u64(&h->json, ends[n++]);
	}
	if (!r && n < 2)
		return refuse(h, rec, "data_offsets has fewer than two numbers");
	return r;
}

/* The fields of a record; serde refuses a missing or duplicate one, and skips those it doesn't know. */
static const struct field {
	const char *name;
	int (*read)(struct header *h, struct record *rec);
} fields[] = {
	{ "dtype", read_dtype },
	{ "shape", read_shape },
	{ "data_offsets", read_offsets },
};

#define N_FIELDS (sizeof fields / sizeof *fields)

static int read_record(struct header *h, const struct tfs_json_text *name)
{
	struct record rec = {
		.name = name->s,
		.name_len = name->len,
		.name_at = tfs_json_offset(&h->json, name),
	};
	struct tfs_json_text key;
	unsigned seen = 0;
	int r = tfs_json_object_begin(&h->json);

	while (!r && (r = tfs_json_object_next(&h->json, &key)) > 0) {
		size_t i = 0;

		while (i < N_FIELDS && !tfs_json_is(&key, fields[i].name))
			i++;
		if (i == N_FIELDS) {
			r = tfs_json_skip(&h->json);
			continue;
		}
		if (seen & 1u << i)
			return refuse(h, &rec, "duplicate %s", fields[i].name);
		seen |= 1u << i;
		r = fields[i].read(h, &rec);
	}
	if (r)
		return r;
	for (size_t i = 0; i < N_FIELDS; i++)
		if (!(seen & 1u << i))
			return refuse(h, &rec, "%s is missing", fields[i].name);

	if (charge_room(h, h->n_records, h->room_records, sizeof *h->records) ||
	    tfs_array_room(h->records, h->n_records, h->room_records))
		return -ENOMEM;
	h->records[h->n_records++] = rec;
	h->name_bytes += rec.name_len;
	return 0;
}

/* string → string, or null (an Option in the reference reader). A million of them are more than their text, so nothing else is made of it. */
static int read_metadata(struct tfs_json *json, struct tfs_catalog *catalog)
{
	struct tfs_json_text key, value;
	int r = tfs_json_peek(json);

	if (r < 0)
		return r;
	if (r == TFS_JSON_NULL)
		return tfs_json_skip(json);
	r = tfs_json_object_begin(json);
	while (!r && (r = tfs_json_object_next(json, &key)) > 0) {
		r = tfs_json_string(json, &value);
		if (!r)
			r = tfs_catalog_add_metadata(catalog, key.s, key.len, value.s, value.len);
	}
	return r;
}

static int read_json(struct header *h, struct tfs_catalog *catalog)
{
	struct tfs_json_text key;
	bool metadata = false;
	int r = tfs_json_object_begin(&h->json);

	while (!r && (r = tfs_json_object_next(&h->json, &key)) > 0) {
		if (!tfs_json_is(&key, "__metadata__")) {
			r = read_record(h, &key);
		} else if (metadata) {
			return tfs_error_set(h->err, -EINVAL, tfs_json_offset(&h->json, &key), "duplicate __metadata__");
		} else {
			metadata = true;
			r = read_metadata(&h->json, catalog);
		}
	}
	return r ? r : tfs_json_end(&h->json);
}

/* --- The tensors together ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static int by_offsets(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->end > y->end) - (x->end < y->end);
}

static const uint64_t *shape_of(const struct header *h, const struct record *rec)
{
	return rec->ndim ? h->dims + rec->dims : NULL; /* dims itself is NULL if there are none at all */
}

static int check_names(struct header *h, const struct record *const *order)
{
	for (size_t i = 1; i < h->n_records; i++)
		if (!by_name(order[i - 1], order[i])) /* stable: the later one in the file is the second */
			return refuse(h, order[i], "duplicate name");
	return 0;
}

/* Metadata::validate: @order is sorted by offset, the data section has @size bytes. */
static int check_offsets(struct header *h, const struct record *const *order, uint64_t size, uint64_t data_at)
{
	const uint64_t has = data_at + size;
	uint64_t at = 0, nbytes, whole;

	for (size_t i = 0; i < h->n_records; i++) {
		const struct record *rec = order[i];

		if (rec->begin != at)
			return refuse(h, rec, "data_offsets begin at %llu, but the tensor before it ends at %llu",
				      (unsigned long long)rec->begin, (unsigned long long)at);
		if (rec->end < rec->begin)
			return refuse(h, rec, "data_offsets end at %llu, before they begin, at %llu", (unsigned long long)rec->end,
				      (unsigned long long)rec->begin);
		at = rec->end;
		if (!rec->dtype->safetensors)
			continue;
		switch (tfs_dtype_nbytes(rec->dtype, shape_of(h, rec), rec->ndim, &nbytes)) {
		case -EOVERFLOW:
			return refuse(h, rec, "the shape has more than 2^64-1 bits");
		case -EINVAL:
			return refuse(h, rec, "a shape whose %s elements do not fill whole bytes", rec->dtype->name);
		}
		if (rec->end - rec->begin != nbytes)
			return refuse(h, rec, "dtype %s and the shape make %llu bytes, data_offsets %llu", rec->dtype->name,
				      (unsigned long long)nbytes, (unsigned long long)(rec->end - rec->begin));
	}
	if (at == size)
		return 0;
	if (ckd_add(&whole, data_at, at))
		whole = UINT64_MAX; /* of a dtype that we don't know, so it wasn't compared with the shape */
	if (at < size)
		return tfs_error_set(h->err, -EINVAL, whole, "the file has %llu bytes, its header and its tensors only %llu",
				     (unsigned long long)has, (unsigned long long)whole);
	return tfs_error_set(h->err, -EINVAL, has, "truncated: the file has %llu of %llu bytes; is the download complete?",
			     (unsigned long long)has, (unsigned long long)whole);
}

/* No sum overflows: check_offsets() made sure that everything lies inside the file. */
static int add_tensor(struct header *h, const struct record *rec, uint64_t data_at)
{
	uint64_t nbytes = rec->end - rec->begin;
	char name[TFS_QUOTE_SIZE];
	int r;

	if (rec->ndim > TFS_MAX_DIMS)
		return tfs_catalog_leave_out(h->catalog, rec->name, rec->name_len, rec->name_at, "%u dimensions; the limit is %d",
					     rec->ndim, TFS_MAX_DIMS);
	r = tfs_catalog_add(h->catalog, rec->name, rec->name_len, rec->dtype, shape_of(h, rec), rec->ndim, data_at + rec->begin,
			    nbytes);
	if (r || rec->dtype->safetensors)
		return r;
	return tfs_catalog_note(h->catalog, rec->name_at,
				"tensor %s: unknown dtype: its %llu bytes are shown raw, as %s; the safetensors library refuses "
				"the whole file",
				tfs_quote(name, sizeof name, rec->name, rec->name_len), (unsigned long long)nbytes,
				rec->dtype->name);
}

static int make_catalog(struct header *h, uint64_t size, uint64_t data_at)
{
	cleanup_free const void **order = NULL;
	size_t n = h->n_records;
	const void **names, **offsets, **tmp;
	int r;

	if (tfs_share_scratch(h->share, 3 * n * sizeof *order))
		return -ENOMEM;
	order = reallocarray(NULL, n + 1, 3 * sizeof *order); /* n may be 0 */
	if (!order)
		return -ENOMEM;
	names = order;
	offsets = order + n;
	tmp = order + 2 * n;
	for (size_t i = 0; i < n; i++)
		names[i] = offsets[i] = &h->records[i];

	tfs_sort(names, n, tmp, by_name);
	r = check_names(h, (const struct record *const *)names);
	if (r)
		return r;
	tfs_sort(offsets, n, tmp, by_offsets);
	r = check_offsets(h, (const struct record *const *)offsets, size, data_at);
	if (r)
		return r;

	r = tfs_catalog_reserve(h->catalog, n, h->name_bytes, h->n_dims);
	for (size_t i = 0; i < n && !r; i++)
		r = add_tensor(h, names[i], data_at);
	return r;
}

static int read_header(const struct tfs_input *in, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free char *text = NULL;
	struct header h = { .catalog = catalog, .share = in->share, .err = err };
	uint64_t n;
	int r;

	if (in->size < LENGTH_SIZE)
		return tfs_error_set(err, -EINVAL, 0, "the file has %llu bytes, the header's length alone is 8",
				     (unsigned long long)in->size);
	r = tfs_input_read(in, &n, sizeof n, 0, err);
	if (r)
		return r;
	n = le64toh(n);
	/* Most often it is no length, but the beginning of anything, and nothing of that is told. */
	if (n > MAX_HEADER)
		return tfs_error_set(err, -EINVAL, 0, "header length is above the limit of %u: not a safetensors file, or damaged",
				     MAX_HEADER);
	if (n > in->size - LENGTH_SIZE)
		return tfs_error_set(err, -EINVAL, 0,
				     "header length %llu is more than the %llu bytes that follow it; is the download complete?",
				     (unsigned long long)n, (unsigned long long)(in->size - LENGTH_SIZE));
	if (tfs_share_scratch(in->share, n))
		return -ENOMEM;
	text = malloc(n + 1); /* n may be 0 */
	if (!text)
		return tfs_error_set(err, -ENOMEM, 0, "no memory for a header of %llu bytes", (unsigned long long)n);
	r = tfs_input_read(in, text, n, LENGTH_SIZE, err);
	if (r)
		return r;

	tfs_json_init(&h.json, text, n, LENGTH_SIZE, err);
	r = read_json(&h, catalog);
	if (!r)
		r = make_catalog(&h, in->size - LENGTH_SIZE - n, LENGTH_SIZE + n);
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for the header's tensors");
	free(h.records);
	free(h.dims);
	return r;
}

/* --- Metadata ---------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	const struct tfs_metadata *x = a, *y = b;

	return tfs_name_cmp(x->key, x->key_len, y->key, y->key_len);
}

/* Of pairs with the same key keep the last one, as serde and Python's json do. */
static int drop_replaced(struct tfs_catalog *catalog, struct tfs_share *share)
{
	cleanup_free const void **order = NULL;
	size_t n, replaced = 0;
	const struct tfs_metadata *pairs = tfs_catalog_metadata(catalog, &n);

	if (tfs_share_scratch(share, 2 * n * sizeof *order) || !(order = reallocarray(NULL, n + 1, 2 * sizeof *order)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &pairs[i];
	tfs_sort(order, n, order + n, by_key); /* stable */
	for (size_t i = 1; i < n; i++)
		if (!by_key(order[i - 1], order[i]))
			order[replaced++] = order[i - 1];
	tfs_catalog_drop_metadata(catalog, (const struct tfs_metadata *const *)order, replaced);
	return 0;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	const uint64_t before = in->share ? in->share->scratch : 0;
	int r = read_header(in, catalog, err);

	(void)file_name;
	if (r)
		return r;
	if (in->share) /* the header isn't needed any more */
		tfs_share_give(in->share, in->share->scratch - before);
	r = drop_replaced(catalog, in->share);
	return r ? tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for the header's metadata") : 0;
}

const struct tfs_format tfs_format_safetensors = {
	.name = "safetensors",
	.what = "a safetensors file",
	.extensions = (const char *const[]){ EXTENSION, ".sft", NULL },
	.shard_ext = EXTENSION,
	.recognises = recognises,
	.parse = parse,
};
