/* SPDX-License-Identifier: MIT */
/*
 * GGUF: what tensors the header lists (gguf-reader.h reads it) and where they lie. Accepts what ggml accepts (ggml/src/gguf.cpp,
 * gguf_init_from_reader), with these differences:
 * - version 1, other byte orders, up to 8 dimensions, longer names, and arrays of arrays are read;
 * - types that we do not know are shown raw, each up to where the next tensor begins;
 * - tensors need not follow each other without a gap, as long as they do not overlap;
 * - what pads the last tensor may be missing;
 * - names of tensors that are ill-formed UTF-8 are refused.
 */
#include <errno.h>
#include <inttypes.h>
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
#include "format/gguf-order.h"
#include "format/gguf-reader.h"

#define EXTENSION	  ".gguf"
#define DEFAULT_ALIGNMENT 32

/* enum ggml_type (ggml.h). Those that are not here were removed, or are yet to come. */
static const char *const type_names[] = {
	[0] = "F32",	  [1] = "F16",	   [2] = "Q4_0",    [3] = "Q4_1",   [6] = "Q5_0",   [7] = "Q5_1",     [8] = "Q8_0",
	[9] = "Q8_1",	  [10] = "Q2_K",   [11] = "Q3_K",   [12] = "Q4_K",  [13] = "Q5_K",  [14] = "Q6_K",    [15] = "Q8_K",
	[16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",  [22] = "IQ2_S",
	[23] = "IQ4_XS",  [24] = "I8",	   [25] = "I16",    [26] = "I32",   [27] = "I64",   [28] = "F64",     [29] = "IQ1_M",
	[30] = "BF16",	  [34] = "TQ1_0",  [35] = "TQ2_0",  [39] = "MXFP4", [40] = "NVFP4", [41] = "Q1_0",    [42] = "Q2_0",
};

enum { N_TYPES = sizeof type_names / sizeof *type_names };

struct parser {
	struct tfs_gguf r;
	struct tfs_catalog *catalog;
	uint32_t alignment;
	uint64_t end; /* of the last tensor, relative to the data; what is not known counts as no bytes */
	const struct tfs_dtype *dtypes[N_TYPES]; /* as far as they were needed */
};

/* Also the draft that is refused by its name. */
static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, "GGUF", 4) || tfs_sample_has(s, 0, "FUGG", 4);
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

/* A key that was read, for finding one that stands twice. */
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
			return tfs_error_set(p->r.err, -EINVAL, s->at, "key %s: stands twice",
					     tfs_quote(quoted, sizeof quoted, s->name, s->len));
	}
	return 0;
}

static int read_alignment(struct parser *p, enum tfs_gguf_type type)
{
	uint64_t at = p->r.at;
	union tfs_gguf_number v;
	int rc;

	if (type != TFS_GGUF_UINT32)
		return tfs_gguf_refuse(&p->r, at, "is of type %s, not uint32", tfs_gguf_type_name(type));
	rc = tfs_gguf_number(&p->r, type, &v);
	if (rc)
		return rc;
	if (!v.u || v.u & (v.u - 1))
		return tfs_gguf_refuse(&p->r, at, "%" PRIu64 " is not a power of two", v.u);
	p->alignment = v.u;
	return 0;
}

static int read_keys(struct parser *p)
{
	__attribute__((cleanup(tfs_arena_fini))) struct tfs_arena names = { 0 };
	cleanup_free struct seen *seen = reallocarray(NULL, p->r.n_keys + 1, sizeof *seen);
	static const char alignment[] = "general.alignment";
	uint64_t at = p->r.at;
	struct tfs_gguf_key key;
	size_t n = 0;
	int rc;

	if (!seen)
		return -ENOMEM;
	while ((rc = tfs_gguf_key(&p->r, &key)) > 0) {
		seen[n] = (struct seen){ tfs_arena_copy(&names, key.name, key.len), key.len, at };
		if (!seen[n++].name)
			return -ENOMEM;
		if (key.len == strlen(alignment) && !memcmp(key.name, alignment, key.len))
			rc = read_alignment(p, key.type);
		else
			rc = tfs_gguf_skip(&p->r, key.type, 1, 0);
		if (rc)
			return rc;
		at = p->r.at;
	}
	return rc ? rc : check_keys(p, seen, n);
}

/* --- Tensors ----------------------------------------------------------------------------------------------------- */

