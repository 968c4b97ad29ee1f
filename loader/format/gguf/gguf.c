/* SPDX-License-Identifier: MIT */
/*
 * GGUF: the tensors that the header (read by reader.h) lists, and where they are. Accepts what ggml accepts (ggml/src/gguf.cpp,
 * gguf_init_from_reader), with these differences:
 * - version 1, other byte orders, up to 8 dimensions, longer names, and arrays of arrays are read;
 * - unknown types are shown raw, each up to the beginning of the next tensor;
 * - so are tensors that have more or fewer bytes there than their type and shape require, with a warning: programs use the same
 *   number for types of their own (41 to 44, or those of K-quants with blocks of 64), and only ggml's own have the sizes that it
 *   knows. ggml refuses the file;
 * - tensors needn't be in the order of their offsets;
 * - the padding of the last tensor may be missing;
 * - names that aren't well-formed UTF-8 are refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/gguf/byte-order.h"
#include "format/gguf/reader.h"
#include "format/gguf/types.h"
#include "storage/storage.h"

#define EXTENSION	  ".gguf"
#define DEFAULT_ALIGNMENT 32

/*
 * From here on ggml assigned numbers that other programs had already used for types of their own. If the last tensor has such a
 * type and fewer bytes than ggml's would, it is as likely theirs as truncated; with an older type it is truncated.
 */
#define FIRST_DISPUTED 39u

/* What the table of tensors lacks for each. */
struct record {
	uint64_t at; /* byte where its record begins */
	uint32_t type;
};

struct parser {
	struct tfs_gguf r;
	struct tfs_catalog *catalog;
	uint32_t alignment;
	struct tfs_split split;
	struct record *records;				/* by index in the table, until that is sorted by name */
	const struct tfs_dtype *dtypes[TFS_GGML_TYPES]; /* as far as they are needed */
};

/* Also the draft, so it is refused by name. */
static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, "GGUF", 4) || tfs_sample_has(s, 0, "FUGG", 4);
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

/* A key that was read, to find duplicates. */
struct seen {
	const char *name;
	size_t len;
	uint64_t at;
};

static int by_name(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return tfs_name_cmp(x->name, x->len, y->name, y->len);
}

static int check_keys(struct parser *p, const struct seen *seen, size_t n)
{
	cleanup_free const void **order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	char quoted[TFS_QUOTE_SIZE];

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &seen[i];
	tfs_sort(order, n, order + n, by_name);
	for (size_t i = 1; i < n; i++) {
		const struct seen *s = order[i];

		if (!by_name(order[i - 1], s))
			return tfs_error_set(p->r.err, -EINVAL, s->at, "duplicate key %s",
					     tfs_quote(quoted, sizeof quoted, s->name, s->len));
	}
	return 0;
}

static int read_alignment(struct parser *p, enum tfs_gguf_type type)
{
	uint64_t at = p->r.at;
	union tfs_gguf_number v;
	int r;

	if (type != TFS_GGUF_UINT32)
		return tfs_gguf_refuse(&p->r, at, "is of type %s, not uint32", tfs_gguf_type_name(type));
	r = tfs_gguf_number(&p->r, type, &v);
	if (r)
		return r;
	if (!v.u || v.u & (v.u - 1))
		return tfs_gguf_refuse(&p->r, at, "%" PRIu64 " is not a power of two", v.u);
	p->alignment = v.u;
	return 0;
}

/* The kind of file: anything but a model accompanies one (gguf-py, GGUFType). */
static int read_kind(struct parser *p, enum tfs_gguf_type type)
{
	static const char model[] = "model";
	const char *text;
	size_t len;
	int r;

	if (type != TFS_GGUF_STRING)
		return tfs_gguf_skip(&p->r, type, 1, 0);
	r = tfs_gguf_string(&p->r, &text, &len);
	if (!r && len && (len != strlen(model) || memcmp(text, model, len)))
		tfs_catalog_set_companion(p->catalog);
	return r;
}

