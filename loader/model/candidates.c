/* SPDX-License-Identifier: MIT */
#include "model/candidates.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"
#include "base/sort.h"

/* The current directory. */
struct group {
	struct tfs_model_impl *m;
	uint32_t dir;
	struct tfs_weight_file *files;
	size_t n_files;
	struct tfs_candidates *candidates;
};

/* --- Candidates ------------------------------------------------------------------------------------------------------ */

void tfs_candidates_clear(struct tfs_candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		free(candidates->all[i].files);
	free(candidates->all);
	tfs_arena_fini(&candidates->arena);
	*candidates = (struct tfs_candidates){ 0 };
}

int tfs_candidate_fail(struct tfs_candidates *candidates, struct tfs_candidate *d, const struct tfs_error *err)
{
	struct tfs_error *copy = tfs_arena_alloc(&candidates->arena, sizeof *copy, alignof(struct tfs_error));

	if (!copy)
		return -ENOMEM;
	*copy = *err;
	d->err = copy;
	return 0;
}

/* A new candidate, valid until the next one; NULL when out of memory. */
static struct tfs_candidate *add_candidate(struct group *g, const struct tfs_format *format, const char *stem, size_t stem_len)
{
	struct tfs_candidates *candidates = g->candidates;
	struct tfs_candidate d = { .stem = tfs_arena_copy(&g->m->arena, stem, stem_len), .format = format };

	if (!d.stem || tfs_array_room(candidates->all, candidates->n, candidates->room))
		return NULL;
	candidates->all[candidates->n] = d;
	return &candidates->all[candidates->n++];
}

/* @d is one of @g's. */
static int add_file(const struct group *g, struct tfs_candidate *d, struct tfs_weight_file *file)
{
	if (tfs_array_room(d->files, d->n_files, d->room_files))
		return -ENOMEM;
	d->files[d->n_files++] = file;
	if (file->candidate == TFS_NO_CANDIDATE)
		file->candidate = (size_t)(d - g->candidates->all);
	return 0;
}

/* Valid, and not in a candidate yet. */
static bool is_free(const struct tfs_weight_file *file)
{
	return tfs_is_sound(file) && file->candidate == TFS_NO_CANDIDATE;
}

/* --- By index ---------------------------------------------------------------------------------------------------- */

static struct tfs_weight_file *file_of_node(const struct group *g, uint32_t node)
{
	size_t at = tfs_search(i, 0, g->n_files, g->files[i].node < node);

	return at < g->n_files && g->files[at].node == node ? &g->files[at] : NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct tfs_weight_file *x = a, *y = b;

	return (x > y) - (x < y);
}

/* Which of the shards that an index lists exist. */
struct listed {
	const void **found; /* valid ones, as struct tfs_weight_file */
	size_t n_found;
	bool present;	   /* some exist, valid or not */
	const char *other; /* the first that isn't a file of the index's format */
};

static void look_up(struct group *g, const struct tfs_candidate *d, const char *name, struct listed *l)
{
	uint32_t node = tfs_model_find_child(&g->m->pub, g->dir, name, strlen(name));
	struct tfs_weight_file *file = node == UINT32_MAX ? NULL : file_of_node(g, node);

	if (node == UINT32_MAX)
		return;
	if (!file || file->is_index || file->format != d->format) {
		l->other = l->other ? l->other : name;
		return;
	}
	l->present = true;
	if (tfs_is_sound(file))
		l->found[l->n_found++] = file;
}

/*
 * This is what a broken download looks like in the hub's cache. If none of the shards exists, the first of the links is the reason.
 */
static void forgive_links(struct group *g, const struct tfs_index *ix)
{
	for (size_t i = 0; i < ix->n_files; i++) {
		uint32_t node = tfs_model_find_child(&g->m->pub, g->dir, ix->files[i], strlen(ix->files[i]));
		struct tfs_weight_file *file = node == UINT32_MAX ? NULL : file_of_node(g, node);

		if (file && S_ISLNK(g->m->nodes[node].mode))
			file->missing = true;
	}
}

