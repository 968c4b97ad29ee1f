/* SPDX-License-Identifier: MIT */
#include "cache/download.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/thread.h"

/* Tokenizers reach 30 MB; anything larger is something else. */
#define SMALL_MAX ((uint64_t)64 << 20)

/* One step, after which it may be stopped. */
#define STEP ((uint64_t)64 << 20)

struct tfs_download {
	const struct tfs_model *model;
	bool all;
	_Atomic bool stopping;
	pthread_t thread;
};

static void bring_in(struct tfs_download *d, uint32_t node)
{
	const struct tfs_node *n = &d->model->nodes[node];
	struct tfs_storage *s = d->model->storage;

	if (!S_ISREG(n->mode) || d->stopping || !s->ops->keeps(s, &n->id))
		return;
	for (uint64_t at = 0; at < n->id.size && !d->stopping; at += STEP) {
		struct tfs_storage_range range = { &n->id, at, n->id.size - at < STEP ? n->id.size - at : STEP };

		s->ops->want(s, &range, 1, true);
	}
}

static void *download(void *arg)
{
	struct tfs_download *d = arg;
	const struct tfs_model *m = d->model;

	for (uint32_t n = 0; n < m->n_nodes; n++)
		if (!m->is_source[n] && m->nodes[n].id.size <= SMALL_MAX && m->nodes[m->nodes[n].parent].n_sets)
			bring_in(d, n);
	for (size_t s = 0; s < m->n_sets && d->all; s++)
		for (uint32_t i = 0; i < m->sets[s].n_sources; i++)
			bring_in(d, m->sets[s].sources[i]);
	for (uint32_t n = 0; n < m->n_nodes && d->all; n++)
		bring_in(d, n);
	return NULL;
}

struct tfs_download *tfs_download_start(const struct tfs_model *model, bool all)
{
	struct tfs_download *d = tfs_model_is_remote(model) ? calloc(1, sizeof *d) : NULL;

	if (!d)
		return NULL;
	d->model = model;
	d->all = all;
	if (!tfs_thread_start(&d->thread, "tfs-download", download, d))
		return d;
	free(d);
	return NULL;
}

void tfs_download_stop(struct tfs_download *d)
{
	if (d)
		d->stopping = true;
}

void tfs_download_destroy(struct tfs_download *d)
{
	if (!d)
		return;
	tfs_download_stop(d);
	pthread_join(d->thread, NULL);
	free(d);
}
