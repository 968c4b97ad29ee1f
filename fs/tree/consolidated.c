/* SPDX-License-Identifier: MIT */
#include "tree/consolidated.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tfs_consolidated_all {
	const struct tfs_model *model;
	pthread_mutex_t lock; /* guards the table */
	struct entry {
		enum { UNKNOWN, NONE, SOME } has;
		struct tfs_consolidated *consolidated; /* NULL until first needed */
	} sets[];
};

struct tfs_consolidated_all *tfs_consolidated_all_create(const struct tfs_model *model)
{
	struct tfs_consolidated_all *w = calloc(1, sizeof *w + model->n_sets * sizeof *w->sets);

	if (w) {
		w->model = model;
		pthread_mutex_init(&w->lock, NULL);
	}
	return w;
}

void tfs_consolidated_all_destroy(struct tfs_consolidated_all *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->model->n_sets; i++)
		tfs_consolidated_destroy(w->sets[i].consolidated);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

bool tfs_consolidated_has(struct tfs_consolidated_all *w, uint32_t set)
{
	pthread_mutex_lock(&w->lock);
	struct entry *e = &w->sets[set];
	if (e->has == UNKNOWN)
		e->has = tfs_consolidated_possible(&w->model->sets[set]) ? SOME : NONE;
	bool has = e->has == SOME;
	pthread_mutex_unlock(&w->lock);
	return has;
}

static struct tfs_consolidated *there(struct tfs_consolidated_all *w, uint32_t set)
{
	pthread_mutex_lock(&w->lock);
	struct tfs_consolidated *consolidated = w->sets[set].consolidated;
	pthread_mutex_unlock(&w->lock);
	return consolidated;
}

bool tfs_consolidated_there(struct tfs_consolidated_all *w, uint32_t set)
{
	return there(w, set);
}

const struct tfs_consolidated *tfs_consolidated_get(struct tfs_consolidated_all *w, uint32_t set)
{
	struct tfs_consolidated *consolidated = there(w, set), *made = NULL;

	if (consolidated)
		return consolidated;
	/* Without the lock, which others need for no more than a look. */
	if (tfs_consolidated_create(&w->model->sets[set], &made))
		return NULL;
	pthread_mutex_lock(&w->lock);
	struct entry *e = &w->sets[set];
	if (!e->consolidated)
		e->consolidated = made;
	else
		tfs_consolidated_destroy(made);
	consolidated = e->consolidated;
	pthread_mutex_unlock(&w->lock);
	return consolidated;
}

/* Is there an original with that stem, with an extension or as shards, in safetensors? Readers use it, valid or not. */
static bool has_safetensors(const struct tfs_model *m, const struct tfs_node *dir, const char *stem, size_t len)
{
	for (uint32_t i = 0; i < dir->n_children; i++) {
		const char *name = m->nodes[dir->first_child + i].name;
		if (!strncmp(name, stem, len) && (name[len] == '.' || name[len] == '-') && strstr(name + len, ".safetensors"))
			return true;
	}
	return false;
}

const char *tfs_consolidated_standard_name(struct tfs_consolidated_all *w, uint32_t dir)
{
	static const struct {
		const char *stem, *standard;
	} rows[] = {
		{ "model", "model.safetensors" }, /* transformers */
		{ "pytorch_model", "model.safetensors" },
		{ "diffusion_pytorch_model", "diffusion_pytorch_model.safetensors" }, /* diffusers */
		{ "adapter_model", "adapter_model.safetensors" },		      /* peft */
	};
	const struct tfs_node *n = &w->model->nodes[dir];
	const struct tfs_set *set = n->n_sets ? &w->model->sets[n->first_set] : NULL;
	size_t i = 0;

	if (!set || set->incomplete || set->format == &tfs_format_safetensors)
		return NULL;
	while (i < sizeof rows / sizeof *rows && strcmp(set->stem, rows[i].stem) != 0)
		i++;
	if (i == sizeof rows / sizeof *rows || !tfs_consolidated_has(w, n->first_set) ||
	    has_safetensors(w->model, n, rows[i].standard, strcspn(rows[i].standard, ".")))
		return NULL;
	return rows[i].standard;
}