/* llama.cpp's architecture of a projector; older ones, without general.type, have no other sign. */
static int read_architecture(struct parser *p, enum tfs_gguf_type type)
{
	const char *text;
	size_t len;
	int r;

	if (type != TFS_GGUF_STRING)
		return tfs_gguf_skip(&p->r, type, 1, 0);
	r = tfs_gguf_string(&p->r, &text, &len);
	if (!r && len == strlen("clip") && !memcmp(text, "clip", len))
		tfs_catalog_set_companion(p->catalog);
	return r;
}

/* Writers use different types for these; a value that isn't an integer is ignored. */
static int read_count(struct parser *p, enum tfs_gguf_type type, struct tfs_split_number *ret)
{
	union tfs_gguf_number v;
	int r;

	switch (type) {
	case TFS_GGUF_UINT8:
	case TFS_GGUF_UINT16:
	case TFS_GGUF_UINT32:
	case TFS_GGUF_UINT64:
	case TFS_GGUF_INT8:
	case TFS_GGUF_INT16:
	case TFS_GGUF_INT32:
	case TFS_GGUF_INT64:
		r = tfs_gguf_number(&p->r, type, &v);
		if (!r)
			*ret = (struct tfs_split_number){ true, v.i };
		return r;
	default:
		return tfs_gguf_skip(&p->r, type, 1, 0);
	}
}

static int read_split_no(struct parser *p, enum tfs_gguf_type type)
{
	return read_count(p, type, &p->split.no);
}

static int read_split_count(struct parser *p, enum tfs_gguf_type type)
{
	return read_count(p, type, &p->split.count);
}

static int read_split_tensors(struct parser *p, enum tfs_gguf_type type)
{
	return read_count(p, type, &p->split.tensors);
}

/* The keys that describe tensors, or the file. */
static const struct key {
	const char *name;
	int (*read)(struct parser *p, enum tfs_gguf_type type);
} keys[] = {
	{ "general.alignment", read_alignment }, { "general.architecture", read_architecture },
	{ "general.type", read_kind },		 { "split.count", read_split_count },
	{ "split.no", read_split_no },		 { "split.tensors.count", read_split_tensors },
};

static int read_value(struct parser *p, const struct tfs_gguf_key *key)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (key->len == strlen(keys[i].name) && !memcmp(key->name, keys[i].name, key->len))
			return keys[i].read(p, key->type);
	return tfs_gguf_skip(&p->r, key->type, 1, 0);
}

