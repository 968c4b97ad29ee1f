/* SPDX-License-Identifier: MIT */
#include "wholes.h"

#include <pthread.h>
#include <stdlib.h>

struct tfs_wholes {
	const struct tfs_model *model;
	pthread_mutex_t lock; /* guards the table */
	struct entry {
		enum { UNKNOWN, NONE, SOME } has;
		struct tfs_whole *whole; /* NULL until first needed */
	} sets[];
};

struct tfs_wholes *tfs_wholes_create(const struct tfs_model *model)
{
	struct tfs_wholes *w = calloc(1, sizeof *w + model->n_sets * sizeof *w->sets);

	if (w) {
		w->model = model;
		pthread_mutex_init(&w->lock, NULL);
	}
	return w;
}

void tfs_wholes_destroy(struct tfs_wholes *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->model->n_sets; i++)
		tfs_whole_destroy(w->sets[i].whole);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

bool tfs_wholes_has(struct tfs_wholes *w, uint32_t set)
{
	pthread_mutex_lock(&w->lock);
	struct entry *e = &w->sets[set];
	if (e->has == UNKNOWN)
		e->has = tfs_whole_possible(&w->model->sets[set]) ? SOME : NONE;
	bool has = e->has == SOME;
	pthread_mutex_unlock(&w->lock);
	return has;
}

const struct tfs_whole *tfs_wholes_get(struct tfs_wholes *w, uint32_t set)
{
	pthread_mutex_lock(&w->lock);
	struct entry *e = &w->sets[set];
	if (!e->whole && tfs_whole_create(&w->model->sets[set], &e->whole))
		e->whole = NULL;
	const struct tfs_whole *whole = e->whole;
	pthread_mutex_unlock(&w->lock);
	return whole;
}