/* A type of which nobody knows how many bytes its elements take. */
static bool is_unknown(const struct tfs_dtype *dtype)
{
	return !dtype->npy && dtype->block_elems == 1;
}

/* NULL: no memory. */
static const struct tfs_dtype *dtype_of(struct parser *p, uint32_t type)
{
	char name[32];

	if (type < N_TYPES && type_names[type]) {
		if (!p->dtypes[type])
			p->dtypes[type] = tfs_dtype_by_name(type_names[type], strlen(type_names[type]));
		return p->dtypes[type];
	}
	snprintf(name, sizeof name, "UNKNOWN(%" PRIu32 ")", type);
	return tfs_catalog_dtype(p->catalog, name, NULL, 1, 1);
}

static int check_size(struct parser *p, const struct tfs_gguf_tensor *t, const struct tfs_dtype *dtype, uint64_t at,
		      uint64_t *ret_nbytes)
{
	uint64_t row = t->ndim ? t->shape[t->ndim - 1] : 1;

	if (row % dtype->block_elems)
		return tfs_gguf_refuse(&p->r, at, "rows of %" PRIu64 " elements, but %s has blocks of %u", row, dtype->name,
				       dtype->block_elems);
	if (tfs_dtype_nbytes(dtype, t->shape, t->ndim, ret_nbytes))
		return tfs_gguf_refuse(&p->r, at, "the shape has more bits than 64-bit numbers count");
	return 0;
}

/* @at: where its record begins. Its offset stays relative to the data, whose beginning is not known yet. */
static int add_tensor(struct parser *p, const struct tfs_gguf_tensor *t, uint64_t at)
{
	const struct tfs_dtype *dtype;
	uint64_t nbytes = 0;
	int rc = 0;

	if (!tfs_utf8_valid(t->name, t->name_len))
		return tfs_gguf_refuse(&p->r, at, "the name is ill-formed UTF-8");
	dtype = dtype_of(p, t->type);
	if (!dtype)
		return -ENOMEM;
	if (!is_unknown(dtype))
		rc = check_size(p, t, dtype, at, &nbytes);
	if (rc)
		return rc;
	if (t->offset & (p->alignment - 1))
		return tfs_gguf_refuse(&p->r, at, "offset %" PRIu64 " is not aligned to %" PRIu32, t->offset, p->alignment);
	if (t->offset < p->end)
		return tfs_gguf_refuse(&p->r, at, "begins at offset %" PRIu64 ", but the tensor before it ends at %" PRIu64,
				       t->offset, p->end);
	if (ckd_add(&p->end, t->offset, nbytes))
		return tfs_gguf_refuse(&p->r, at, "%" PRIu64 " bytes at offset %" PRIu64 " end beyond 2^64", nbytes, t->offset);
	return tfs_catalog_add(p->catalog, t->name, t->name_len, dtype, t->shape, t->ndim, t->offset, nbytes);
}

/* An error about a tensor of the table. */
static __attribute__((cold)) int refuse(struct parser *p, const struct tfs_tensor *t, uint64_t at, const char *what)
{
	char quoted[TFS_QUOTE_SIZE];

	return tfs_error_set(p->r.err, -EINVAL, at, "tensor %s: %s", tfs_quote(quoted, sizeof quoted, t->name, t->name_len),
			     what);
}

static bool has_elements(const struct tfs_tensor *t)
{
	for (unsigned i = 0; i < t->ndim; i++)
		if (!t->shape[i])
			return false;
	return true;
}

/* Now that the header has ended: from offsets in the data to offsets in the file, and the sizes that were left open. */
static int place_tensors(struct parser *p)
{
	const uint64_t mask = p->alignment - 1, size = p->r.size, data = (p->r.at + mask) & ~mask;
	char what[160];
	struct tfs_tensor *t;
	size_t n;

	t = tfs_catalog_tensors(p->catalog, &n);
	if (n && data > size)
		return tfs_error_set(p->r.err, -EINVAL, size, "the file ends before its data begin, at byte %" PRIu64, data);
	for (size_t i = 0; i < n; i++) {
		uint64_t room = size - data;

		if (is_unknown(t[i].dtype)) {
			if (t[i].offset <= room)
				t[i].nbytes = (i + 1 < n && t[i + 1].offset < room ? t[i + 1].offset : room) - t[i].offset;
			if (!t[i].nbytes && has_elements(&t[i]))
				return refuse(p, &t[i], size, "of a type that is not known, and there are no bytes for it");
		}
		/* Without bytes it may stand behind padding that is missing. */
		if (!t[i].nbytes && t[i].offset > room && t[i].offset - room < p->alignment)
			t[i].offset = room;
		if (t[i].offset > room || t[i].nbytes > room - t[i].offset) {
			snprintf(what, sizeof what,
				 "%" PRIu64 " bytes at offset %" PRIu64 " of data that begin at byte %" PRIu64
				 "; the file ends at byte %" PRIu64,
				 t[i].nbytes, t[i].offset, data, size);
			return refuse(p, &t[i], size, what);
		}
		t[i].offset += data;
	}
	return 0;
}