static int read_keys(struct parser *p)
{
	__attribute__((cleanup(tfs_arena_fini))) struct tfs_arena names = { 0 };
	cleanup_free struct seen *seen = reallocarray(NULL, p->r.n_keys + 1, sizeof *seen);
	uint64_t at = p->r.at;
	struct tfs_gguf_key key;
	size_t n = 0;
	int r;

	if (!seen)
		return -ENOMEM;
	while ((r = tfs_gguf_key(&p->r, &key)) > 0) {
		seen[n] = (struct seen){ tfs_arena_copy(&names, key.name, key.len), key.len, at };
		if (!seen[n++].name)
			return -ENOMEM;
		r = read_value(p, &key);
		if (r)
			return r;
		at = p->r.at;
	}
	if (!r)
		tfs_catalog_set_split(p->catalog, &p->split);
	return r ? r : check_keys(p, seen, n);
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

/* A type whose element size isn't known. */
static bool is_unknown(const struct tfs_dtype *dtype)
{
	return !dtype->npy && dtype->block_elems == 1;
}

/* NULL: no memory. */
static const struct tfs_dtype *unknown(struct parser *p, uint32_t type)
{
	char name[32];

	snprintf(name, sizeof name, "UNKNOWN(%" PRIu32 ")", type);
	return tfs_catalog_dtype(p->catalog, name, NULL, 1, 1);
}

/* The same. */
static const struct tfs_dtype *dtype_of(struct parser *p, uint32_t type)
{
	const char *name = tfs_ggml_type_name(type);

	if (!name)
		return unknown(p, type);
	if (!p->dtypes[type])
		p->dtypes[type] = tfs_dtype_by_name(name, strlen(name));
	return p->dtypes[type];
}

/* @at: where its record begins. Its offset stays relative to the data, as it isn't known yet where that begins. */
static int add_tensor(struct parser *p, const struct tfs_gguf_tensor *t, uint64_t at)
{
	const struct tfs_dtype *dtype;
	uint64_t nbytes = 0;
	size_t n;

	if (!tfs_utf8_valid(t->name, t->name_len))
		return tfs_gguf_refuse(&p->r, at, "the name isn't valid UTF-8");
	dtype = dtype_of(p, t->type);
	if (!dtype)
		return -ENOMEM;
	if (!is_unknown(dtype) && tfs_dtype_nbytes_padded(dtype, t->shape, t->ndim, &nbytes))
		return tfs_gguf_refuse(&p->r, at, "the shape has more than 2^64-1 bits");
	/* Then the data doesn't begin where the alignment says, either. */
	if (t->offset & (p->alignment - 1))
		return tfs_gguf_refuse(&p->r, at, "offset %" PRIu64 " is not aligned to %" PRIu32, t->offset, p->alignment);
	tfs_catalog_tensors(p->catalog, &n);
	p->records[n] = (struct record){ at, t->type };
	return tfs_catalog_add(p->catalog, t->name, t->name_len, dtype, t->shape, t->ndim, t->offset, nbytes);
}

/* An error about a tensor of the table. */
static __attribute__((cold)) int refuse(struct parser *p, const struct tfs_tensor *t, uint64_t at, const char *what)
{
	char quoted[TFS_QUOTE_SIZE];

	return tfs_error_set(p->r.err, -EINVAL, at, "tensor %s: %s", tfs_quote(quoted, sizeof quoted, t->name, t->name_len), what);
}

static struct record *record_of(struct parser *p, const struct tfs_tensor *t)
{
	size_t n;

	return &p->records[t - tfs_catalog_tensors(p->catalog, &n)];
}

/* It has a type that we know, but can't be of it because of @why: treat it as bytes of an unknown type. */
static __attribute__((cold, format(printf, 3, 4))) int show_raw(struct parser *p, struct tfs_tensor *t, const char *why, ...)
{
	const struct record *rec = record_of(p, t);
	char quoted[TFS_QUOTE_SIZE], reason[256];
	va_list ap;

	va_start(ap, why);
	vsnprintf(reason, sizeof reason, why, ap);
	va_end(ap);
	t->dtype = unknown(p, rec->type);
	if (!t->dtype)
		return -ENOMEM;
	return tfs_catalog_note(p->catalog, rec->at, "tensor %s: %s; shown raw, as %s",
				tfs_quote(quoted, sizeof quoted, t->name, t->name_len), reason, t->dtype->name);
}

static bool has_elements(const struct tfs_tensor *t)
{
	for (unsigned i = 0; i < t->ndim; i++)
		if (!t->shape[i])
			return false;
	return true;
}

static bool has_whole_rows(const struct tfs_tensor *t)
{
	return (t->ndim ? t->shape[t->ndim - 1] : 1) % t->dtype->block_elems == 0;
}

/*
 * Judge the tensor's type by its stored size: the bytes up to the next one, or up to the end of the file (@last). The dtype is set
 * to NULL if it is left out.
 */
static int judge_size(struct parser *p, struct tfs_tensor *t, uint64_t stored, bool last)
{
	const struct record *rec = record_of(p, t);
	const uint64_t computed = t->nbytes;
	const bool unknown_type = is_unknown(t->dtype), whole_rows = has_whole_rows(t);
	/* Writers pad to the default, too, whatever general.alignment says that they keep (findings/gguf-split-alignment.sh). */
	const uint64_t padding = p->alignment > DEFAULT_ALIGNMENT ? p->alignment : DEFAULT_ALIGNMENT;

	if (!unknown_type && !has_elements(t))
		return 0;
	if (!unknown_type && whole_rows) {
		if (computed <= stored && stored - computed < padding)
			return 0;
		if (last && computed > stored && rec->type < FIRST_DISPUTED)
			return 0; /* it will turn out to be truncated */
	}
	t->nbytes = stored;
	if (!stored && has_elements(t)) {
		int r = tfs_catalog_leave_out(p->catalog, t->name, t->name_len, rec->at, "of type %s, but has no bytes",
					      t->dtype->name);

		t->dtype = NULL;
		return r;
	}
	if (unknown_type)
		return 0;
	if (!whole_rows)
		return show_raw(p, t, "rows of %" PRIu64 " elements, but %s has blocks of %u; %" PRIu64 " bytes are stored",
				t->ndim ? t->shape[t->ndim - 1] : 1, t->dtype->name, t->dtype->block_elems, stored);
	return show_raw(p, t, "as %s it has %" PRIu64 " bytes, but %" PRIu64 " are stored up to the %s", t->dtype->name, computed,
			stored, last ? "end of the file" : "next tensor");
}

static int by_offset(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return has_elements(x) - has_elements(y);
}

/* Remove those that are left out from the table. */
static void prune(struct parser *p)
{
	size_t n, kept = 0;
	const struct tfs_tensor *t = tfs_catalog_tensors(p->catalog, &n);

	for (size_t i = 0; i < n; i++)
		if (t[i].dtype)
			p->records[kept++] = p->records[i];
	tfs_catalog_prune(p->catalog);
}

static int judge_sizes(struct parser *p, uint64_t room)
{
	cleanup_free const void **order = NULL;
	struct tfs_tensor *t;
	size_t n;
	int r = 0;

	t = tfs_catalog_tensors(p->catalog, &n);
	order = reallocarray(NULL, n + 1, 2 * sizeof *order); /* n may be 0 */
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &t[i];
	tfs_sort(order, n, order + n, by_offset);
	for (size_t i = 0; i < n && !r; i++) {
		struct tfs_tensor *x = (struct tfs_tensor *)order[i];
		uint64_t next = i + 1 < n ? ((const struct tfs_tensor *)order[i + 1])->offset : room;
		bool last = i + 1 == n || next > room;

		if (x->offset <= room)
			r = judge_size(p, x, (last ? room : next) - x->offset, last);
	}
	if (!r)
		prune(p);
	return r;
}

/* After the end of the header: the sizes, and from offsets in the data to offsets in the file. */
static int place_tensors(struct parser *p)
{
	const uint64_t mask = p->alignment - 1, size = p->r.input->size, data = (p->r.at + mask) & ~mask;
	char what[160];
	struct tfs_tensor *t;
	size_t n;
	int r;

	tfs_catalog_tensors(p->catalog, &n);
	if (n && data > size)
		return tfs_error_set(p->r.err, -EINVAL, size, "the file ends before its data begins, at byte %" PRIu64, data);
	r = judge_sizes(p, size - data);
	t = tfs_catalog_tensors(p->catalog, &n);
	for (size_t i = 0; i < n && !r; i++) {
		uint64_t room = size - data;

		/* Without bytes it may be after padding that is missing. */
		if (!has_elements(&t[i]) && t[i].offset > room && t[i].offset - room < p->alignment)
			t[i].offset = room;
		if (t[i].offset > room || t[i].nbytes > room - t[i].offset) {
			snprintf(what, sizeof what,
				 "%" PRIu64 " bytes at offset %" PRIu64 " of data that begins at byte %" PRIu64
				 "; the file ends at byte %" PRIu64,
				 t[i].nbytes, t[i].offset, data, size);
			return refuse(p, &t[i], size, what);
		}
		t[i].offset += data;
	}
	return r;
}

/* For a big-endian file: numbers are swapped, and words in blocks if those are big-endian. Unknown types are left as they are. */
static int encode_tensors(struct parser *p)
{
	enum tfs_gguf_order order;
	bool unsure = false;
	struct tfs_tensor *t;
	size_t n;
	int r;

	t = tfs_catalog_tensors(p->catalog, &n);
	r = tfs_gguf_find_order(p->r.input, t, n, &order, p->r.err);
	for (size_t i = 0; i < n && !r; i++) {
		const struct tfs_dtype *dtype = t[i].dtype;
		const struct tfs_gguf_words *w = tfs_gguf_words_of(dtype);
		struct tfs_encoding encoding = { .coding = TFS_STORED, .length = t[i].nbytes };

		if (!t[i].nbytes)
			continue;
		if (!w) {
			encoding.swap = dtype->block_elems == 1 && !is_unknown(dtype) ? dtype->block_bytes : 0;
		} else if (order == TFS_GGUF_UNDECIDED) {
			unsure = true;
		} else if (order == TFS_GGUF_BIG && w->mixed) {
			r = show_raw(p, &t[i], "%s in big-endian order, and writers differ in which of its bytes they swap",
				     dtype->name);
		} else if (order == TFS_GGUF_BIG) {
			encoding.swap = w->words[0].width;
			encoding.words = dtype->block_elems > 1 ? w->words : NULL;
		}
		if (encoding.swap > 1)
			r = tfs_catalog_encode(p->catalog, &t[i], &encoding);
	}
	if (!r && unsure)
		r = tfs_catalog_note(p->catalog, TFS_NO_OFFSET,
				     "big-endian, but the byte order of BF16 and of the words in blocks can't be determined: "
				     "taken as little-endian, as gguf-py writes them");
	return r;
}

static int check_names(struct parser *p)
{
	const struct tfs_tensor *t;
	size_t n;
	int r = tfs_catalog_sort(p->catalog);

	if (r)
		return r;
	t = tfs_catalog_tensors(p->catalog, &n);
	for (size_t i = 1; i < n; i++)
		if (!tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len))
			return refuse(p, &t[i], t[i].offset, "duplicate name");
	return 0;
}

