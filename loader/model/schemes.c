/* SPDX-License-Identifier: MIT */
#include "model/schemes.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/search.h"
#include "base/sort.h"

/* clang-format off */
static const struct tfs_scheme *const schemes[] = {
	&tfs_scheme_incomplete,	 /* before all that could do without what is missing */
	&tfs_scheme_unsupported, /* before all that it looks like but for what it has besides */
	&tfs_scheme_comfy, /* before all whose names it has and means otherwise */
	&tfs_scheme_fp8,
	&tfs_scheme_mxfp4, /* before INT8: it has codes of type I8 that are two a byte */
	&tfs_scheme_nvfp4,
	&tfs_scheme_torchao,
	&tfs_scheme_quanto,
	&tfs_scheme_bitnet,
	&tfs_scheme_gemma,
	&tfs_scheme_int8,
	&tfs_scheme_bnb,
	&tfs_scheme_modelopt_int4, /* after all others that have bytes called "weight" with a "weight_scale" */
	&tfs_scheme_gptq,
	&tfs_scheme_awq, /* after GPTQ: it refuses what fits neither */
	&tfs_scheme_mlx,
	&tfs_scheme_ct_pack,
	&tfs_scheme_hqq,
};
/* clang-format on */

/* Weights of one scheme that were refused. */
struct refused {
	const char *scheme;
	const struct tfs_tensor *first;
	char why[256]; /* of the first */
	size_t n;
};

/* More than the number of schemes; any others would share one warning. */
enum { MAX_REFUSED = 32 };

enum { MOST_SHARED = 64 };

/* What a file says about itself, made ready for questions. */
struct metadata {
	const struct tfs_metadata **sorted; /* by key; NULL: not yet, or there is none */
	bool parsed;
	json_t *o; /* of the one key that is asked for as JSON */
};

/* Tensors [first, end) of the set, those whose names begin as that of one of them; see neighbours_of(). */
struct neighbours {
	const struct tfs_tensor *of, *first, *end;
	size_t keep;
};

/* The files that may have a configuration: see read_config(). */
enum { MAX_CONFIGS = 5 };

/* More than companions of one weight, or of one module, mostly are. */
enum { NEIGHBOURS = 8 };

struct tfs_schemes {
	struct tfs_model_impl *m;
	struct tfs_set *set;
	struct tfs_tensor *found; /* scaled weights, in no order */
	size_t n_found, room;
	const struct tfs_scaled *shared[MOST_SHARED]; /* the latest new ones */
	size_t next_shared;
	struct refused refused[MAX_REFUSED];
	size_t n_refused;
	struct neighbours near[2];
	size_t oldest; /* of these */
	int failure;   /* -ENOMEM of what has no result to say so: then nothing that was found counts */
	bool config_read;
	bool config_asked;	       /* for the weight that is being determined */
	uint32_t said_by[MAX_CONFIGS]; /* the files of the configuration that are there */
	size_t n_said_by;
	const char *unreadable;		     /* a file of these that is there and can't be read, or isn't a configuration */
	json_t *model_config, *other_config; /* files, parsed; NULL: not there */
	const json_t *config;		     /* of one of these */
	struct metadata *metadata;	     /* of the files of the set; NULL: none was asked for yet */
	uint32_t asked_last;		     /* the file that metadata was asked of last */
	/* The file that was read from last. */
	uint32_t node;
	struct tfs_input in;
};

/* --- Names and types ------------------------------------------------------------------------------------------------- */

bool tfs_name_ends(const struct tfs_tensor *t, const char *suffix)
{
	size_t len = strlen(suffix);

	return t->name_len >= len && !memcmp(t->name + t->name_len - len, suffix, len);
}

size_t tfs_schemes_weight(const struct tfs_tensor *t)
{
	static const char weight[] = "weight";
	const size_t len = sizeof weight - 1;

	if (!tfs_name_ends(t, weight) || (t->name_len > len && t->name[t->name_len - len - 1] != '.'))
		return SIZE_MAX;
	return len;
}

