/* SPDX-License-Identifier: MIT */
/*
 * GGML files, from before GGUF: whisper.cpp's (src/whisper.cpp, whisper_model_load(); parakeet.cpp; convert-silero-vad-to-ggml.py), those
 * of ggml's examples (gpt-2, gpt-j, gpt-neox), and llama.cpp's of 2023 ("ggjt"). A magic, the model's own parameters, its vocabulary,
 * and then each tensor after its record. Neither kind nor version of what precedes the tensors is given, so the known layouts are tried:
 * the right one is that whose tensors end where the file does.
 *
 * Blocks changed their layout twice in 2023 while their types, and partly their sizes, stayed (llama.cpp pull requests 1405 and 1508).
 * Blocks of files that don't say to be of the last version (ggml.h, GGML_QNT_VERSION) are shown raw.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/format.h"
#include "format/forward.h"
#include "format/gguf/types.h"
#include "storage/storage.h"

/* Words of a vocabulary: the largest have 260,000. A hostile file needs 4 bytes for one. */
#define MAX_WORDS (1u << 22)

/* ggml.h: GGML_MAX_DIMS; of names, 64 bytes are ggml's limit in memory. */
enum { MAX_DIMS = 4, MAX_NAME = 256 };

/* ggml.h: what of a file's ftype is the version of its blocks, and the last one. */
enum { VERSION_FACTOR = 1000, VERSION = 2 };

/* ggjt's third version is that one, too; the bytes of its tensors are aligned to 32. */
enum { GGJT_VERSION = 3, GGJT_ALIGNMENT = 32 };

struct ggml {
	struct tfs_forward f;
	uint32_t alignment;
	bool old_blocks;
	uint64_t data; /* where the tensors' records begin */
};

/* The record of a tensor; the bytes follow, at @at. */
struct record {
	uint32_t ndim, type, name_len;
	uint64_t shape[MAX_DIMS];
	char name[MAX_NAME];
	uint64_t begin, at, nbytes;
	const struct tfs_dtype *dtype;
};

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 0, "lmgg", 4) || tfs_sample_has(s, 0, "tjgg", 4);
}

/* --- What precedes the tensors --------------------------------------------------------------------------------------- */

/* @n numbers of 4 bytes. */
static int read_numbers(struct ggml *g, uint32_t *ret, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++)
		r = tfs_forward_u32(&g->f, &ret[i]);
	return r;
}

static void set_type(struct ggml *g, uint32_t ftype)
{
	g->old_blocks = ftype / VERSION_FACTOR != VERSION;
}

/* @n words, each with its length, and @more bytes after it. */
static int skip_words(struct ggml *g, uint32_t n, unsigned more)
{
	uint64_t at = g->f.at;
	int r = 0;

	if (n > MAX_WORDS)
		return tfs_error_set(g->f.err, -EINVAL, at, "a vocabulary of %" PRIu32 " words; the limit is %u", n, MAX_WORDS);
	while (n-- && !r) {
		uint32_t len = 0;

		r = tfs_forward_u32(&g->f, &len);
		if (!r)
			r = tfs_forward_skip(&g->f, (uint64_t)len + more);
	}
	return r;
}

static int skip_vocabulary(struct ggml *g)
{
	uint32_t n = 0;
	int r = tfs_forward_u32(&g->f, &n);

	return r ? r : skip_words(g, n, 0);
}

/* Two numbers and as many floats as their product. */
static int skip_filters(struct ggml *g)
{
	uint32_t n[2] = { 0 };
	uint64_t len;
	int r = read_numbers(g, n, 2);

	if (r)
		return r;
	if (ckd_mul(&len, (uint64_t)n[0] * n[1], sizeof(float)))
		len = UINT64_MAX;
	return tfs_forward_skip(&g->f, len);
}

static int whisper(struct ggml *g)
{
	uint32_t p[11] = { 0 };
	int r = read_numbers(g, p, 11);

	set_type(g, p[10]);
	if (!r)
		r = skip_filters(g);
	return r ? r : skip_vocabulary(g);
}

static int parakeet(struct ggml *g)
{
	uint32_t p[15] = { 0 }, window = 0;
	int r = read_numbers(g, p, 15);

	set_type(g, p[6]);
	if (!r)
		r = skip_filters(g);
	if (!r)
		r = tfs_forward_u32(&g->f, &window);
	if (!r)
		r = tfs_forward_skip(&g->f, (uint64_t)window * sizeof(float));
	if (!r)
		r = tfs_forward_skip(&g->f, (uint64_t)p[13] * sizeof(uint32_t));
	return r ? r : skip_vocabulary(g);
}

