/* SPDX-License-Identifier: MIT */
#include "cache/prefetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

/* Prefetches queued at most: enough to keep every reading thread busy until the feeder looks again. */
#define QUEUE_BYTES (64 * TFS_CHUNK)
enum { QUEUE_FILES = 4096, LOOK_AGAIN_NS = 5000000 };

struct list {
	struct list *next;
	struct tfs_file_id *ids;
	size_t n;
};

struct tfs_feeder {
	const struct tfs_model *model;
	struct tfs_sched *sched;
	struct tfs_residency *residency;
	pthread_mutex_t lock; /* guards all below; taken before the residency's */
	pthread_cond_t more;
	struct list *first, **end;
	const struct list *current; /* the one at hand, and how many of its files have been asked for */
	size_t done;
	bool stopping, running;
	unsigned cleared; /* how often: the list at hand is dropped, too */
	pthread_t thread;
};

struct tfs_feeder *tfs_feeder_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency)
{
	struct tfs_feeder *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->model = model;
	f->sched = sched;
	f->residency = residency;
	f->end = &f->first;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
	return f;
}

static void list_free(struct list *l)
{
	free(l->ids);
	free(l);
}

/* Is the feeder to go on, with file @i of the list that it began when cleared was @cleared? */
static bool go_on(struct tfs_feeder *f, size_t i, unsigned cleared)
{
	pthread_mutex_lock(&f->lock);
	f->done = i;
	bool yes = !f->stopping && f->cleared == cleared;
	pthread_mutex_unlock(&f->lock);
	return yes;
}

static void feed(struct tfs_feeder *f, const struct list *l, unsigned cleared)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };

	for (size_t i = 0; i < l->n; i++) {
		uint64_t cost = tfs_store_cost(tfs_file_loaded_size(f->model, l->ids[i]));
		struct tfs_residency_stats res;
		struct tfs_sched_stats sched;

		if (!cost)
			continue;
		for (;; nanosleep(&pause, NULL)) {
			if (!go_on(f, i, cleared))
				return;
			tfs_sched_stats(f->sched, &sched);
			tfs_residency_stats(f->residency, &res);
			if (sched.queued[TFS_PREFETCH] < QUEUE_BYTES && res.files[TFS_LOADING] < QUEUE_FILES)
				break;
		}
		if (res.used + sched.queued[TFS_PREFETCH] + cost > res.budget)
			return;
		tfs_residency_prefetch(f->residency, l->ids[i]);
	}
}

static void *run(void *arg)
{
	struct tfs_feeder *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->stopping) {
		struct list *l = f->first;
		if (!l) {
			pthread_cond_wait(&f->more, &f->lock);
			continue;
		}
		f->first = l->next;
		if (!f->first)
			f->end = &f->first;
		unsigned cleared = f->cleared;
		f->current = l;
		f->done = 0;
		pthread_mutex_unlock(&f->lock);
		feed(f, l, cleared);
		pthread_mutex_lock(&f->lock);
		f->current = NULL;
		list_free(l);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* The lock is held. */
static int start(struct tfs_feeder *f)
{
	if (f->running)
		return 0;
	f->running = !tfs_thread_start(&f->thread, "tfs-prefetch", run, f);
	return f->running ? 0 : -EAGAIN;
}

int tfs_feeder_add(struct tfs_feeder *f, struct tfs_file_id *ids, size_t n)
{
	struct list *l = malloc(sizeof *l);
	int r = l ? 0 : -ENOMEM;

	pthread_mutex_lock(&f->lock);
	if (!r)
		r = f->stopping ? -ECANCELED : start(f);
	if (!r) {
		*l = (struct list){ .ids = ids, .n = n };
		*f->end = l;
		f->end = &l->next;
		pthread_cond_signal(&f->more);
	}
	pthread_mutex_unlock(&f->lock);
	if (r) {
		free(ids);
		free(l);
	}
	return r;
}

struct tfs_file_id *tfs_feeder_queued(struct tfs_feeder *f, size_t *ret_n)
{
	size_t n = 0;

	pthread_mutex_lock(&f->lock);
	size_t done = f->current ? f->done : 0, count = f->current ? f->current->n - done : 0;
	for (const struct list *l = f->first; l; l = l->next)
		count += l->n;
	struct tfs_file_id *ids = calloc(count + 1, sizeof *ids);
	for (size_t i = done; ids && f->current && i < f->current->n; i++)
		ids[n++] = f->current->ids[i];
	for (const struct list *l = f->first; ids && l; l = l->next)
		for (size_t i = 0; i < l->n; i++)
			ids[n++] = l->ids[i];
	pthread_mutex_unlock(&f->lock);
	*ret_n = n;
	return ids;
}

void tfs_feeder_clear(struct tfs_feeder *f)
{
	pthread_mutex_lock(&f->lock);
	struct list *l = f->first;
	f->first = NULL;
	f->end = &f->first;
	f->cleared++;
	pthread_mutex_unlock(&f->lock);
	for (struct list *next; l; l = next) {
		next = l->next;
		list_free(l);
	}
}

void tfs_feeder_stop(struct tfs_feeder *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_cond_signal(&f->more);
	bool running = f->running;
	pthread_mutex_unlock(&f->lock);
	if (running)
		pthread_join(f->thread, NULL);
	f->running = false;
}

void tfs_feeder_destroy(struct tfs_feeder *f)
{
	if (!f)
		return;
	tfs_feeder_stop(f);
	tfs_feeder_clear(f);
	pthread_cond_destroy(&f->more);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