/* Of a big-endian file: numbers are swapped, and words in blocks if they are, too. What we do not know is left as it is. */
static int pack_tensors(struct parser *p)
{
	enum tfs_gguf_order order;
	bool unsure = false;
	struct tfs_tensor *t;
	char what[160];
	size_t n;
	int rc;

	t = tfs_catalog_tensors(p->catalog, &n);
	rc = tfs_gguf_find_order(p->r.fd, t, n, &order, p->r.err);
	for (size_t i = 0; i < n && !rc; i++) {
		const struct tfs_dtype *dtype = t[i].dtype;
		const struct tfs_gguf_words *w = tfs_gguf_words_of(dtype);
		struct tfs_packing packing = { .coding = TFS_STORED, .length = t[i].nbytes };

		if (!t[i].nbytes)
			continue;
		if (!w) {
			packing.swap = dtype->block_elems == 1 && !is_unknown(dtype) ? dtype->block_bytes : 0;
		} else if (order == TFS_GGUF_UNDECIDED) {
			unsure = true;
		} else if (order == TFS_GGUF_BIG) {
			if (w->mixed) {
				snprintf(what, sizeof what,
					 "%s in big-endian order: writers differ in which of its bytes they swap", dtype->name);
				return refuse(p, &t[i], t[i].offset, what);
			}
			packing.swap = w->words[0].width;
			packing.words = dtype->block_elems > 1 ? w->words : NULL;
		}
		if (packing.swap > 1)
			rc = tfs_catalog_pack(p->catalog, &t[i], &packing);
	}
	if (!rc && unsure)
		rc = tfs_catalog_note(p->catalog, TFS_NO_OFFSET, "big-endian, but of the words in its blocks, or of BF16, that can't be told: taken as "
						  "little-endian, as gguf-py writes them");
	return rc;
}

static int check_names(struct parser *p)
{
	const struct tfs_tensor *t;
	size_t n;
	int rc = tfs_catalog_sort(p->catalog);

	if (rc)
		return rc;
	t = tfs_catalog_tensors(p->catalog, &n);
	for (size_t i = 1; i < n; i++)
		if (!tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len))
			return refuse(p, &t[i], t[i].offset, "stands twice");
	return 0;
}

static int read_tensors(struct parser *p)
{
	uint64_t at = p->r.at;
	struct tfs_gguf_tensor t;
	int rc = tfs_catalog_reserve(p->catalog, p->r.n_tensors, 0, 0);

	while (!rc && (rc = tfs_gguf_tensor(&p->r, &t)) > 0) {
		rc = add_tensor(p, &t, at);
		at = p->r.at;
	}
	if (!rc)
		rc = place_tensors(p);
	if (!rc && p->r.big_endian)
		rc = pack_tensors(p);
	return rc ? rc : check_names(p);
}

static int parse(int fd, uint64_t size, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct parser p = { .catalog = catalog, .alignment = DEFAULT_ALIGNMENT };
	int rc = tfs_gguf_open(&p.r, fd, size, err);

	if (!rc)
		rc = read_keys(&p);
	if (!rc)
		rc = read_tensors(&p);
	tfs_gguf_close(&p.r);
	if (rc == -ENOMEM && !err->code)
		tfs_error_set(err, rc, TFS_NO_OFFSET, "no memory for the header's tensors");
	return rc;
}

const struct tfs_format tfs_format_gguf = {
	.name = "gguf",
	.what = "a GGUF file",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.shard_ext = EXTENSION,
	.recognises = recognises,
	.parse = parse,
};