/* A name, a version of three numbers, two sizes; three numbers for each layer of the encoder; four more. No ftype. */
static int silero(struct ggml *g)
{
	uint32_t len = 0, p[6] = { 0 };
	int r = tfs_forward_u32(&g->f, &len);

	g->old_blocks = true;
	if (!r)
		r = tfs_forward_skip(&g->f, len);
	if (!r)
		r = read_numbers(g, p, 6);
	return r ? r : tfs_forward_skip(&g->f, ((uint64_t)p[5] * 3 + 4) * sizeof(uint32_t));
}

/* @n parameters, ftype the last one. */
static int example(struct ggml *g, unsigned n)
{
	uint32_t p[8] = { 0 };
	int r = read_numbers(g, p, n);

	set_type(g, p[n - 1]);
	return r;
}

static int gpt_2(struct ggml *g)
{
	int r = example(g, 6);

	return r ? r : skip_vocabulary(g);
}

static int gpt_j(struct ggml *g)
{
	int r = example(g, 7);

	return r ? r : skip_vocabulary(g);
}

/* The number of words is the first parameter. */
static int gpt_neox(struct ggml *g)
{
	uint32_t p[8] = { 0 };
	int r = read_numbers(g, p, 8);

	set_type(g, p[7]);
	return r ? r : skip_words(g, p[0], 0);
}

/* llama.cpp: version, seven parameters, words with a score. */
static int ggjt(struct ggml *g)
{
	uint32_t version = 0, p[7] = { 0 };
	int r = tfs_forward_u32(&g->f, &version);

	if (!r)
		r = read_numbers(g, p, 7);
	g->old_blocks = version != GGJT_VERSION;
	g->alignment = GGJT_ALIGNMENT;
	return r ? r : skip_words(g, p[0], sizeof(float));
}

static const struct layout {
	const char *magic;
	int (*skip)(struct ggml *g);
} layouts[] = {
	{ "lmgg", whisper }, { "lmgg", parakeet }, { "lmgg", silero }, { "lmgg", gpt_2 },
	{ "lmgg", gpt_j },   { "lmgg", gpt_neox }, { "tjgg", ggjt },
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts };

/* --- Tensors --------------------------------------------------------------------------------------------------------- */

static int refuse(struct ggml *g, const struct record *rec, const char *what)
{
	return tfs_error_set(g->f.err, -EINVAL, rec->begin, "not the record of a tensor: %s", what);
}

static int read_shape(struct ggml *g, struct record *rec)
{
	int r = 0;

	if (rec->ndim > MAX_DIMS)
		return refuse(g, rec, "more than 4 dimensions");
	for (unsigned i = rec->ndim; i-- && !r;) { /* the fastest first */
		uint32_t n = 0;

		r = tfs_forward_u32(&g->f, &n);
		rec->shape[i] = n;
		if (!r && n > INT32_MAX)
			return refuse(g, rec, "a negative dimension");
	}
	return r;
}

static int read_name(struct ggml *g, struct record *rec)
{
	if (!rec->name_len || rec->name_len > MAX_NAME)
		return refuse(g, rec, "a name of no or more than 256 bytes");
	return tfs_forward_bytes(&g->f, rec->name, rec->name_len);
}

/* Its type and the number of its bytes, which may be more than the file has. */
static int read_type(struct ggml *g, struct record *rec)
{
	const char *name = tfs_ggml_type_name(rec->type);

	if (!name)
		return refuse(g, rec, "an unknown type");
	rec->dtype = tfs_dtype_by_name(name, strlen(name));
	if ((rec->ndim ? rec->shape[rec->ndim - 1] : 1) % rec->dtype->block_elems)
		return refuse(g, rec, "rows that don't fill whole blocks");
	return tfs_dtype_nbytes(rec->dtype, rec->shape, rec->ndim, &rec->nbytes) ?
		       refuse(g, rec, "a shape of more than 2^64 bits") :
		       0;
}

/* The next tensor, whose bytes are passed over. */
static int next(struct ggml *g, struct record *rec)
{
	uint32_t head[3];
	int r;

	rec->begin = g->f.at;
	r = tfs_share_scratch(g->f.in->share, 0); /* CPU time, as all layouts may be tried to the end */
	if (!r)
		r = read_numbers(g, head, 3);
	if (r)
		return r;
	rec->ndim = head[0];
	rec->name_len = head[1];
	rec->type = head[2];
	r = read_shape(g, rec);
	if (!r)
		r = read_name(g, rec);
	if (!r)
		r = read_type(g, rec);
	if (!r && g->alignment && g->f.at % g->alignment)
		r = tfs_forward_skip(&g->f, g->alignment - g->f.at % g->alignment);
	rec->at = g->f.at;
	return r ? r : tfs_forward_skip(&g->f, rec->nbytes);
}