/* Add the valid shards that @d's valid index lists. */
static int take_listed(struct group *g, struct tfs_candidate *d)
{
	const struct tfs_index *ix = d->index->index;
	cleanup_free const void **found = reallocarray(NULL, ix->n_files, 2 * sizeof *found);
	struct listed l = { .found = found };
	struct tfs_error err = { 0 };

	if (!found)
		return -ENOMEM;
	d->n_listed = ix->n_files;
	for (size_t i = 0; i < ix->n_files; i++)
		look_up(g, d, ix->files[i], &l);
	tfs_sort(found, l.n_found, found + ix->n_files, by_place);
	for (size_t i = 0; i < l.n_found; i++)
		if (add_file(g, d, (struct tfs_weight_file *)found[i]))
			return -ENOMEM;
	if (l.n_found) {
		forgive_links(g, ix);
		if (l.other)
			tfs_model_warn(g->m, d->index->node, -EINVAL, "lists %s, which isn't a %s file", l.other, d->format->name);
		return 0;
	}
	if (l.other)
		tfs_error_set(&err, -EINVAL, TFS_NO_OFFSET, "lists %s, which isn't a %s file", l.other, d->format->name);
	else
		tfs_error_set(&err, -ENOENT, TFS_NO_OFFSET, "none of the %zu shards that it lists %s, the first is %s", ix->n_files,
			      l.present ? "can be read" : "exists", ix->files[0]);
	tfs_model_error_in(&g->m->pub, d->index->node, &err);
	return tfs_candidate_fail(g->candidates, d, &err);
}

/* --- By name ----------------------------------------------------------------------------------------------------- */

/* NAME-DIGITS-of-DIGITS and the extension: a shard. NAME is @name_len bytes. */
struct shard_name {
	struct tfs_weight_file *file;
	const char *name;
	size_t name_len;
	unsigned long total;
};

static bool is_shard(const struct group *g, struct tfs_weight_file *file, struct shard_name *ret)
{
	const char *name = g->m->nodes[file->node].name;
	struct tfs_shard_name shard;

	if (file->is_index || !tfs_format_is_shard(file->format, name, &shard))
		return false;
	*ret = (struct shard_name){ file, name, shard.name_len, shard.total };
	return true;
}

static int by_shard_name(const void *a, const void *b)
{
	const struct shard_name *x = a, *y = b;
	int c = tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);

	if (c)
		return c;
	if (x->total != y->total)
		return x->total < y->total ? -1 : 1;
	return strcmp(x->file->format->name, y->file->format->name);
}

/* --- The rules --------------------------------------------------------------------------------------------- */

static int candidate_indexes(struct group *g)
{
	char stem[NAME_MAX + 1] = "";
	int r = 0;

	for (size_t i = 0; i < g->n_files && !r; i++) {
		struct tfs_weight_file *file = &g->files[i];
		struct tfs_candidate *d;

		if (!file->is_index)
			continue;
		tfs_index_claims(g->m->nodes[file->node].name, file->format->shard_ext, stem);
		d = add_candidate(g, file->format, stem, strlen(stem));
		if (!d)
			return -ENOMEM;
		d->index = file;
		d->err = file->err;
		if (!d->err)
			r = take_listed(g, d);
	}
	return r;
}

/*
 * The shards @names, @n with the same NAME and number: those that no index lists go to the first index that lists one of the
 * others, which is then out of date; without such an index they form a candidate.
 */
