/* SPDX-License-Identifier: MIT */
/*
 * TensorFlow.js: the weightsManifest of a model.json, or a manifest alone (tfjs-core/src/io/types.ts, WeightsManifestConfig; io_utils.ts,
 * decodeWeights()). It has groups of weights, whose bytes follow each other in the group's files as if these were one; a weight may go
 * on from one file to the next.
 *
 * Quantised weights are shown as the integers that are stored; f32/ has code * scale + min, as JavaScript computes it.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/format.h"
#include "storage/storage.h"

/* A graph of some thousand operators has a few megabytes. */
#define MAX_SIZE (64u << 20)

/* Of a model of 40 GB in the usual shards of 4 MiB. */
#define MAX_PATHS 10000u

/* Weights times files: where each weight is takes as many steps. */
#define MAX_STEPS (1ull << 28)

/* Digits of a number that JavaScript writes: 17, a sign, a point, an exponent. */
enum { MAX_DIGITS = 40 };

struct manifest {
	struct tfs_json json;
	struct tfs_drafts d;
	struct tfs_error *err;
	/* The group at hand. */
	size_t run;
	uint64_t at;	    /* of the next weight, in the files of the group together */
	bool lost;	    /* there was one whose size isn't known */
	uint64_t n_weights; /* of all groups */
};

struct weight {
	struct tfs_json_text name, dtype, quantised; /* s NULL: not given */
	double scale, min;
	uint64_t shape[TFS_MAX_DIMS];
	unsigned ndim;
	uint64_t at; /* of the record */
};

/* --- Is it one? ------------------------------------------------------------------------------------------------------ */

/* Is @word in the file? */
static bool contains(const struct tfs_sample *s, const char *word)
{
	const struct tfs_input *in = s->in;
	const size_t len = strlen(word), room = 64 << 10;
	cleanup_free char *buf = malloc(room);
	bool found = false;

	if (!buf)
		return tfs_sample_fails(s, -ENOMEM);
	for (uint64_t at = 0; !found && at < in->size;) {
		const size_t n = in->size - at < room ? in->size - at : room;
		int r = tfs_input_read(in, buf, n, at, NULL);

		if (r)
			return tfs_sample_fails(s, r);
		found = memmem(buf, n, word, len);
		at += n < room || n <= len ? n : n - len; /* it may be across the end of the buffer */
	}
	return found;
}

/* Is the last byte but white space another than @end? */
static bool is_cut(const struct tfs_sample *s, char end)
{
	char tail[64];
	size_t n = s->in->size < sizeof tail ? s->in->size : sizeof tail;
	int r = tfs_input_read(s->in, tail, n, s->in->size - n, NULL);

	if (r)
		return tfs_sample_fails(s, r);
	while (n && strchr(" \t\r\n", tail[n - 1]))
		n--;
	return !n || tail[n - 1] != end;
}

/* What was cut short may lack what it has last; then a model's topology, or a part of a manifest, is a sign of one. */
static bool recognises(const struct tfs_sample *s)
{
	size_t at = 0;

	while (at < s->len && strchr(" \t\r\n", s->start[at]))
		at++;
	if (at == s->len || s->in->size > MAX_SIZE)
		return false;
	if (s->start[at] == '[') {
		bool paths = contains(s, "\"paths\""), weights = contains(s, "\"weights\"");

		return paths && weights ? true : (paths || weights) && is_cut(s, ']');
	}
	return s->start[at] == '{' && (contains(s, "\"weightsManifest\"") || (contains(s, "\"modelTopology\"") && is_cut(s, '}')));
}

/* --- Weights --------------------------------------------------------------------------------------------------------- */

static int refuse(struct manifest *m, uint64_t at, const char *what)
{
	return tfs_error_set(m->err, -EINVAL, at, "%s", what);
}

static int read_number(struct manifest *m, double *ret)
{
	struct tfs_json_text text;
	char digits[MAX_DIGITS];
	int r = tfs_json_number(&m->json, &text);

	if (r)
		return r;
	if (text.len >= sizeof digits)
		return refuse(m, tfs_json_offset(&m->json, &text), "a number of more digits than JavaScript writes");
	memcpy(digits, text.s, text.len);
	digits[text.len] = '\0';
	*ret = strtod(digits, NULL);
	return 0;
}

