/* SPDX-License-Identifier: MIT */
#include "mount/work.h"

#include <errno.h>
#include <stdlib.h>

#include "base/thread.h"
#include "mount/reply.h"

struct tfs_works {
	pthread_mutex_t lock; /* guards all below, and what is private in works and those who ask; no other is taken under it */
	pthread_cond_t changed;
	struct tfs_list queued, running;
	unsigned n_threads, n_idle, max_threads;
	bool stopping;
	pthread_t threads[TFS_WORK_THREADS];
};

/* --- Those who ask --------------------------------------------------------------------------------------------------- */

static void drop(struct tfs_work *w)
{
	w->free(w);
}

/* The lock is held. True: @w, in the queue, isn't wanted any more, and the caller drops it. */
static bool leave(struct tfs_asking *a)
{
	struct tfs_work *w = a->work;

	tfs_list_remove(&a->link);
	a->waiting = false;
	if (!tfs_list_is_empty(&w->asking))
		return false;
	w->abandoned = true;
	if (w->shared || w->state != TFS_WORK_QUEUED)
		return false;
	tfs_list_remove(&w->link);
	return true;
}

static bool give_up(struct tfs_pending *p)
{
	struct tfs_asking *a = (struct tfs_asking *)p;
	struct tfs_works *ws = a->works;
	bool dropped = false;

	pthread_mutex_lock(&ws->lock);
	struct tfs_work *w = a->work; /* once it waits: it may have been interrupted before it was submitted */
	bool waiting = a->waiting;
	a->given_up = true;
	if (waiting)
		dropped = leave(a);
	pthread_mutex_unlock(&ws->lock);
	if (dropped)
		drop(w);
	return waiting;
}

void tfs_asking_arm(struct tfs_asking *a, struct tfs_works *ws, struct tfs_fs *fs, fuse_req_t req, bool killed_only)
{
	a->works = ws;
	a->work = NULL;
	a->waiting = a->given_up = false;
	tfs_pending_fill(&a->pending, fs, req, give_up);
	a->pending.killed_only = killed_only;
	tfs_pending_heed_filled(&a->pending);
}

/* It waits no more, and give_up() knows: the answer, from any thread. */
static void answer_disarmed(struct tfs_asking *a, struct tfs_work *w, int result)
{
	a->answer(a, w, result);
	free(a);
}

static void answer(struct tfs_asking *a, struct tfs_work *w, int result)
{
	tfs_pending_disarm(&a->pending);
	answer_disarmed(a, w, result);
}

void tfs_asking_refuse(struct tfs_asking *a, int error)
{
	tfs_pending_disarm(&a->pending);
	answer_disarmed(a, NULL, a->given_up ? -EINTR : error);
}

static void answer_all(struct tfs_list *asking, struct tfs_work *w, int result)
{
	tfs_list_each(struct tfs_asking, a, asking, link)
		answer(a, w, result);
}

/* The lock is held: nobody in @from waits any more, and all are in @to. */
static void take_asking(struct tfs_list *to, struct tfs_list *from)
{
	tfs_list_each(struct tfs_asking, a, from, link)
		a->waiting = false;
	tfs_list_take(to, from);
}

/* --- Threads --------------------------------------------------------------------------------------------------------- */

/* The next one, unless its user has his share of the threads. The lock is held. */
static struct tfs_work *next_work(struct tfs_works *ws)
{
	tfs_list_each(struct tfs_work, w, &ws->queued, link) {
		unsigned n = 0;

		tfs_list_each(struct tfs_work, other, &ws->running, link)
			n += other->uid == w->uid;
		if (n < ws->max_threads / 2)
			return w;
	}
	return NULL;
}

/* The lock is held, and released meanwhile. */
static void do_work(struct tfs_works *ws, struct tfs_work *w)
{
	struct tfs_list asking;
	int r = -ECANCELED;

	tfs_list_init(&asking);
	tfs_list_remove(&w->link);
	tfs_list_add(&ws->running, &w->link);
	w->state = TFS_WORK_RUNNING;
	/* Somebody may come while it ends because nobody waited. */
	while (r == -ECANCELED && !ws->stopping && !tfs_list_is_empty(&w->asking)) {
		w->abandoned = false;
		pthread_mutex_unlock(&ws->lock);
		r = w->run(w);
		pthread_mutex_lock(&ws->lock);
	}
	pthread_mutex_unlock(&ws->lock);
	if (w->done)
		w->done(w, r);
	pthread_mutex_lock(&ws->lock);
	tfs_list_remove(&w->link);
	take_asking(&asking, &w->asking);
	pthread_mutex_unlock(&ws->lock);
	answer_all(&asking, w, r);
	w->free(w);
	pthread_mutex_lock(&ws->lock);
	pthread_cond_broadcast(&ws->changed); /* its user may have another one */
}

