/* SPDX-License-Identifier: MIT */
#include "content/consolidated.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/json-write.h"
#include "base/log.h"
#include "base/search.h"
#include "content/values.h"
#include "model/metadata.h"

/* The reference reader refuses longer headers (safetensors 0.8, tensor.rs, MAX_HEADER_SIZE). */
enum { HEADER_MAX = 100000000 };

/* Data begins at a multiple of this, so it can be mapped. */
enum { ALIGN = 4096 };

struct tfs_consolidated {
	const struct tfs_set *set;
	const struct tfs_tensor **members; /* NULL: all that are stored */
	size_t n;
	struct tfs_conversion conversion;
	_Atomic bool *said; /* for each member: warned that values are too large for the type; or NULL */
	char *header;	    /* including its length field */
	size_t header_len;
	uint64_t *ends; /* for each tensor, in the file */
	uint64_t size;
};

static const char reserved[] = "__metadata__";

static const struct tfs_tensor *member(const struct tfs_consolidated *w, size_t i)
{
	return w->members ? w->members[i] : &w->set->tensors[i];
}

static bool is_float(const struct tfs_tensor *t)
{
	const char *name = t->dtype->name;

	return !strcmp(name, "F64") || !strcmp(name, "F32") || !strcmp(name, "F16") || !strcmp(name, "BF16");
}

bool tfs_consolidated_converts(const struct tfs_tensor *t, struct tfs_conversion conversion)
{
	return conversion.as && (tfs_valued(t) || (conversion.floats && is_float(t) && t->dtype != conversion.as));
}

uint64_t tfs_consolidated_bytes(const struct tfs_tensor *t, struct tfs_conversion conversion)
{
	uint64_t n = 1;

	if (!tfs_consolidated_converts(t, conversion))
		return t->nbytes;
	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->shape[i]; /* its values as float32 fit a file */
	return n * conversion.as->block_bytes;
}

/* Size of a string in JSON, without its quotes. */
static uint64_t string_len(const char *s, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		n += c < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
	}
	return n;
}

/* Upper bound of a tensor's record: what is around its name, its dtype, and its numbers, of up to 20 digits. */
static uint64_t record_max(const struct tfs_tensor *t)
{
	return 80 + 21 * (t->ndim + 2u) + string_len(t->name, t->name_len);
}

/* The same for a pair of metadata. */
static uint64_t pair_max(const struct tfs_metadata *m)
{
	return 8 + string_len(m->key, m->key_len) + string_len(m->value, m->value_len);
}

bool tfs_consolidated_possible(const struct tfs_set *set)
{
	cleanup_free struct tfs_merged *metadata = NULL;
	uint64_t header = 2 * ALIGN, size;
	size_t n;

	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];
		uint64_t nbytes;

		/* If elements are narrower than a byte, they must fill the last one. */
		if (!t->dtype->safetensors || tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &nbytes))
			return false;
		header += record_max(t);
	}
	if (tfs_metadata_merge(set, &metadata, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		header += pair_max(metadata[i].pair);
	if (header > HEADER_MAX || ckd_add(&size, set->total_bytes, header) || size > INT64_MAX)
		return false;
	return tfs_set_find(set, reserved, sizeof reserved - 1) == SIZE_MAX;
}

/* --- The header ------------------------------------------------------------------------------------------------------ */

static void put_pair(struct tfs_json_out *b, const char *key, size_t key_len, const char *value, size_t value_len)
{
	tfs_json_add_string(b, key, key_len);
	tfs_json_add(b, ":");
	tfs_json_add_string(b, value, value_len);
}

/* @others: include the files' own metadata, which might not be true of values in another type. */
static int put_metadata(struct tfs_json_out *b, const struct tfs_set *set, bool others)
{
	static const char format[] = "format", any[] = "pt";
	cleanup_free struct tfs_merged *metadata = NULL;
	size_t n = 0;
	int r = others ? tfs_metadata_merge(set, &metadata, &n) : 0;

	if (r)
		return r;
	tfs_json_add_string(b, reserved, sizeof reserved - 1);
	tfs_json_add(b, ":{");
	/* Readers based on transformers refuse a file that doesn't say which framework it was made for; "pt" covers any tensor. */
	bool says = tfs_metadata_find(metadata, n, format);
	if (!says)
		put_pair(b, format, sizeof format - 1, any, sizeof any - 1);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_metadata *m = metadata[i].pair;
		if (i || !says)
			tfs_json_add(b, ",");
		put_pair(b, m->key, m->key_len, m->value, m->value_len);
	}
	tfs_json_add(b, "}");
	return 0;
}