bool tfs_is(const struct tfs_tensor *t, const char *dtype)
{
	return !strcmp(t->dtype->name, dtype);
}

bool tfs_is_float(const struct tfs_tensor *t)
{
	return tfs_is(t, "F32") || tfs_is(t, "BF16") || tfs_is(t, "F16") || tfs_is(t, "F64");
}

uint64_t tfs_n_elems(const struct tfs_tensor *t)
{
	return t->nbytes / t->dtype->block_bytes * t->dtype->block_elems;
}

const struct tfs_set *tfs_schemes_set(const struct tfs_schemes *s)
{
	return s->set;
}

const char *tfs_shape_of(const struct tfs_tensor *t, char *buf)
{
	size_t at = 1;

	buf[0] = '[';
	for (unsigned i = 0; i < t->ndim && at < TFS_SHAPE_SIZE - 32; i++)
		at += snprintf(buf + at, TFS_SHAPE_SIZE - at, "%s%" PRIu64, i ? ", " : "", t->shape[i]);
	buf[at++] = ']';
	buf[at] = 0;
	return buf;
}

const struct tfs_tensor *tfs_schemes_named(struct tfs_schemes *s, const char *name, size_t len)
{
	size_t i = tfs_set_find(s->set, name, len);

	return i == SIZE_MAX ? NULL : &s->set->tensors[i];
}

static bool begins_alike(const struct tfs_tensor *t, const struct tfs_tensor *like, size_t keep)
{
	return t->name_len >= keep && !memcmp(t->name, like->name, keep);
}

/*
 * The tensors whose names begin as the first @keep bytes of that of @t, which are next to each other; or none, if they are more than
 * NEIGHBOURS. A scheme asks for many suffixes, and one after the other.
 */
static const struct neighbours *neighbours_of(struct tfs_schemes *s, const struct tfs_tensor *t, size_t keep)
{
	const struct tfs_tensor *const set = s->set->tensors, *const end = set + s->set->n_tensors;
	struct neighbours *n = &s->near[s->oldest];

	for (size_t i = 0; i < sizeof s->near / sizeof *s->near; i++)
		if (s->near[i].of == t && s->near[i].keep == keep)
			return &s->near[i];
	s->oldest = (s->oldest + 1) % (sizeof s->near / sizeof *s->near);
	*n = (struct neighbours){ .of = t, .keep = keep, .first = t, .end = t + 1 };
	while (n->first > set && n->end - n->first <= NEIGHBOURS && begins_alike(n->first - 1, t, keep))
		n->first--;
	while (n->end < end && n->end - n->first <= NEIGHBOURS && begins_alike(n->end, t, keep))
		n->end++;
	if (n->end - n->first > NEIGHBOURS)
		n->first = n->end = NULL;
	return n;
}

const struct tfs_tensor *tfs_schemes_part(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop, const char *suffix)
{
	const size_t keep = t->name_len - drop, end = strlen(suffix), len = keep + end;
	const struct neighbours *near = neighbours_of(s, t, keep);
	const struct tfs_name_part name[] = { { t->name, keep }, { suffix, end } };
	const struct tfs_tensor *all = s->set->tensors;
	const size_t n = s->set->n_tensors;

	for (const struct tfs_tensor *p = near->first; p < near->end; p++)
		if (p->name_len == len && !memcmp(p->name + keep, suffix, end))
			return p;
	if (near->first)
		return NULL;
	const size_t at = tfs_search(i, 0, n, tfs_name_cmp_parts(all[i].name, all[i].name_len, name, 2) < 0);
	return at < n && !tfs_name_cmp_parts(all[at].name, all[at].name_len, name, 2) ? &all[at] : NULL;
}

/* --- Configuration --------------------------------------------------------------------------------------------------- */

