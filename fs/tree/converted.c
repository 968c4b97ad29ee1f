/* SPDX-License-Identifier: MIT */
#include "tree/converted.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/json-write.h"
#include "base/search.h"
#include "base/sort.h"
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

/* save_pretrained()'s max_shard_size of "5GB" (transformers, modeling_utils.py). */
static const uint64_t shard_max = 5000000000;

/* A set in one type. */
struct converted {
	uint32_t n_shards; /* 0: not known yet */
	size_t *ends;	   /* of each shard, in the set's members */
	struct tfs_consolidated **shards;
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

			for (uint32_t k = 0; k < o->n_shards; k++)
				tfs_consolidated_destroy(o->shards[k]);
			free(o->shards);
			free(o->ends);
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

static const struct tfs_dtype *dtype_of(enum tfs_as as)
{
	return tfs_dtype_by_name(types[as].dtype, strlen(types[as].dtype));
}

static int cut(struct entry *e, enum tfs_as as)
{
	struct converted *o = &e->as[as];
	size_t *ends = NULL, n = 0, room = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i <= e->n_members; i++) {
		const uint64_t more = i < e->n_members ? tfs_consolidated_bytes(e->members[i], dtype_of(as)) : 0;
		const bool last = i == e->n_members;

		if (last || (bytes && bytes + more > shard_max)) {
			if (tfs_array_room(ends, n, room)) {
				free(ends);
				return -ENOMEM;
			}
			ends[n++] = i;
			bytes = 0;
		}
		bytes += more;
	}
	o->shards = calloc(n, sizeof(struct tfs_consolidated *));
	if (!o->shards) {
		free(ends);
		return -ENOMEM;
	}
	o->ends = ends;
	o->n_shards = (uint32_t)n;
	return 0;
}

static struct converted *converted(struct tfs_converted_all *c, uint32_t set, enum tfs_as as)
{
	struct entry *e = &c->sets[set];

	if (!e->members && find_members(&c->model->sets[set], e))
		return NULL;
	if (!e->as[as].n_shards && cut(e, as))
		return NULL;
	return &e->as[as];
}

uint32_t tfs_converted_shards(struct tfs_converted_all *c, uint32_t set, enum tfs_as as)
{
	pthread_mutex_lock(&c->lock);
	const struct converted *o = converted(c, set, as);
	uint32_t n = o ? o->n_shards : 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}

const struct tfs_consolidated *tfs_converted_shard(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard)
{
	const struct tfs_consolidated *found = NULL;

	pthread_mutex_lock(&c->lock);
	struct converted *o = converted(c, set, as);
	if (o && shard < o->n_shards && !o->shards[shard]) {
		const size_t begin = shard ? o->ends[shard - 1] : 0, n = o->ends[shard] - begin;
		const struct tfs_tensor **members = reallocarray(NULL, n + 1, sizeof *members);

		if (members)
			memcpy(members, c->sets[set].members + begin, n * sizeof *members);
		if (!members || tfs_consolidated_create_as(&c->model->sets[set], members, n, dtype_of(as), &o->shards[shard]))
			o->shards[shard] = NULL;
	}
	if (o && shard < o->n_shards)
		found = o->shards[shard];
	pthread_mutex_unlock(&c->lock);
	return found;
}

void tfs_converted_shard_name(uint32_t shard, uint32_t n, char *buf, size_t size)
{
	if (n > 1)
		snprintf(buf, size, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", shard + 1, n);
	else
		snprintf(buf, size, "model.safetensors");
}

/* --- Texts ----------------------------------------------------------------------------------------------------------- */

int tfs_converted_index(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len)
{
	struct tfs_json_out b = { 0 };
	uint64_t total = 0;
	char text[64];

	pthread_mutex_lock(&c->lock);
	const struct entry *e = &c->sets[set];
	const struct converted *o = converted(c, set, as);
	if (!o) {
		pthread_mutex_unlock(&c->lock);
		return -ENOMEM;
	}
	for (size_t i = 0; i < e->n_members; i++)
		total += tfs_consolidated_bytes(e->members[i], dtype_of(as));
	snprintf(text, sizeof text, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64, total);
	tfs_json_add(&b, text);
	tfs_json_add(&b, "\n  },\n  \"weight_map\": {");
	for (size_t i = 0, shard = 0; i < e->n_members; i++) {
		while (i >= o->ends[shard])
			shard++;
		tfs_converted_shard_name((uint32_t)shard, o->n_shards, text, sizeof text);
		tfs_json_add(&b, i ? ",\n    " : "\n    ");
		tfs_json_add_string(&b, e->members[i]->name, e->members[i]->name_len);
		tfs_json_add(&b, ": ");
		tfs_json_add_string(&b, text, strlen(text));
	}
	pthread_mutex_unlock(&c->lock);
	tfs_json_add(&b, "\n  }\n}\n");
	return tfs_json_finish(&b, ret_text, ret_len);
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