static int read_tensors(struct parser *p)
{
	uint64_t at = p->r.at;
	struct tfs_gguf_tensor t;
	int r = tfs_catalog_reserve(p->catalog, p->r.n_tensors, 0, 0);

	if (!r)
		r = tfs_share_scratch(p->r.input->share, p->r.n_tensors * (sizeof *p->records + 2 * sizeof(void *)));
	if (r)
		return r;
	p->records = reallocarray(NULL, p->r.n_tensors + 1, sizeof *p->records); /* n_tensors may be 0 */
	if (!p->records)
		return -ENOMEM;
	while (!r && (r = tfs_gguf_tensor(&p->r, &t)) > 0) {
		r = add_tensor(p, &t, at);
		at = p->r.at;
	}
	if (!r)
		r = place_tensors(p);
	if (!r && p->r.big_endian)
		r = encode_tensors(p);
	return r ? r : check_names(p);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct parser p = { .catalog = catalog, .alignment = DEFAULT_ALIGNMENT };
	int r = tfs_gguf_open(&p.r, in, err);

	if (!r)
		r = read_keys(&p);
	if (!r)
		r = read_tensors(&p);
	tfs_gguf_close(&p.r);
	free(p.records);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for the header's tensors");
	return r;
}

const struct tfs_format tfs_format_gguf = {
	.name = "gguf",
	.what = "a GGUF file",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.shard_ext = EXTENSION,
	.recognises = recognises,
	.parse = parse,
};