static int candidate_group(struct group *g, const void *const *names, size_t n)
{
	const struct shard_name *first = names[0];
	size_t n_sound = 0, n_free = 0, owner = TFS_NO_CANDIDATE;
	struct tfs_candidate *d;

	for (size_t i = 0; i < n; i++) {
		const struct tfs_weight_file *file = ((const struct shard_name *)names[i])->file;

		n_sound += tfs_is_sound(file);
		n_free += is_free(file);
		owner = file->candidate < owner ? file->candidate : owner;
	}
	if (owner != TFS_NO_CANDIDATE && n_sound < first->total)
		g->candidates->all[owner].lacks_shards = true;
	if (!n_free)
		return 0;
	d = owner == TFS_NO_CANDIDATE ? add_candidate(g, first->file->format, first->name, first->name_len) :
					&g->candidates->all[owner];
	if (!d)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct tfs_weight_file *file = ((const struct shard_name *)names[i])->file;

		if (!is_free(file))
			continue;
		if (add_file(g, d, file))
			return -ENOMEM;
		if (d->index && !d->n_unlisted++)
			d->unlisted = file;
	}
	if (!d->index)
		d->n_listed = first->total > n ? first->total : n;
	if (n_sound < first->total) {
		d->n_named = first->total;
		d->n_there = n;
		d->n_sound = n_sound;
		d->lacks_shards = true;
	}
	return 0;
}

static int candidate_shards(struct group *g)
{
	cleanup_free struct shard_name *names = reallocarray(NULL, g->n_files, sizeof *names);
	cleanup_free const void **order = reallocarray(NULL, g->n_files, 2 * sizeof *order);
	size_t n = 0, end;

	if (!names || !order)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_files; i++)
		if (is_shard(g, &g->files[i], &names[n])) {
			order[n] = &names[n];
			n++;
		}
	tfs_sort(order, n, order + n, by_shard_name);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && !by_shard_name(order[i], order[end]);)
			end++;
		if (candidate_group(g, order + i, end - i))
			return -ENOMEM;
	}
	for (size_t i = 0; i < g->candidates->n; i++)
		if (g->candidates->all[i].n_unlisted)
			tfs_sort(g->candidates->all[i].files, g->candidates->all[i].n_files, order, by_place);
	return 0;
}

/* Hugging Face's names of the weights themselves, next to which there may be an optimizer's state. */
static bool is_model(const char *stem)
{
	static const char *const stems[] = { "model",	   "pytorch_model",	   "diffusion_pytorch_model",
					     "flax_model", "diffusion_flax_model", "tf_model" };

	for (size_t i = 0; i < sizeof stems / sizeof *stems; i++)
		if (!strcmp(stem, stems[i]))
			return true;
	return false;
}

static int candidate_one_set(struct group *g, const struct tfs_format *format)
{
	struct tfs_candidate *d = NULL;

	for (size_t i = 0; i < g->n_files; i++) {
		if (g->files[i].format != format || !is_free(&g->files[i]))
			continue;
		if (!d)
			d = add_candidate(g, format, format->name, strlen(format->name));
		if (!d || add_file(g, d, &g->files[i]))
			return -ENOMEM;
		d->rank = 2;
		d->n_listed++;
	}
	return 0;
}

static int candidate_one_sets(struct group *g)
{
	const struct tfs_format *format;
	int r = 0;

	for (size_t i = 0; (format = tfs_format_at(i)) && !r; i++)
		if (format->one_set)
			r = candidate_one_set(g, format);
	return r;
}

static int candidate_files(struct group *g)
{
	for (size_t i = 0; i < g->n_files; i++) {
		struct tfs_weight_file *file = &g->files[i];
		const char *name = g->m->nodes[file->node].name, *dot = strrchr(name, '.');
		size_t len = tfs_format_stem(name);
		struct tfs_candidate *d;

		if (!is_free(file))
			continue;
		d = add_candidate(g, file->format, name, name[len] || !dot ? len : (size_t)(dot - name));
		if (!d || add_file(g, d, file))
			return -ENOMEM;
		d->rank = is_model(d->stem) ? 1 : 2;
		d->n_listed = 1;
	}
	return 0;
}

/* --- Companions -------------------------------------------------------------------------------------------------- */

static bool begins_with(const char *s, const char *prefix)
{
	return !strncasecmp(s, prefix, strlen(prefix));
}