static json_t *read_file(struct tfs_schemes *s, const char *name)
{
	json_t *o;
	int r = tfs_config_read(&s->m->pub, s->set->dir, name, &o);
	uint32_t node = tfs_model_find_child(&s->m->pub, s->set->dir, name, strlen(name));

	if (node != UINT32_MAX)
		s->said_by[s->n_said_by++] = node;
	if (r == -ENOMEM)
		s->failure = r;
	else if (r && r != -ENOENT && !s->unreadable) {
		s->unreadable = name;
		tfs_model_warn(s->m, node, r, "%s isn't a configuration that can be read: no values that depend on it",
			       node == UINT32_MAX ? name : "this");
	}
	return o;
}

static const json_t *object_in(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_object(v) ? v : NULL;
}

/* Where a configuration may be, in this order. */
static void read_config(struct tfs_schemes *s)
{
	static const char *const of_model[] = { "quantization_config", "compression_config" };
	static const char *const files[] = { "quantize_config.json", "quant_config.json", "hf_quant_config.json", "params.json" };

	s->config_read = true;
	s->model_config = read_file(s, "config.json");
	for (size_t i = 0; i < sizeof of_model / sizeof *of_model && !s->config; i++)
		s->config = object_in(s->model_config, of_model[i]);
	/* MLX copies its "quantization" there, without a method: then "quantization" itself counts. */
	if (s->config && !json_object_get(s->config, "quant_method") && object_in(s->model_config, "quantization"))
		s->config = NULL;
	if (!s->config)
		s->config = object_in(object_in(s->model_config, "text_config"), "quantization_config");
	if (!s->config)
		s->config = object_in(s->model_config, "quantization");
	for (size_t i = 0; i < sizeof files / sizeof *files && !s->config; i++) {
		json_decref(s->other_config);
		s->other_config = read_file(s, files[i]);
		s->config = object_in(s->other_config, "quantization");
		if (!s->config && i < 2)
			s->config = s->other_config;
	}
}

static void ask_config(struct tfs_schemes *s)
{
	if (!s->config_read)
		read_config(s);
	s->config_asked = true;
}

const json_t *tfs_schemes_config(struct tfs_schemes *s)
{
	ask_config(s);
	return s->config;
}

const json_t *tfs_schemes_model_config(struct tfs_schemes *s)
{
	ask_config(s);
	return s->model_config;
}

bool tfs_schemes_has_config(struct tfs_schemes *s)
{
	return tfs_schemes_config(s) || s->unreadable;
}

static int by_key(const void *a, const void *b)
{
	const struct tfs_metadata *x = *(const struct tfs_metadata *const *)a, *y = *(const struct tfs_metadata *const *)b;

	return tfs_name_cmp(x->key, x->key_len, y->key, y->key_len);
}

/*
 * That of the file @t is in, in *@ret; NULL: it says nothing. 0 or -ENOMEM. A file may say as much as it has tensors, and be asked as
 * often, so that is put in order first.
 */
static int metadata_of(struct tfs_schemes *s, const struct tfs_tensor *t, struct metadata **ret, size_t *ret_n)
{
	const struct tfs_set *set = s->set;
	uint32_t i = s->asked_last;

	*ret = NULL;
	*ret_n = 0;
	if (set->sources[i] != t->source)
		for (i = 0; i < set->n_files && set->sources[i] != t->source; i++)
			;
	if (i == set->n_files)
		return 0;
	s->asked_last = i;
	if (!set->metadata[i].n)
		return 0;
	if (!s->metadata && !(s->metadata = calloc(set->n_files, sizeof *s->metadata)))
		return -ENOMEM;
	const struct tfs_file_metadata *f = &set->metadata[i];
	struct metadata *m = &s->metadata[i];

	if (!m->sorted) {
		if (!(m->sorted = calloc(f->n, sizeof *m->sorted)))
			return -ENOMEM;
		for (size_t k = 0; k < f->n; k++)
			m->sorted[k] = &f->pairs[k];
		qsort(m->sorted, f->n, sizeof *m->sorted, by_key);
	}
	*ret = m;
	*ret_n = f->n;
	return 0;
}