static void *work(void *arg)
{
	struct tfs_works *ws = arg;

	pthread_mutex_lock(&ws->lock);
	while (!ws->stopping) {
		struct tfs_work *w = next_work(ws);

		if (w) {
			do_work(ws, w);
			continue;
		}
		ws->n_idle++;
		pthread_cond_wait(&ws->changed, &ws->lock);
		ws->n_idle--;
	}
	pthread_mutex_unlock(&ws->lock);
	return NULL;
}

/* The lock is held. False: there is no thread at all. */
static bool have_thread(struct tfs_works *ws)
{
	if (!ws->n_idle && ws->n_threads < ws->max_threads && !tfs_thread_start(&ws->threads[ws->n_threads], "tfs-work", work, ws))
		ws->n_threads++;
	return ws->n_threads;
}

/* --- What others call ------------------------------------------------------------------------------------------------ */

void tfs_work_init(struct tfs_work *w)
{
	w->abandoned = false;
	w->state = TFS_WORK_NEW;
	tfs_list_init(&w->link);
	tfs_list_init(&w->asking);
}

/* The lock is held. */
static bool wait_with(struct tfs_works *ws, struct tfs_work *w, struct tfs_asking *a)
{
	if (ws->stopping || a->given_up)
		return false;
	a->work = w;
	a->waiting = true;
	tfs_list_add(&w->asking, &a->link);
	w->abandoned = false;
	return true;
}

void tfs_work_submit(struct tfs_work *w, struct tfs_asking *a)
{
	struct tfs_works *ws = a->works;
	struct tfs_list asking;
	int r = 0;

	tfs_list_init(&asking);
	pthread_mutex_lock(&ws->lock);
	w->uid = fuse_req_ctx(a->pending.req)->uid;
	bool waits = wait_with(ws, w, a);
	if (ws->stopping)
		r = -ECANCELED;
	else if (tfs_list_is_empty(&w->asking))
		r = -EINTR;
	else if (!have_thread(ws))
		r = -ENOMEM;
	if (!r) {
		w->state = TFS_WORK_QUEUED;
		tfs_list_add(&ws->queued, &w->link);
		pthread_cond_signal(&ws->changed);
	}
	pthread_mutex_unlock(&ws->lock);
	if (r) {
		/* After this nobody else can join. */
		if (w->done)
			w->done(w, r);
		pthread_mutex_lock(&ws->lock);
		take_asking(&asking, &w->asking);
		pthread_mutex_unlock(&ws->lock);
		answer_all(&asking, NULL, r);
		w->free(w);
	}
	if (!waits)
		tfs_asking_refuse(a, r ? r : -EINTR);
}

bool tfs_work_join(struct tfs_work *w, struct tfs_asking *a)
{
	struct tfs_works *ws = a->works;

	pthread_mutex_lock(&ws->lock);
	bool waits = wait_with(ws, w, a);
	pthread_mutex_unlock(&ws->lock);
	return waits;
}

struct tfs_works *tfs_works_create(unsigned threads)
{
	struct tfs_works *ws = calloc(1, sizeof *ws);

	if (!ws)
		return NULL;
	ws->max_threads = threads;
	pthread_mutex_init(&ws->lock, NULL);
	tfs_cond_init(&ws->changed);
	tfs_list_init(&ws->queued);
	tfs_list_init(&ws->running);
	return ws;
}

void tfs_works_stop(struct tfs_works *ws)
{
	struct tfs_list asking, queued;

	if (!ws)
		return;
	tfs_list_init(&asking);
	tfs_list_init(&queued);
	pthread_mutex_lock(&ws->lock);
	ws->stopping = true;
	tfs_list_take(&queued, &ws->queued);
	tfs_list_each(struct tfs_work, w, &queued, link)
		take_asking(&asking, &w->asking);
	tfs_list_each(struct tfs_work, w, &ws->running, link) {
		take_asking(&asking, &w->asking);
		w->abandoned = true;
	}
	pthread_cond_broadcast(&ws->changed);
	pthread_mutex_unlock(&ws->lock);
	answer_all(&asking, NULL, -ECANCELED);
	tfs_list_each(struct tfs_work, w, &queued, link) {
		if (w->done)
			w->done(w, -ECANCELED);
		drop(w);
	}
	for (unsigned i = 0; i < ws->n_threads; i++)
		pthread_join(ws->threads[i], NULL);
}

void tfs_works_destroy(struct tfs_works *ws)
{
	if (!ws)
		return;
	pthread_cond_destroy(&ws->changed);
	pthread_mutex_destroy(&ws->lock);
	free(ws);
}