/* Is @word one of the words of @s that `_`, `-` and `.` separate? Case-insensitive. */
static bool has_word(const char *s, const char *word)
{
	static const char between[] = "_-.";
	size_t len = strlen(word);

	for (size_t n; *s; s += n + (s[n] != '\0')) {
		n = strcspn(s, between);
		if (n == len && !strncasecmp(s, word, len))
			return true;
	}
	return false;
}

/* Begins with @prefix, and a word ends there. */
static bool begins_with_words(const char *s, const char *prefix)
{
	size_t len = strlen(prefix);

	return begins_with(s, prefix) && (!s[len] || strchr("_-.", s[len]));
}

/*
 * By the names that their writers use: peft, llama.cpp (which looks for "mmproj" anywhere in a name, too), diffusers, mlx-lm,
 * LLaVA; what transformers, accelerate, DeepSpeed and torch save of a training run next to the model. Anything with an index
 * (@indexed) is a model, whatever words its name has.
 */
static bool has_companion_name(const char *stem, bool indexed)
{
	static const char *const beginnings[] = {
		"adapter_model", "adapters",  "pytorch_lora_weights", "imatrix",       "mmproj", "optimizer",
		"scheduler",	 "rng_state", "random_states",	      "training_args", "scaler",
	};
	static const char *const phrases[] = { "custom_checkpoint", "dl_state_dict", "sampler",
					       "trainer_state",	    "lr_scheduler",  "grad_scaler" };
	static const char *const words[] = { "optimizer", "optim", "imatrix", "projector" };

	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
		if (begins_with(stem, beginnings[i]))
			return true;
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
		if (begins_with_words(stem, phrases[i]))
			return true;
	for (size_t i = 0; i < sizeof words / sizeof *words && !indexed; i++)
		if (has_word(stem, words[i]))
			return true;
	return strcasestr(stem, "mmproj") != NULL;
}

/* Does the file contain only the factors of a low-rank adapter? peft, diffusers, kohya's scripts and llama.cpp all name them so. */
static bool is_lora(struct tfs_catalog *catalog)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(catalog, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcasestr(t[i].name, "lora_") && !strcasestr(t[i].name, ".lora."))
			return false;
	return n;
}

static bool is_companion(const struct tfs_candidate *d)
{
	bool lora = true;

	if (has_companion_name(d->stem, d->index))
		return true;
	for (size_t i = 0; i < d->n_files; i++) {
		struct tfs_catalog *catalog = tfs_candidate_file(d, i)->catalog;

		if (tfs_catalog_is_companion(catalog))
			return true;
		lora = lora && is_lora(catalog);
	}
	return lora;
}

/*
 * torch/distributed/checkpoint/_hf_utils.py: the key by which each rank's file says where its parts begin in the complete tensors.
 */
bool tfs_has_parts(const struct tfs_catalog *catalog)
{
	static const char key[] = "DCP_SHARDING_INFO";
	size_t n;
	const struct tfs_metadata *pairs = tfs_catalog_metadata(catalog, &n);

	for (size_t i = 0; i < n; i++)
		if (pairs[i].key_len == sizeof key - 1 && !memcmp(pairs[i].key, key, sizeof key - 1))
			return true;
	return false;
}

int tfs_group(struct tfs_model_impl *m, uint32_t dir, struct tfs_weight_file *files, size_t n, struct tfs_candidates *candidates)
{
	struct group g = { m, dir, files, n, candidates };
	int r;

	for (size_t i = 0; i < n; i++)
		files[i].candidate = TFS_NO_CANDIDATE;
	r = candidate_indexes(&g);
	if (!r)
		r = candidate_shards(&g);
	if (!r)
		r = candidate_one_sets(&g);
	if (!r)
		r = candidate_files(&g);
	for (size_t i = 0; i < candidates->n && !r; i++)
		candidates->all[i].companion = !candidates->all[i].err && is_companion(&candidates->all[i]);
	return r;
}