static int read_shape(struct manifest *m, struct weight *w)
{
	int r = tfs_json_array_begin(&m->json);

	while (!r && (r = tfs_json_array_next(&m->json)) > 0) {
		uint64_t n;

		r = tfs_json_u64(&m->json, &n);
		if (!r && w->ndim < TFS_MAX_DIMS)
			w->shape[w->ndim] = n;
		w->ndim++;
	}
	return r;
}

static int read_quantisation(struct manifest *m, struct weight *w)
{
	struct tfs_json_text key;
	int r = tfs_json_object_begin(&m->json);

	while (!r && (r = tfs_json_object_next(&m->json, &key)) > 0)
		r = tfs_json_is(&key, "dtype") ? tfs_json_string(&m->json, &w->quantised) :
		    tfs_json_is(&key, "scale") ? read_number(m, &w->scale) :
		    tfs_json_is(&key, "min")   ? read_number(m, &w->min) :
						 tfs_json_skip(&m->json);
	return r;
}

static int read_weight(struct manifest *m, struct weight *w)
{
	struct tfs_json_text key;
	int r = tfs_json_object_begin(&m->json);

	w->at = (uint64_t)(m->json.at - m->json.start);
	while (!r && (r = tfs_json_object_next(&m->json, &key)) > 0)
		r = tfs_json_is(&key, "name")	      ? tfs_json_string(&m->json, &w->name) :
		    tfs_json_is(&key, "dtype")	      ? tfs_json_string(&m->json, &w->dtype) :
		    tfs_json_is(&key, "shape")	      ? read_shape(m, w) :
		    tfs_json_is(&key, "quantization") ? read_quantisation(m, w) :
							tfs_json_skip(&m->json);
	if (!r && (!w->name.s || !w->dtype.s))
		return refuse(m, w->at, w->name.s ? "a weight without a dtype" : "a weight without a name");
	return r;
}

/* The type of what is stored. NULL: unknown, or strings. */
static const char *stored_type(const struct weight *w)
{
	static const struct {
		const char *name, *ours;
	} types[] = {
		{ "float32", "F32" }, { "int32", "I32" }, { "bool", "BOOL" },	{ "uint8", "U8" },	{ "uint16", "U16" },
		{ "int8", "I8" },     { "int16", "I16" }, { "float16", "F16" }, { "complex64", "C64" },
	};
	const struct tfs_json_text *text = w->quantised.s ? &w->quantised : &w->dtype;

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (tfs_json_is(text, types[i].name))
			return types[i].ours;
	return NULL;
}

/* Codes that stand for numbers: not those of float16, which are such by themselves. */
static void set_scales(const struct weight *w, struct tfs_draft *t)
{
	if (!w->quantised.s || tfs_json_is(&w->quantised, "float16"))
		return;
	t->scales = (struct tfs_draft_scales){
		.op = "tfjs",
		.affine = true,
		.round = tfs_json_is(&w->dtype, "int32"),
		.by = w->scale,
		.plus = w->min,
		.wrong = isfinite(w->scale) && isfinite(w->min) ? NULL : "its scale or min isn't a finite number",
	};
}

static int add_weight(struct manifest *m)
{
	struct weight w = { .scale = 1 };
	int r = read_weight(m, &w);
	struct tfs_draft t = {
		.name = w.name.s,
		.name_len = w.name.len,
		.shape = w.shape,
		.ndim = w.ndim,
		.at = w.at,
		.offset = m->at,
		.run = m->run,
	};
	const char *type;

	if (r)
		return r;
	m->n_weights++;
	type = stored_type(&w);
	if (m->lost)
		return tfs_drafts_leave_out(&m->d, &t, "it follows one whose size isn't known");
	t.dtype = type ? tfs_dtype_by_name(type, strlen(type)) : NULL;
	m->lost = !type || w.ndim > TFS_MAX_DIMS || tfs_dtype_nbytes(t.dtype, w.shape, w.ndim, &t.stored) ||
		  ckd_add(&m->at, m->at, t.stored);
	if (m->lost && tfs_json_is(&w.dtype, "string"))
		return tfs_drafts_leave_out(&m->d, &t, "a tensor of strings");
	if (m->lost)
		return tfs_drafts_leave_out(&m->d, &t, type ? "its shape is too large" : "an unknown type");
	set_scales(&w, &t);
	return tfs_drafts_add(&m->d, &t);
}