static const char *value_of(const struct metadata *m, size_t n, const char *key, size_t len, size_t *ret_len)
{
	size_t i = tfs_search(k, 0, n, tfs_name_cmp(m->sorted[k]->key, m->sorted[k]->key_len, key, len) < 0);

	if (i == n || tfs_name_cmp(m->sorted[i]->key, m->sorted[i]->key_len, key, len))
		return NULL;
	*ret_len = m->sorted[i]->value_len;
	return m->sorted[i]->value;
}

int tfs_schemes_metadata(struct tfs_schemes *s, const struct tfs_tensor *t, const char *key, size_t len, const char **ret_value,
			 size_t *ret_len)
{
	struct metadata *m;
	size_t n;
	int r = metadata_of(s, t, &m, &n);

	*ret_value = m ? value_of(m, n, key, len, ret_len) : NULL;
	return r;
}

int tfs_schemes_comfy_layers(struct tfs_schemes *s, const struct tfs_tensor *t, const json_t **ret_layers)
{
	static const char key[] = "_quantization_metadata";
	struct metadata *m;
	size_t n, len;
	int r = metadata_of(s, t, &m, &n);
	const char *text = m ? value_of(m, n, key, sizeof key - 1, &len) : NULL;

	*ret_layers = NULL;
	if (!text)
		return r;
	if (!m->parsed && len <= TFS_MAX_CONFIG && tfs_config_parse(text, len, &m->o) == -ENOMEM)
		return -ENOMEM;
	m->parsed = true;
	*ret_layers = object_in(m->o, "layers");
	return *ret_layers ? 1 : -EINVAL;
}

int64_t tfs_schemes_read(struct tfs_schemes *s, const struct tfs_tensor *t, void *buf, size_t size)
{
	if (t->encoding)
		return -ENOTSUP;
	if (t->nbytes > size)
		return -EFBIG;
	if (!s->in.ops || s->node != t->source) {
		tfs_input_close(&s->in);
		int r = tfs_model_open_input(&s->m->pub, t->source, &s->in);
		if (r)
			return r;
		s->node = t->source;
	}
	int r = t->nbytes ? tfs_input_read(&s->in, buf, t->nbytes, t->offset, NULL) : 0;
	return r ? r : (int64_t)t->nbytes;
}

json_t *tfs_schemes_json(struct tfs_schemes *s, const char *text, size_t len)
{
	json_t *o;

	if (tfs_config_json(text, len, 0, &o) == -ENOMEM)
		s->failure = -ENOMEM;
	return o;
}

/* --- What was found -------------------------------------------------------------------------------------------------- */

/* In the set's own table, which nobody else uses yet. */
static void mark_code(const struct tfs_schemes *s, const struct tfs_tensor *t)
{
	((struct tfs_tensor *)(uintptr_t)s->set->tensors)[t - s->set->tensors].code = true;
}

/* A shared copy of @w without the parts, which each weight has of its own. NULL: out of memory. */
static const struct tfs_scaled *share(struct tfs_schemes *s, const struct tfs_scaled *w)
{
	struct tfs_scaled how = *w, *shared;

	memset(how.parts, 0, sizeof how.parts);
	for (size_t i = 0; i < MOST_SHARED && s->shared[i]; i++)
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): padding costs a copy at most */
		if (!memcmp(&s->shared[i]->bits, &how.bits, sizeof how - offsetof(struct tfs_scaled, bits)) &&
		    !memcmp(s->shared[i], &how, offsetof(struct tfs_scaled, parts)))
			return s->shared[i];
	shared = tfs_arena_alloc(&s->m->arena, sizeof *shared, alignof(struct tfs_scaled));
	if (shared) {
		*shared = how;
		s->shared[s->next_shared++ % MOST_SHARED] = shared;
	}
	return shared;
}

