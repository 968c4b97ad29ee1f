/* SPDX-License-Identifier: MIT */
#include "cache/residency-impl.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

const char *tfs_state_name(enum tfs_state state)
{
	static const char *const names[] = {
		[TFS_ABSENT] = "absent",     [TFS_LOADING] = "loading", [TFS_RESIDENT] = "resident",
		[TFS_EVICTING] = "resident", [TFS_FAILED] = "failed",
	};
	return names[state];
}

/* --- Opens --------------------------------------------------------------------------------------------------------- */

int tfs_residency_hold(struct tfs_residency *r, struct tfs_file_id id, struct tfs_wait *w)
{
	const struct tfs_tensor *t = tfs_entry_tensor(r, id);
	int ret = TFS_QUEUED;

	if (tfs_store_cost(tfs_file_layout(r->model, id).size) > r->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = w->cancelled ? NULL : tfs_entry_find_or_add(r, id);
	if (e)
		tfs_entry_share(r, e);
	if (!e) {
		ret = w->cancelled ? -ECANCELED : -ENOMEM;
	} else if (e->state == TFS_RESIDENT || e->state == TFS_EVICTING) {
		tfs_entry_take_hold(e);
		r->stats.hits++;
		ret = 0;
	} else {
		uint64_t left = t->nbytes - (e->load ? e->load->written : 0);
		bool slow = tfs_sched_eta(r->sched, e->load ? &e->load->transfer : NULL, left) > r->open_wait;
		if (e->state != TFS_LOADING) {
			int err = tfs_entry_load(r, e, slow ? TFS_PREFETCH : TFS_DEMAND);
			if (err)
				ret = err;
		} else if (!slow) {
			tfs_sched_promote(r->sched, &e->load->transfer);
		}
		if (ret == TFS_QUEUED && slow) {
			r->stats.timeouts++;
			ret = -ETIMEDOUT;
		} else if (ret == TFS_QUEUED) {
			tfs_entry_wait_add(r, e, w);
			r->stats.waits++;
		} else if (!e->holds && e->state == TFS_ABSENT) {
			tfs_entry_forget(r, e);
		}
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

bool tfs_residency_cancel(struct tfs_residency *r, struct tfs_wait *w)
{
	pthread_mutex_lock(&r->lock);
	bool waiting = w->entry;
	if (waiting)
		tfs_entry_wait_remove(w);
	w->cancelled = true;
	pthread_mutex_unlock(&r->lock);
	return waiting;
}

void tfs_residency_drop(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	assert(e);
	/* What couldn't be merged while it was held. */
	bool let_go = e->holds == 1 && e->state == TFS_RESIDENT && e->duplicate;
	tfs_entry_drop_hold(r, e);
	bool duplicate = let_go && tfs_entry_has_duplicate(r, e);
	pthread_mutex_unlock(&r->lock);
	if (duplicate)
		r->on_duplicate(r->on_duplicate_arg, id);
}

int tfs_residency_prefetch(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_layout layout;
	int ret = tfs_view_layout(id.view, tfs_entry_tensor(r, id), r->model->npy_align, &layout);
	if (ret)
		return ret;
	ret = -EALREADY;
	if (tfs_store_cost(layout.size) > r->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (!e || e->state == TFS_ABSENT) {
		if (!e)
			e = tfs_entry_find_or_add(r, id);
		if (!e || !tfs_entry_share(r, e)) {
			ret = e ? tfs_entry_load(r, e, TFS_PREFETCH) : -ENOMEM;
			if (ret && e && !e->holds)
				tfs_entry_forget(r, e);
		}
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int tfs_residency_open(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	assert(e && e->holds);
	uint64_t backing = e->backing;
	int failure = e->state == TFS_FAILED || e->state == TFS_ABSENT ? e->failure : 0;
	pthread_mutex_unlock(&r->lock);
	return failure ? failure : tfs_store_reader(r->store, backing);
}

int tfs_residency_open_range(struct tfs_residency *r, const struct tfs_range_wait *w)
{
	return tfs_store_reader(r->store, w->backing);
}

int tfs_residency_attach(struct tfs_residency *r, struct tfs_file_id id)
{
	int ret = -ENOENT;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (e && (e->state == TFS_LOADING || e->state == TFS_RESIDENT || e->state == TFS_EVICTING)) {
		tfs_entry_take_hold(e);
		ret = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int tfs_residency_range(struct tfs_residency *r, struct tfs_file_id id, struct tfs_range_wait *w)
{
	int ret = 0;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	assert(e && e->holds && w->len);
	w->backing = e->backing;
	if (e->state == TFS_FAILED || e->state == TFS_ABSENT) {
		ret = e->failure;
	} else if (e->state == TFS_LOADING) {
		uint64_t first = tfs_load_chunk_at(e->load, w->at);
		for (uint64_t c = tfs_load_chunk_at(e->load, w->at + w->len - 1) + 1; c-- > first;)
			if (!e->load->ready[c]) {
				/* Backwards, so that the first one missing is the next one read. */
				tfs_sched_want(r->sched, &e->load->transfer, c);
				ret = TFS_QUEUED;
			}
		if (ret) {
			w->next = e->load->ranges;
			e->load->ranges = w;
		}
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

const char *tfs_residency_state(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	enum tfs_state state = e ? e->state : TFS_ABSENT;
	int failure = e && state == TFS_FAILED ? e->failure : 0;
	pthread_mutex_unlock(&r->lock);
	return failure == -ESTALE ? "stale" : tfs_state_name(state);
}

void tfs_residency_stats(struct tfs_residency *r, struct tfs_residency_stats *ret_stats)
{
	pthread_mutex_lock(&r->lock);
	*ret_stats = r->stats;
	pthread_mutex_unlock(&r->lock);
}

/* --- Pins -------------------------------------------------------------------------------------------------------------- */

/* The share of the budget that may be pinned. The rest is for other files, and for streams. */
#define PIN_SHARE(budget) ((budget) / 8 * 7)

int tfs_residency_pin(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_layout layout;
	int ret = tfs_view_layout(id.view, tfs_entry_tensor(r, id), r->model->npy_align, &layout);

	if (ret)
		return ret;
	uint64_t cost = tfs_store_cost(layout.size);
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find_or_add(r, id);
	if (!e)
		ret = -ENOMEM;
	else if (e->pinned)
		ret = 0;
	else if (cost > r->stats.budget)
		ret = -EFBIG;
	else if (r->stats.pinned_bytes + cost > PIN_SHARE(r->stats.budget))
		ret = -ENOSPC;
	else if ((e->state == TFS_ABSENT || e->state == TFS_FAILED) && !tfs_entry_share(r, e))
		ret = tfs_entry_load(r, e, TFS_PREFETCH);
	if (e && !ret && !e->pinned) {
		e->pinned = true;
		tfs_entry_take_hold(e);
		r->stats.pinned++;
		r->stats.pinned_bytes += cost;
	} else if (e && ret && !e->holds && e->state == TFS_ABSENT) {
		tfs_entry_forget(r, e);
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void tfs_residency_unpin(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (e && e->pinned) {
		e->pinned = false;
		r->stats.pinned--;
		r->stats.pinned_bytes -= tfs_store_cost(tfs_file_layout(r->model, id).size);
		tfs_entry_drop_hold(r, e);
	}
	pthread_mutex_unlock(&r->lock);
}

static bool is_pinned(const struct tfs_entry *e)
{
	return e->pinned;
}

static bool is_loading(const struct tfs_entry *e)
{
	return e->state == TFS_LOADING;
}

/* The files for which @wanted is true, of which there are @count; the lock is held. */
static struct tfs_file_id *list(struct tfs_residency *r, bool (*wanted)(const struct tfs_entry *e), uint64_t count, size_t *ret_n)
{
	struct tfs_file_id *ids = calloc(count + 1, sizeof *ids);
	size_t n = 0;

	for (size_t i = 0; ids && i < r->n_buckets; i++)
		for (struct tfs_entry *e = r->buckets[i]; e && n < count; e = e->hash_next)
			if (wanted(e))
				ids[n++] = e->id;
	*ret_n = n;
	return ids;
}

struct tfs_file_id *tfs_residency_pinned(struct tfs_residency *r, size_t *ret_n)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_file_id *ids = list(r, is_pinned, r->stats.pinned, ret_n);
	pthread_mutex_unlock(&r->lock);
	return ids;
}

struct tfs_file_id *tfs_residency_loading(struct tfs_residency *r, size_t *ret_n)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_file_id *ids = list(r, is_loading, r->stats.files[TFS_LOADING], ret_n);
	pthread_mutex_unlock(&r->lock);
	return ids;
}

/* --- The timer, beginning and end ---------------------------------------------------------------------------------- */

static void *timer(void *arg)
{
	struct tfs_residency *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		struct tfs_wait *w = r->by_age.next_by_age;
		if (w == &r->by_age) {
			pthread_cond_wait(&r->timer_wakes, &r->lock);
			continue;
		}
		if (w->deadline > tfs_now()) {
			tfs_cond_wait_until(&r->timer_wakes, &r->lock, w->deadline);
			continue;
		}
		tfs_entry_wait_remove(w);
		r->stats.timeouts++;
		pthread_mutex_unlock(&r->lock);
		w->done(w, -ETIMEDOUT);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

struct tfs_residency *tfs_residency_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_store *store,
					   uint64_t budget, double open_wait)
{
	struct tfs_residency *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->n_buckets = 1024;
	r->buckets = calloc(r->n_buckets, sizeof *r->buckets);
	if (!r->buckets) {
		free(r);
		return NULL;
	}
	r->model = model;
	r->sched = sched;
	r->store = store;
	r->open_wait = open_wait;
	r->stats.budget = budget;
	r->lru.prev = r->lru.next = &r->lru;
	r->by_age.prev_by_age = r->by_age.next_by_age = &r->by_age;
	pthread_mutex_init(&r->lock, NULL);
	tfs_cond_init(&r->timer_wakes);
	pthread_cond_init(&r->evicted, NULL);

	if (tfs_thread_start(&r->timer, "tfs-open-wait", timer, r)) {
		pthread_cond_destroy(&r->evicted);
		pthread_cond_destroy(&r->timer_wakes);
		pthread_mutex_destroy(&r->lock);
		free(r->buckets);
		free(r);
		return NULL;
	}
	return r;
}

void tfs_residency_stop(struct tfs_residency *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	bool stopped = r->stopping;
	r->stopping = true;
	pthread_cond_signal(&r->timer_wakes);
	pthread_mutex_unlock(&r->lock);
	if (!stopped)
		pthread_join(r->timer, NULL);
}

void tfs_residency_destroy(struct tfs_residency *r)
{
	if (!r)
		return;
	tfs_residency_stop(r);
	/* Stopping the scheduler ended every load, and with it every wait. */
	assert(r->by_age.next_by_age == &r->by_age);
	for (size_t i = 0; i < r->n_buckets; i++)
		for (struct tfs_entry *e = r->buckets[i], *next; e; e = next) {
			next = e->hash_next;
			free(e);
		}
	tfs_duplicates_free(r);
	pthread_cond_destroy(&r->evicted);
	pthread_cond_destroy(&r->timer_wakes);
	pthread_mutex_destroy(&r->lock);
	free(r->buckets);
	free(r);
}