/* Scaled tensors, which are the only ones whose axes may be swapped, are always shown by their values. */
static void put_tensor(struct tfs_json_out *b, const struct tfs_tensor *t, const struct tfs_dtype *dtype, uint64_t begin,
		       uint64_t end)
{
	char text[80];

	tfs_json_add(b, ",");
	tfs_json_add_string(b, t->name, t->name_len);
	snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[", dtype->name);
	tfs_json_add(b, text);
	for (unsigned d = 0; d < t->ndim; d++) {
		snprintf(text, sizeof text, "%s%" PRIu64, d ? "," : "", tfs_values_dim(t, d));
		tfs_json_add(b, text);
	}
	snprintf(text, sizeof text, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
	tfs_json_add(b, text);
}

/*
 * Sets ends to where tensors end in the data, not yet in the file. tfs_consolidated_possible() has checked that nothing overflows.
 */
static int make_header(struct tfs_consolidated *w)
{
	struct tfs_json_out b = { 0 };
	uint64_t at = 0, prefix = 0;
	int r;

	tfs_json_add_bytes(&b, (const char *)&prefix, sizeof prefix);
	tfs_json_add(&b, "{");
	r = put_metadata(&b, w->set, !w->conversion.as);
	for (size_t i = 0; i < w->n; i++) {
		const struct tfs_tensor *t = member(w, i);
		const uint64_t end = at + tfs_consolidated_bytes(t, w->conversion);

		put_tensor(&b, t, tfs_consolidated_converts(t, w->conversion) ? w->conversion.as : t->dtype, at, end);
		w->ends[i] = at = end;
	}
	tfs_json_add(&b, "}");
	while (b.len % ALIGN && !b.failed)
		tfs_json_add(&b, " ");
	b.failed = b.failed ? b.failed : r;
	r = tfs_json_finish(&b, &w->header, &w->header_len);
	if (r)
		return r;
	w->size = at + w->header_len;
	prefix = htole64(w->header_len - sizeof prefix);
	memcpy(w->header, &prefix, sizeof prefix);
	return 0;
}

int tfs_consolidated_create_as(const struct tfs_set *set, const struct tfs_tensor **members, size_t n,
			       struct tfs_conversion conversion, struct tfs_consolidated **ret_consolidated)
{
	struct tfs_consolidated *w = calloc(1, sizeof *w);
	int r;

	if (!w) {
		free(members);
		return -ENOMEM;
	}
	w->set = set;
	w->members = members;
	w->n = n;
	w->conversion = conversion;
	w->ends = reallocarray(NULL, n + 1, sizeof *w->ends);
	w->said = conversion.as ? calloc(n + 1, sizeof *w->said) : NULL;
	r = w->ends && (!conversion.as || w->said) ? make_header(w) : -ENOMEM;
	if (!r && w->header_len > HEADER_MAX)
		r = -EFBIG;
	if (r) {
		tfs_consolidated_destroy(w);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		w->ends[i] += w->header_len;
	*ret_consolidated = w;
	return 0;
}

int tfs_consolidated_create(const struct tfs_set *set, struct tfs_consolidated **ret_consolidated)
{
	return tfs_consolidated_create_as(set, NULL, set->n_tensors, (struct tfs_conversion){ NULL }, ret_consolidated);
}

void tfs_consolidated_destroy(struct tfs_consolidated *w)
{
	if (!w)
		return;
	free(w->header);
	free(w->ends);
	free((void *)w->members);
	free(w->said);
	free(w);
}

uint64_t tfs_consolidated_size(const struct tfs_consolidated *w)
{
	return w->size;
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

/* The first tensor that ends after byte @at, which is in the data. */
static size_t tensor_at(const struct tfs_consolidated *w, uint64_t at)
{
	return tfs_search(i, 0, w->n, w->ends[i] <= at);
}

/* The whole request is in one plain tensor: straight to its destination. @begin: where that tensor begins in the file. */
static int read_one(struct tfs_extractor *x, const struct tfs_tensor *t, uint64_t begin, struct tfs_read_request *rq)
{
	uint64_t at = rq->at;
	int r;

	rq->at -= begin;
	r = tfs_extract(x, t, rq);
	rq->at = at;
	return r;
}

/* The same for a converted one. */
static int copy_values(const struct tfs_consolidated *w, struct tfs_extractor *x, size_t i, uint64_t at, size_t len, uint8_t *dst,
		       struct tfs_read_request *rq)
{
	const struct tfs_tensor *t = member(w, i);
	char name[TFS_QUOTE_SIZE];
	size_t too_large;
	int r = tfs_values_copy(x, t, w->conversion.as, at, len, dst, rq, &too_large);

	if (!r && too_large && !atomic_exchange(&w->said[i], true))
		tfs_log_warning("tensor %s: some values are too large for %s, and infinite there",
				tfs_quote(name, sizeof name, t->name, t->name_len), w->conversion.as->name);
	return r;
}

static int name_tensor(const struct tfs_tensor *t, int r, struct tfs_error *err)
{
	struct tfs_error cause = *err;
	char name[TFS_QUOTE_SIZE];

	return tfs_error_set(err, r, cause.offset, "tensor %s: %s", tfs_quote(name, sizeof name, t->name, t->name_len), cause.what);
}

int tfs_consolidated_read(const struct tfs_consolidated *w, struct tfs_extractor *x, struct tfs_read_request *rq)
{
	cleanup_free void *more = NULL;
	uint64_t at = rq->at, end = at + rq->len;
	uint8_t *dst = rq->buf;

	rq->data = rq->buf;
	rq->how = TFS_READ_BUFFERED;
	if (at < w->header_len) {
		size_t n = end < w->header_len ? rq->len : w->header_len - at;
		memcpy(dst, w->header + at, n);
		at += n;
		dst += n;
	}
	for (size_t i = tensor_at(w, at); at < end; i++) {
		const struct tfs_tensor *t = member(w, i);
		uint64_t begin = w->ends[i] - tfs_consolidated_bytes(t, w->conversion), upto = w->ends[i] < end ? w->ends[i] : end;
		int r = 0;

		if (begin == w->ends[i])
			continue;
		if (tfs_consolidated_converts(t, w->conversion))
			r = copy_values(w, x, i, at - begin, upto - at, dst, rq);
		else if (t->encoding && !more && !(more = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH)))
			r = tfs_error_set(&rq->err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
		else if (dst == rq->buf && upto == end && !t->encoding)
			r = read_one(x, t, begin, rq);
		else
			r = tfs_extract_copy(x, t, at - begin, upto - at, dst, t->encoding ? more : rq->scratch, rq);
		if (r)
			return name_tensor(t, r, &rq->err);
		dst += upto - at;
		at = upto;
	}
	return 0;
}

static int read_content(const void *of, struct tfs_extractor *x, struct tfs_read_request *rq)
{
	return tfs_consolidated_read(of, x, rq);
}

struct tfs_layout tfs_consolidated_layout(const struct tfs_consolidated *w)
{
	static const struct tfs_content_ops consolidated = { .read = read_content };

	return (struct tfs_layout){
		.view = &tfs_view_raw, .content = { &consolidated, w }, .size = w->size, .block = 1, .in = 1, .out = 1
	};
}