/* Are all places below n_scales? Those of groups are checked once the groups are known. */
static bool places_fit(const struct tfs_scaled *w)
{
	uint64_t at, more;

	if (!w->experts || !w->rows || !w->cols)
		return true;
	return w->row_block && w->col_block && !ckd_mul(&at, w->experts - 1, w->per_expert) &&
	       !ckd_mul(&more, (w->rows - 1) / w->row_block, w->per_row) && !ckd_add(&at, at, more) &&
	       !ckd_mul(&more, w->has_groups ? 0 : (w->cols - 1) / w->col_block, w->per_col) && !ckd_add(&at, at, more) &&
	       at < w->n_scales;
}

/* A model has tens of thousands of similar weights: what they have in common is stored once. */
int tfs_schemes_add(struct tfs_schemes *s, const char *name, size_t len, const uint64_t *shape, unsigned ndim,
		    const struct tfs_scaled *w)
{
	struct tfs_arena *a = &s->m->arena;
	const struct tfs_tensor *codes = w->parts[0];
	const unsigned n_parts = w->n_parts + w->n_marks;
	const bool same_name = !tfs_name_cmp(codes->name, codes->name_len, name, len);
	const bool same_shape = codes->ndim == ndim && !memcmp(codes->shape, shape, ndim * sizeof *shape);
	struct tfs_encoding *encoding = tfs_arena_alloc(a, TFS_SCALED_ENCODING, alignof(struct tfs_encoding));
	const struct tfs_tensor **parts = tfs_arena_array(a, n_parts, sizeof *parts, alignof(const struct tfs_tensor *));
	uint64_t *dims = same_shape ? NULL : tfs_arena_array(a, ndim, sizeof *dims, alignof(uint64_t));
	struct tfs_tensor t = {
		.name = same_name ? codes->name : tfs_arena_copy(a, name, len),
		.name_len = len,
		.shape = same_shape ? codes->shape : dims,
		.ndim = ndim,
		.dtype = tfs_dtype_by_name("F32", 3),
		.source = codes->source,
		.offset = codes->offset,
		.encoding = encoding,
	};

	if (!encoding || !parts || !t.shape || !t.name || tfs_array_room(s->found, s->n_found, s->room))
		return -ENOMEM;
	if (dims)
		memcpy(dims, shape, ndim * sizeof *dims);
	memcpy(parts, w->parts, n_parts * sizeof *parts);
	memset(encoding, 0, TFS_SCALED_ENCODING);
	encoding->coding = TFS_SCALED;
	encoding->length = codes->nbytes;
	encoding->scaled = share(s, w);
	encoding->parts = parts;
	if (!encoding->scaled)
		return -ENOMEM;
	for (unsigned i = 1; i < n_parts; i++)
		tfs_schemes_hide(s, w->parts[i]);
	if (tfs_dtype_nbytes(t.dtype, shape, ndim, &t.nbytes) || t.nbytes / sizeof(float) != w->experts * w->rows * w->cols)
		return tfs_schemes_refuse(s, codes, w->scheme, "it is too large");
	if (s->config_asked && s->unreadable)
		return tfs_schemes_refuse(s, codes, w->scheme, "%s, which it depends on, can't be read", s->unreadable);
	if (!places_fit(w))
		return tfs_schemes_refuse(s, codes, w->scheme, "there are fewer scales than its values take");
	mark_code(s, codes);
	s->found[s->n_found++] = t;
	return 1;
}

void tfs_scaled_mark(struct tfs_scaled *w, const struct tfs_tensor *t)
{
	if (!t)
		return;
	assert(w->n_parts + w->n_marks < TFS_SCALED_PARTS);
	w->parts[w->n_parts + w->n_marks++] = t;
}

void tfs_schemes_hide(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	if (t && !tfs_is_float(t))
		mark_code(s, t);
}

