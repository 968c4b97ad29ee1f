/* SPDX-License-Identifier: MIT */
#include "tree/converted.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/search.h"
#include "base/sort.h"
#include "content/shards.h"
#include "content/values.h"
#include "model/config.h"
#include "tensor/scaled.h"

const char *const tfs_as_names[TFS_AS] = { "bf16", "f16", "f32" };

static const struct {
	const char *dtype, *torch;
} types[TFS_AS] = {
	[TFS_AS_BF16] = { "BF16", "bfloat16" },
	[TFS_AS_F16] = { "F16", "float16" },
	[TFS_AS_F32] = { "F32", "float32" },
};

/* What its files are called after. */
static const char stem[] = "model";

/* A set in one type. */
struct converted {
	struct tfs_shards shards; /* n is 0: not known yet */
	struct tfs_consolidated **files;
};

struct tfs_converted_all {
	const struct tfs_model *model;
	pthread_mutex_t lock; /* guards all below */
	struct entry {
		enum { UNKNOWN, NONE, SOME } has;
		const struct tfs_tensor **members; /* NULL until first needed */
		size_t n_members;
		struct converted as[TFS_AS];
	} sets[];
};

struct tfs_converted_all *tfs_converted_all_create(const struct tfs_model *model)
{
	struct tfs_converted_all *c = calloc(1, sizeof *c + model->n_sets * sizeof *c->sets);

	if (c) {
		c->model = model;
		pthread_mutex_init(&c->lock, NULL);
	}
	return c;
}