/* --- Groups ---------------------------------------------------------------------------------------------------------- */

static int read_weights(struct manifest *m)
{
	int r = tfs_json_array_begin(&m->json);

	while (!r && (r = tfs_json_array_next(&m->json)) > 0)
		r = add_weight(m);
	return r;
}

static int read_paths(struct manifest *m)
{
	struct tfs_json_text path;
	int r = tfs_json_array_begin(&m->json);

	while (!r && (r = tfs_json_array_next(&m->json)) > 0) {
		r = tfs_json_string(&m->json, &path);
		if (!r && m->d.n_paths == MAX_PATHS)
			return refuse(m, tfs_json_offset(&m->json, &path), "more than 10000 files");
		if (!r)
			r = tfs_drafts_path(&m->d, path.s, path.len);
	}
	return r;
}

static int read_group(struct manifest *m)
{
	struct tfs_json_text key;
	int r = tfs_json_object_begin(&m->json);

	m->at = 0;
	m->lost = false;
	if (!r)
		r = tfs_drafts_run(&m->d, &m->run);
	while (!r && (r = tfs_json_object_next(&m->json, &key)) > 0)
		r = tfs_json_is(&key, "paths")	 ? read_paths(m) :
		    tfs_json_is(&key, "weights") ? read_weights(m) :
						   tfs_json_skip(&m->json);
	if (!r && !m->lost)
		tfs_drafts_total(&m->d, m->at);
	return r;
}

static int read_groups(struct manifest *m)
{
	int r = tfs_json_array_begin(&m->json);

	while (!r && (r = tfs_json_array_next(&m->json)) > 0)
		r = read_group(m);
	return r;
}

static int read_json(struct manifest *m)
{
	struct tfs_json_text key;
	bool seen = false;
	int r = tfs_json_peek(&m->json);

	if (r == TFS_JSON_ARRAY) {
		r = read_groups(m);
		return r ? r : tfs_json_end(&m->json);
	}
	if (r >= 0)
		r = tfs_json_object_begin(&m->json);
	while (!r && (r = tfs_json_object_next(&m->json, &key)) > 0) {
		if (!tfs_json_is(&key, "weightsManifest")) {
			r = tfs_json_skip(&m->json);
			continue;
		}
		if (seen)
			return refuse(m, tfs_json_offset(&m->json, &key), "a second weightsManifest");
		seen = true;
		r = read_groups(m);
	}
	if (!r && !seen)
		return refuse(m, 0, "isn't a TensorFlow.js model: it has no weightsManifest");
	return r ? r : tfs_json_end(&m->json);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free char *text = NULL;
	struct manifest m = { .err = err };
	int r;

	(void)file_name;
	if (in->size > MAX_SIZE)
		return tfs_error_set(err, -EINVAL, 0, "a manifest of %" PRIu64 " bytes is above the limit of %u", in->size,
				     MAX_SIZE);
	text = tfs_share_scratch(in->share, in->size) ? NULL : malloc(in->size + 1);
	if (!text)
		return -ENOMEM;
	r = tfs_input_read(in, text, in->size, 0, err);
	if (r)
		return r;
	tfs_json_init(&m.json, text, in->size, 0, err);
	tfs_drafts_init(&m.d, in, catalog, err);
	r = read_json(&m);
	if (!r && m.n_weights * m.d.n_paths > MAX_STEPS)
		r = tfs_error_set(err, -EINVAL, 0, "%" PRIu64 " weights in %zu files, whose product is above the limit of 2^28",
				  m.n_weights, m.d.n_paths);
	if (!r)
		r = tfs_drafts_catalog(&m.d);
	tfs_drafts_fini(&m.d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_tfjs = {
	.name = "tfjs",
	.what = "a TensorFlow.js model",
	.ambiguous = (const char *const[]){ "model.json", "weights_manifest.json", NULL },
	.external = true,
	.recognises = recognises,
	.parse = parse,
};