int tfs_schemes_refuse(struct tfs_schemes *s, const struct tfs_tensor *t, const char *scheme, const char *fmt, ...)
{
	size_t i = 0;
	va_list args;

	mark_code(s, t);
	while (i < s->n_refused && i < MAX_REFUSED - 1 && strcmp(s->refused[i].scheme, scheme) != 0)
		i++;
	struct refused *r = &s->refused[i];
	if (i == s->n_refused) {
		s->n_refused++;
		*r = (struct refused){ .scheme = scheme, .first = t };
		va_start(args, fmt);
		vsnprintf(r->why, sizeof r->why, fmt, args);
		va_end(args);
	}
	r->n++;
	return 1;
}

bool tfs_schemes_smoothed(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t weight = tfs_schemes_weight(t);

	return weight != SIZE_MAX && tfs_schemes_part(s, t, weight, "pre_quant_scale");
}

static void warn_refused(const struct tfs_schemes *s)
{
	for (size_t i = 0; i < s->n_refused; i++) {
		const struct refused *r = &s->refused[i];
		char name[TFS_QUOTE_SIZE], more[64] = "";

		if (r->n > 1)
			snprintf(more, sizeof more, ", and %zu more of this scheme", r->n - 1);
		tfs_model_warn(s->m, r->first->source, -EOPNOTSUPP, "tensor %s%s: not in f32/: %s: %s",
			       tfs_quote(name, sizeof name, r->first->name, r->first->name_len), more, r->scheme, r->why);
	}
}

/* --- A set ----------------------------------------------------------------------------------------------------------- */

/* Types that codes, or what tells them, are kept in. */
static const char *const code_types[] = { "F8_E4M3", "F8_E5M2", "I8", "U8", "I32", "U32", "F4", "I16", "U16", "I64" };
enum { CODE_TYPES = sizeof code_types / sizeof *code_types };

static bool may_be_code(const struct tfs_dtype *const types[CODE_TYPES], const struct tfs_dtype *d)
{
	for (size_t i = 0; i < CODE_TYPES; i++)
		if (types[i] == d)
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static int by_tensor(const void *a, const void *b)
{
	const struct tfs_part *x = a, *y = b;

	return x->tensor != y->tensor ? (x->tensor > y->tensor) - (x->tensor < y->tensor) :
					(x->scaled > y->scaled) - (x->scaled < y->scaled);
}

/* A tensor of that name that isn't codes keeps the name. With a warning: no checkpoint that anything loads has such a conflict. */
static bool is_taken(struct tfs_schemes *s, const struct tfs_tensor *t, const struct tfs_tensor *before)
{
	const bool of_codes = t->name == t->encoding->parts[0]->name; /* see tfs_schemes_add() */
	size_t stored = of_codes ? SIZE_MAX : tfs_set_find(s->set, t->name, t->name_len);
	char name[TFS_QUOTE_SIZE];

	if ((!before || by_name(before, t)) && (stored == SIZE_MAX || s->set->tensors[stored].code))
		return false;
	tfs_model_warn(
		s->m, t->source, -EINVAL,
		"tensor %s: not in f32/: the weight of this name that is computed from %s: there is another tensor of its name",
		tfs_quote(name, sizeof name, t->name, t->name_len), t->encoding->scaled->scheme);
	return true;
}

/* qsort(3), except if it is sorted already, as nearly always, since tensors are searched in name order. */
static void sort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	char *at = base;
	size_t i = 1;

	while (i < n && cmp(at + (i - 1) * size, at + i * size) <= 0)
		i++;
	if (i < n)
		qsort(base, n, size, cmp);
}

static unsigned n_with_marks(const struct tfs_tensor *t)
{
	return t->encoding->scaled->n_parts + t->encoding->scaled->n_marks;
}