void tfs_converted_all_destroy(struct tfs_converted_all *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->model->n_sets; i++) {
		for (int as = 0; as < TFS_AS; as++) {
			struct converted *o = &c->sets[i].as[as];

			for (uint32_t k = 0; k < o->shards.n; k++)
				tfs_consolidated_destroy(o->files[k]);
			free(o->files);
			free(o->shards.ends);
		}
		free((void *)c->sets[i].members);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* --- Which tensors --------------------------------------------------------------------------------------------------- */

/* Tensors of a quantised layer that aren't part of its weight: scales of activations and of the KV cache, markers. */
static const char *const of_quantised[] = {
	"input_scale",
	"input_scale_ub",
	"input_global_scale",
	"output_scale",
	"activation_scale",
	"act_scale",
	"act_global_scale",
	"input_activation_scale",
	"output_activation_scale",
	"scale_input",
	"k_scale",
	"v_scale",
	"q_scale",
	"kv_scale",
	"qscale_act",
	"weight_format",
	"input_zero_point",
	"output_zero_point",
};

static bool ends(const struct tfs_tensor *t, const char *suffix)
{
	const size_t len = strlen(suffix);

	return t->name_len >= len && !memcmp(t->name + t->name_len - len, suffix, len);
}

/* Does the set have a scaled weight of that name? */
static bool is_scaled(const struct tfs_set *set, const char *name, size_t len)
{
	const struct tfs_tensor *s = set->scaled;
	size_t at = tfs_search(i, 0, set->n_scaled, tfs_name_cmp(s[i].name, s[i].name_len, name, len) < 0);

	return at < set->n_scaled && !tfs_name_cmp(s[at].name, s[at].name_len, name, len);
}

/* A scale of what attention caches, which belongs to no weight; or ComfyUI's marks of a layer, and of a file that contains FP8. */
static bool is_mark(const struct tfs_set *set, const struct tfs_tensor *t)
{
	static const char *const of_cache[] = { ".k_scale", ".v_scale", ".q_scale", ".kv_scale" };

	for (size_t i = 0; i < sizeof of_cache / sizeof *of_cache; i++)
		if (set->n_scaled && t->nbytes == t->dtype->block_bytes && ends(t, of_cache[i]))
			return true;
	if (t->code && ends(t, "comfy_quant"))
		return true;
	return t->ndim == 1 && t->shape[0] <= 2 && !strncmp(t->dtype->name, "F8", 2) && ends(t, "scaled_fp8");
}

/* Is @t what its layer, whose weight is scaled, calls @what? */
static bool is_of_scaled(const struct tfs_set *set, const struct tfs_tensor *t, const char *what)
{
	const size_t keep = t->name_len - strlen(what);
	char name[512];

	if (!ends(t, what) || !keep || t->name[keep - 1] != '.' || keep + sizeof "weight" > sizeof name)
		return false;
	memcpy(name, t->name, keep);
	memcpy(name + keep, "weight", sizeof "weight");
	return is_scaled(set, name, keep + strlen("weight"));
}

/* The same of a weight that isn't called "weight", as experts': gate_up_proj and gate_up_proj_input_scale. */
static bool is_after_scaled(const struct tfs_set *set, const struct tfs_tensor *t, const char *what)
{
	const size_t end = strlen(what) + 1;

	return ends(t, what) && t->name_len > end && t->name[t->name_len - end] == '_' &&
	       is_scaled(set, t->name, t->name_len - end);
}

/* Does the stored tensor @t belong to a quantised layer, without being part of its weight? */
static bool belongs_to_quantised(const struct tfs_set *set, const struct tfs_tensor *t)
{
	for (size_t i = 0; i < sizeof of_quantised / sizeof *of_quantised; i++)
		if (is_of_scaled(set, t, of_quantised[i]) || is_after_scaled(set, t, of_quantised[i]))
			return true;
	return is_mark(set, t);
}

/* Can it be in such a file? It must have values if it is converted, or else a dtype of the format. */
static bool can_be_member(const struct tfs_tensor *t)
{
	return !t->code && (tfs_valued(t) ? tfs_has_values(t) : t->dtype->safetensors) &&
	       tfs_name_cmp(t->name, t->name_len, "__metadata__", strlen("__metadata__")) != 0;
}

/*
 * Does stored tensor @i of the set belong in it? 1; 0; -1: it does, but can't be in it. A layer that multiplies its input by something
 * (modelopt's AWQ, from_quantized_weight()) isn't the one that anything would make of its weight alone.
 */
static int is_member(const struct tfs_set *set, size_t i)
{
	const struct tfs_tensor *t = &set->tensors[i];

	if (is_of_scaled(set, t, "pre_quant_scale"))
		return -1;
	if (tfs_set_scaled_of(set, i) || belongs_to_quantised(set, t))
		return 0;
	return can_be_member(t) ? 1 : -1;
}

static bool look(const struct tfs_set *set)
{
	bool any = set->n_scaled;

	for (size_t i = 0; i < set->n_tensors; i++) {
		int is = is_member(set, i);

		if (is < 0)
			return false;
		any = any || (is && tfs_valued(&set->tensors[i]));
	}
	for (size_t i = 0; i < set->n_scaled; i++)
		if (!can_be_member(&set->scaled[i]))
			return false;
	return any && !set->incomplete;
}

bool tfs_converted_has(struct tfs_converted_all *c, uint32_t set)
{
	struct entry *e = &c->sets[set];

	pthread_mutex_lock(&c->lock);
	if (e->has == UNKNOWN)
		e->has = look(&c->model->sets[set]) ? SOME : NONE;
	bool has = e->has == SOME;
	pthread_mutex_unlock(&c->lock);
	return has;
}

/* --- Shards; the lock is held --------------------------------------------------------------------------------------------- */

/* The members in name order: those that are stored, merged with the scaled weights. */
static int find_members(const struct tfs_set *set, struct entry *e)
{
	const struct tfs_tensor **m = reallocarray(NULL, tfs_set_n_all(set) + 1, sizeof *m);
	size_t n = 0, k = 0;

	if (!m)
		return -ENOMEM;
	for (size_t i = 0; i < set->n_tensors; i++) {
		const struct tfs_tensor *t = &set->tensors[i];

		if (is_member(set, i) <= 0)
			continue;
		while (k < set->n_scaled && tfs_name_cmp(set->scaled[k].name, set->scaled[k].name_len, t->name, t->name_len) < 0)
			m[n++] = &set->scaled[k++];
		m[n++] = t;
	}
	while (k < set->n_scaled)
		m[n++] = &set->scaled[k++];
	e->members = m;
	e->n_members = n;
	return 0;
}

static struct tfs_conversion conversion_to(enum tfs_as as)
{
	return (struct tfs_conversion){ .as = tfs_dtype_by_name(types[as].dtype, strlen(types[as].dtype)) };
}

static int cut(struct entry *e, enum tfs_as as)
{
	struct tfs_shards shards;
	int r = tfs_shards_cut(e->members, e->n_members, conversion_to(as), TFS_SHARD_MAX, &shards);

	if (r)
		return r;
	e->as[as].files = calloc(shards.n, sizeof(struct tfs_consolidated *));
	if (!e->as[as].files) {
		free(shards.ends);
		return -ENOMEM;
	}
	e->as[as].shards = shards;
	return 0;
}

static struct converted *converted(struct tfs_converted_all *c, uint32_t set, enum tfs_as as)
{
	struct entry *e = &c->sets[set];

	if (!e->members && find_members(&c->model->sets[set], e))
		return NULL;
	if (!e->as[as].shards.n && cut(e, as))
		return NULL;
	return &e->as[as];
}

int tfs_converted_members(struct tfs_converted_all *c, uint32_t set, const struct tfs_tensor *const **ret_members, size_t *ret_n)
{
	struct entry *e = &c->sets[set];

	pthread_mutex_lock(&c->lock);
	int r = e->members ? 0 : find_members(&c->model->sets[set], e);
	pthread_mutex_unlock(&c->lock);
	if (r)
		return r;
	*ret_members = e->members;
	*ret_n = e->n_members;
	return 0;
}

uint32_t tfs_converted_shards(struct tfs_converted_all *c, uint32_t set, enum tfs_as as)
{
	pthread_mutex_lock(&c->lock);
	const struct converted *o = converted(c, set, as);
	uint32_t n = o ? o->shards.n : 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}

const struct tfs_consolidated *tfs_converted_shard(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard)
{
	const struct tfs_consolidated *found = NULL;

	pthread_mutex_lock(&c->lock);
	struct converted *o = converted(c, set, as);
	if (o && shard < o->shards.n && !o->files[shard]) {
		const size_t begin = shard ? o->shards.ends[shard - 1] : 0, n = o->shards.ends[shard] - begin;
		const struct tfs_tensor **members = reallocarray(NULL, n + 1, sizeof *members);

		if (members)
			memcpy(members, c->sets[set].members + begin, n * sizeof *members);
		if (!members || tfs_consolidated_create_as(&c->model->sets[set], members, n, conversion_to(as), &o->files[shard]))
			o->files[shard] = NULL;
	}
	if (o && shard < o->shards.n)
		found = o->files[shard];
	pthread_mutex_unlock(&c->lock);
	return found;
}

bool tfs_converted_shard_there(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard)
{
	bool there = false;

	if (pthread_mutex_trylock(&c->lock))
		return false;
	const struct converted *o = &c->sets[set].as[as];
	if (shard < o->shards.n)
		there = o->files[shard];
	pthread_mutex_unlock(&c->lock);
	return there;
}

void tfs_converted_shard_name(uint32_t shard, uint32_t n, char *buf, size_t size)
{
	tfs_shards_name(stem, shard, n, buf, size);
}

/* --- Texts ----------------------------------------------------------------------------------------------------------- */

int tfs_converted_index(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len)
{
	const struct entry *e = &c->sets[set];

	pthread_mutex_lock(&c->lock);
	const struct converted *o = converted(c, set, as);
	pthread_mutex_unlock(&c->lock);
	/* Neither changes once it is there. */
	return o ? tfs_shards_index(stem, e->members, e->n_members, conversion_to(as), &o->shards, ret_text, ret_len) : -ENOMEM;
}

static const char config_name[] = "config.json";

uint32_t tfs_converted_find_config(const struct tfs_converted_all *c, uint32_t set)
{
	const struct tfs_model *m = c->model;
	uint32_t node = tfs_model_find_child(m, m->sets[set].dir, config_name, strlen(config_name));

	return node != UINT32_MAX && S_ISREG(m->nodes[node].mode) ? node : UINT32_MAX;
}

/* Convert a configuration, and those of parts of the model that are in it. */
static void convert_config(json_t *o, const char *type, bool top)
{
	static const char *const about_codes[] = { "quantization_config", "quantization", "compression_config", "expert_dtype" };
	static const char *const about_type[] = { "torch_dtype", "dtype" };
	const char *key;
	json_t *value;

	for (size_t i = 0; i < sizeof about_codes / sizeof *about_codes; i++)
		json_object_del(o, about_codes[i]);
	/* Versions of transformers before 4.56 read the first, later ones the second. */
	for (size_t i = 0; i < sizeof about_type / sizeof *about_type; i++)
		if (top || json_object_get(o, about_type[i]))
			json_object_set_new(o, about_type[i], json_string(type));
	json_object_foreach(o, key, value) if (json_is_object(value)) convert_config(value, type, false);
}

int tfs_converted_config(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len)
{
	json_t *o;
	int r = tfs_config_read(c->model, c->model->sets[set].dir, config_name, &o);

	if (r)
		return r == -EINVAL ? -EIO : r;
	convert_config(o, types[as].torch, true);
	*ret_text = tfs_config_dump(o);
	json_decref(o);
	if (!*ret_text)
		return -ENOMEM;
	*ret_len = strlen(*ret_text);
	return 0;
}

/* --- Other files ------------------------------------------------------------------------------------------------------ */

bool tfs_converted_copies(const struct tfs_converted_all *c, uint32_t set, uint32_t node)
{
	/* What is generated here, and what describes how the weights are quantised. */
	static const char *const others[] = { config_name,	   "quantize_config.json",
					      "quant_config.json", "hf_quant_config.json",
					      "quanto_qmap.json",  "params.json" };
	const struct tfs_node *n = &c->model->nodes[node];

	if (!S_ISREG(n->mode) || n->parent != c->model->sets[set].dir || tfs_format_for(n->name) || tfs_format_maybe(n->name) ||
	    tfs_format_unfinished(n->name) || strstr(n->name, ".index.json"))
		return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (!strcmp(n->name, others[i]))
			return false;
	for (uint32_t s = c->model->nodes[n->parent].first_set;
	     s < c->model->nodes[n->parent].first_set + c->model->nodes[n->parent].n_sets; s++)
		for (uint32_t i = 0; i < c->model->sets[s].n_sources; i++)
			if (c->model->sets[s].sources[i] == node)
				return false;
	return true;
}