/* Is @l the layout? 0 if all is tensors from there on, whose number is *@ret_n; an error if it isn't, or isn't sound. */
static int try(struct ggml *g, const struct layout *l, size_t *ret_n)
{
	struct record rec;
	int r;

	*ret_n = 0;
	g->f.at = 4;
	g->alignment = 0;
	r = l->skip(g);
	g->data = g->f.at;
	while (!r && g->f.at < g->f.in->size) {
		if (*ret_n == TFS_DRAFT_MAX_TENSORS)
			return tfs_error_set(g->f.err, -EINVAL, g->f.at, "more than %u tensors", TFS_DRAFT_MAX_TENSORS);
		r = next(g, &rec);
		*ret_n += !r;
	}
	return r;
}

/*
 * Find the layout, and have @g begin after what precedes the tensors. If none is right, the error is that of the one that went furthest
 * into the tensors: in a file that ends too early, the right one.
 */
static int find_layout(struct ggml *g, const char magic[4])
{
	struct tfs_error *err = g->f.err, best = { 0 }, tried = { 0 };
	const struct layout *empty = NULL;
	size_t n, most = 0;
	int r = -EINVAL;

	g->f.err = &tried;
	for (size_t i = 0; i < LAYOUTS && r; i++) {
		if (memcmp(magic, layouts[i].magic, 4) != 0)
			continue;
		tried = (struct tfs_error){ 0 };
		r = try(g, &layouts[i], &n);
		if (r && r != -EINVAL) {
			best = tried;
			break;
		}
		if (r && (!best.code || n > most)) {
			best = tried;
			most = n;
		}
		if (!r && !n) { /* one without tensors, unless another layout fits better */
			empty = empty ? empty : &layouts[i];
			r = -EINVAL;
		}
	}
	if (r == -EINVAL && empty && !most)
		r = try(g, empty, &n);
	g->f.err = err;
	if (r && most)
		tfs_error_set(err, best.code, best.offset, "%s", best.what);
	else if (r)
		tfs_error_set(err, r, r == -EINVAL ? TFS_NO_OFFSET : best.offset, "%s",
			      r == -EINVAL ? "is a GGML file of a program that tensorfs doesn't know; convert it to GGUF" :
					     best.what);
	g->f.at = g->data;
	return r;
}

/* Shown raw if it is of blocks that may be of another layout. */
static int add(struct ggml *g, struct tfs_drafts *d, const struct record *rec)
{
	struct tfs_draft t = {
		.name = rec->name,
		.name_len = rec->name_len,
		.dtype = rec->dtype,
		.shape = rec->shape,
		.ndim = rec->ndim,
		.at = rec->begin,
		.offset = rec->at,
		.stored = rec->nbytes,
	};
	char name[32], quoted[TFS_QUOTE_SIZE];
	int r;

	if (!g->old_blocks || rec->dtype->block_elems == 1)
		return tfs_drafts_add(d, &t);
	snprintf(name, sizeof name, "UNKNOWN(%" PRIu32 ")", rec->type);
	t.dtype = tfs_catalog_dtype(d->catalog, name, NULL, rec->dtype->block_elems, rec->dtype->block_bytes);
	if (!t.dtype)
		return -ENOMEM;
	r = tfs_catalog_note(d->catalog, rec->begin,
			     "tensor %s: blocks of %s as they were before version %d: shown raw, as %s; quantise the model again",
			     tfs_quote(quoted, sizeof quoted, rec->name, rec->name_len), rec->dtype->name, VERSION, t.dtype->name);
	return r ? r : tfs_drafts_add(d, &t);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct ggml *g = calloc(1, sizeof *g);
	struct tfs_drafts d;
	struct record rec;
	char magic[4];
	int r;

	(void)file_name;
	if (!g)
		return -ENOMEM;
	tfs_forward_init(&g->f, in, 0, err);
	tfs_drafts_init(&d, in, catalog, err);
	d.strict = true;
	r = tfs_forward_bytes(&g->f, magic, sizeof magic);
	if (!r)
		r = find_layout(g, magic);
	while (!r && g->f.at < in->size) {
		r = next(g, &rec);
		if (!r)
			r = add(g, &d, &rec);
	}
	if (!r)
		r = tfs_drafts_catalog(&d);
	tfs_drafts_fini(&d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_ggml = {
	.name = "ggml",
	.what = "a GGML file",
	.extensions = (const char *const[]){ ".ggml", NULL },
	.ambiguous = (const char *const[]){ ".bin", NULL },
	.recognises = recognises,
	.parse = parse,
};