/* The tables of the set, of what was found. */
static int fill(struct tfs_schemes *s)
{
	struct tfs_set *set = s->set;
	size_t n = 0, n_parts = 0;

	sort(s->found, s->n_found, sizeof *s->found, by_name);
	struct tfs_tensor *t = tfs_arena_array(&s->m->arena, s->n_found, sizeof *t, alignof(struct tfs_tensor));
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_found; i++) {
		if (is_taken(s, &s->found[i], n ? &t[n - 1] : NULL))
			continue;
		t[n] = s->found[i];
		n_parts += n_with_marks(&t[n++]);
	}
	struct tfs_part *parts = tfs_arena_array(&s->m->arena, n_parts, sizeof *parts, alignof(struct tfs_part));
	if (!parts)
		return -ENOMEM;
	n_parts = 0;
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < n_with_marks(&t[i]); k++)
			parts[n_parts++] = (struct tfs_part){ (uint32_t)(t[i].encoding->parts[k] - set->tensors), (uint32_t)i };
	sort(parts, n_parts, sizeof *parts, by_tensor);
	set->scaled = t;
	set->n_scaled = n;
	set->parts = parts;
	set->n_parts = n_parts;
	return 0;
}

static void drop_metadata(struct tfs_schemes *s)
{
	for (uint32_t i = 0; s->metadata && i < s->set->n_files; i++) {
		json_decref(s->metadata[i].o);
		free(s->metadata[i].sorted);
	}
	free(s->metadata);
}

/* What the set's files themselves say to be codes. */
static int find_recipes(struct tfs_schemes *s)
{
	int r = 0;

	for (uint32_t f = 0; f < s->set->n_files; f++)
		for (size_t i = 0; i < s->set->metadata[f].n_recipes && r >= 0; i++)
			r = tfs_scheme_recipe(s, &s->set->metadata[f].recipes[i]);
	return r < 0 ? r : 0;
}

/* Whatever of them it was: configurations, and metadata of the set's own files. */
static int note_said_by(struct tfs_schemes *s)
{
	const size_t n = s->n_said_by + (s->metadata ? s->set->n_files : 0);
	uint32_t *nodes = tfs_arena_alloc(&s->m->arena, n * sizeof *nodes + 1, alignof(uint32_t));

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		nodes[i] = i < s->n_said_by ? s->said_by[i] : s->set->sources[i - s->n_said_by];
	s->set->said_by = nodes;
	s->set->n_said_by = n;
	return 0;
}

int tfs_schemes_find(struct tfs_model_impl *m, struct tfs_set *set)
{
	struct tfs_schemes s = { .m = m, .set = set, .in = TFS_INPUT_CLOSED };
	const struct tfs_dtype *types[CODE_TYPES];
	int r = find_recipes(&s);

	for (size_t i = 0; i < CODE_TYPES; i++)
		types[i] = tfs_dtype_by_name(code_types[i], strlen(code_types[i]));

	for (size_t i = 0; i < set->n_tensors && r >= 0; i++) {
		const struct tfs_tensor *t = &set->tensors[i];

		r = 0;
		if (!may_be_code(types, t->dtype))
			continue;
		s.config_asked = false;
		for (size_t k = 0; k < sizeof schemes / sizeof *schemes && !r && !t->code; k++)
			r = schemes[k]->find(&s, t);
		if (s.failure)
			r = s.failure;
	}
	/* Only now: what tells a weight may follow after its codes. */
	for (size_t i = 0; i < set->n_tensors && r >= 0; i++)
		if (may_be_code(types, set->tensors[i].dtype) && !set->tensors[i].code)
			r = tfs_scheme_unknown.find(&s, &set->tensors[i]);
	if (r >= 0)
		r = s.n_found ? fill(&s) : 0;
	if (r >= 0 && s.n_found)
		r = note_said_by(&s);
	if (r >= 0)
		warn_refused(&s);
	tfs_input_close(&s.in);
	json_decref(s.model_config);
	json_decref(s.other_config);
	drop_metadata(&s);
	free(s.found);
	return r < 0 ? r : 0;
}
