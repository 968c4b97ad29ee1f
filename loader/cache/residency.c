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

int tfs_residency_hold(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_wait *w)
{
	const struct tfs_tensor *t = tfs_entry_tensor(rs, id);
	int r = TFS_QUEUED;

	if (tfs_store_cost(tfs_file_layout(rs->model, id).size) > rs->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = w->cancelled ? NULL : tfs_entry_find_or_add(rs, id);
	if (e)
		tfs_entry_share(rs, e);
	if (!e) {
		r = w->cancelled ? -ECANCELED : -ENOMEM;
	} else if (e->state == TFS_RESIDENT || e->state == TFS_EVICTING) {
		tfs_entry_take_hold(e);
		rs->stats.hits++;
		r = 0;
	} else {
		uint64_t left = t->nbytes - (e->load ? e->load->written : 0);
		bool slow = tfs_sched_eta(rs->sched, e->load ? &e->load->transfer : NULL, left) > rs->open_wait;
		if (e->state != TFS_LOADING) {
			r = tfs_entry_load(rs, e, slow ? TFS_PREFETCH : TFS_DEMAND);
			if (!r)
				r = TFS_QUEUED;
		} else if (!slow) {
			tfs_sched_promote(rs->sched, &e->load->transfer);
		}
		if (r == TFS_QUEUED && slow) {
			rs->stats.timeouts++;
			r = -ETIMEDOUT;
		} else if (r == TFS_QUEUED) {
			tfs_entry_wait_add(rs, e, w);
			rs->stats.waits++;
		} else if (!e->holds && e->state == TFS_ABSENT) {
			tfs_entry_forget(rs, e);
		}
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

bool tfs_residency_cancel(struct tfs_residency *rs, struct tfs_wait *w)
{
	pthread_mutex_lock(&rs->lock);
	bool waiting = w->entry;
	if (waiting)
		tfs_entry_wait_remove(w);
	w->cancelled = true;
	pthread_mutex_unlock(&rs->lock);
	return waiting;
}

void tfs_residency_drop(struct tfs_residency *rs, struct tfs_file_id id)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	assert(e);
	/* What couldn't be merged while it was held. */
	bool let_go = e->holds == 1 && e->state == TFS_RESIDENT && e->duplicate;
	tfs_entry_drop_hold(rs, e);
	bool duplicate = let_go && tfs_entry_has_duplicate(rs, e);
	pthread_mutex_unlock(&rs->lock);
	if (duplicate)
		rs->on_duplicate(rs->on_duplicate_arg, id);
}

int tfs_residency_prefetch(struct tfs_residency *rs, struct tfs_file_id id)
{
	struct tfs_layout layout;
	int r = tfs_view_layout(id.view, tfs_entry_tensor(rs, id), rs->model->npy_align, &layout);
	if (r)
		return r;
	r = -EALREADY;
	if (tfs_store_cost(layout.size) > rs->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	if (!e || e->state == TFS_ABSENT) {
		if (!e)
			e = tfs_entry_find_or_add(rs, id);
		if (!e || !tfs_entry_share(rs, e)) {
			r = e ? tfs_entry_load(rs, e, TFS_PREFETCH) : -ENOMEM;
			if (r && e && !e->holds)
				tfs_entry_forget(rs, e);
		}
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

int tfs_residency_backing(struct tfs_residency *rs, struct tfs_file_id id, uint64_t *ret_name)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	assert(e && e->holds);
	*ret_name = e->backing;
	int failure = e->state == TFS_FAILED || e->state == TFS_ABSENT ? e->failure : 0;
	pthread_mutex_unlock(&rs->lock);
	return failure;
}

int tfs_residency_open(struct tfs_residency *rs, struct tfs_file_id id)
{
	uint64_t backing;
	int r = tfs_residency_backing(rs, id, &backing);

	return r ? r : tfs_store_reader(rs->store, backing);
}

int tfs_residency_open_range(struct tfs_residency *rs, const struct tfs_range_wait *w)
{
	return tfs_store_reader(rs->store, w->backing);
}

int tfs_residency_attach(struct tfs_residency *rs, struct tfs_file_id id)
{
	int r = -ENOENT;
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	if (e && (e->state == TFS_LOADING || e->state == TFS_RESIDENT || e->state == TFS_EVICTING)) {
		tfs_entry_take_hold(e);
		r = 0;
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

int tfs_residency_range(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_range_wait *w)
{
	int r = 0;
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	assert(e && e->holds && w->len);
	w->backing = e->backing;
	if (e->state == TFS_FAILED || e->state == TFS_ABSENT) {
		r = e->failure;
	} else if (e->state == TFS_LOADING) {
		uint64_t first = tfs_load_chunk_at(e->load, w->at);
		for (uint64_t c = tfs_load_chunk_at(e->load, w->at + w->len - 1) + 1; c-- > first;)
			if (!e->load->ready[c]) {
				/* Backwards, so that the first one missing is the next one read. */
				tfs_sched_want(rs->sched, &e->load->transfer, c);
				r = TFS_QUEUED;
			}
		if (r) {
			w->next = e->load->ranges;
			e->load->ranges = w;
		}
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

const char *tfs_residency_state(struct tfs_residency *rs, struct tfs_file_id id)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	enum tfs_state state = e ? e->state : TFS_ABSENT;
	int failure = e && state == TFS_FAILED ? e->failure : 0;
	pthread_mutex_unlock(&rs->lock);
	return failure == -ESTALE ? "stale" : tfs_state_name(state);
}

void tfs_residency_stats(struct tfs_residency *rs, struct tfs_residency_stats *ret_stats)
{
	pthread_mutex_lock(&rs->lock);
	*ret_stats = rs->stats;
	pthread_mutex_unlock(&rs->lock);
}

/* --- Pins -------------------------------------------------------------------------------------------------------------- */

/* The share of the budget that may be pinned. The rest is for other files, and for streams. */
#define PIN_SHARE(budget) ((budget) / 8 * 7)

int tfs_residency_pin(struct tfs_residency *rs, struct tfs_file_id id)
{
	struct tfs_layout layout;
	int r = tfs_view_layout(id.view, tfs_entry_tensor(rs, id), rs->model->npy_align, &layout);

	if (r)
		return r;
	uint64_t cost = tfs_store_cost(layout.size);
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find_or_add(rs, id);
	if (!e)
		r = -ENOMEM;
	else if (e->pinned)
		r = 0;
	else if (cost > rs->stats.budget)
		r = -EFBIG;
	else if (rs->stats.pinned_bytes + cost > PIN_SHARE(rs->stats.budget))
		r = -ENOSPC;
	else if ((e->state == TFS_ABSENT || e->state == TFS_FAILED) && !tfs_entry_share(rs, e))
		r = tfs_entry_load(rs, e, TFS_PREFETCH);
	if (e && !r && !e->pinned) {
		e->pinned = true;
		tfs_entry_take_hold(e);
		rs->stats.pinned++;
		rs->stats.pinned_bytes += cost;
	} else if (e && r && !e->holds && e->state == TFS_ABSENT) {
		tfs_entry_forget(rs, e);
	}
	pthread_mutex_unlock(&rs->lock);
	return r;
}

void tfs_residency_unpin(struct tfs_residency *rs, struct tfs_file_id id)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	if (e && e->pinned) {
		e->pinned = false;
		rs->stats.pinned--;
		rs->stats.pinned_bytes -= tfs_store_cost(tfs_file_layout(rs->model, id).size);
		tfs_entry_drop_hold(rs, e);
	}
	pthread_mutex_unlock(&rs->lock);
}

static bool is_pinned(const struct tfs_entry *e)
{
	return e->pinned;
}

static bool is_loading(const struct tfs_entry *e)
{
	return e->state == TFS_LOADING;
}

static bool is_resident(const struct tfs_entry *e)
{
	return e->state == TFS_RESIDENT || e->state == TFS_EVICTING;
}

/* The files for which @wanted is true, of which there are @count; the lock is held. */
static struct tfs_file_id *list(struct tfs_residency *rs, bool (*wanted)(const struct tfs_entry *e), uint64_t count, size_t *ret_n)
{
	struct tfs_file_id *ids = calloc(count + 1, sizeof *ids);
	size_t n = 0;

	for (size_t i = 0; ids && i < rs->n_buckets; i++)
		for (struct tfs_entry *e = rs->buckets[i]; e && n < count; e = e->hash_next)
			if (wanted(e))
				ids[n++] = e->id;
	*ret_n = n;
	return ids;
}

struct tfs_file_id *tfs_residency_pinned(struct tfs_residency *rs, size_t *ret_n)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_file_id *ids = list(rs, is_pinned, rs->stats.pinned, ret_n);
	pthread_mutex_unlock(&rs->lock);
	return ids;
}

struct tfs_file_id *tfs_residency_loading(struct tfs_residency *rs, size_t *ret_n)
{
	pthread_mutex_lock(&rs->lock);
	struct tfs_file_id *ids = list(rs, is_loading, rs->stats.files[TFS_LOADING], ret_n);
	pthread_mutex_unlock(&rs->lock);
	return ids;
}

struct tfs_file_id *tfs_residency_resident(struct tfs_residency *rs, size_t *ret_n)
{
	pthread_mutex_lock(&rs->lock);
	const uint64_t count = rs->stats.files[TFS_RESIDENT] + rs->stats.files[TFS_EVICTING];
	struct tfs_file_id *ids = list(rs, is_resident, count, ret_n);
	pthread_mutex_unlock(&rs->lock);
	return ids;
}

/* --- The timer, beginning and end ---------------------------------------------------------------------------------- */

static void *timer(void *arg)
{
	struct tfs_residency *rs = arg;

	pthread_mutex_lock(&rs->lock);
	while (!rs->stopping) {
		struct tfs_wait *w = tfs_list_first(&rs->by_age, struct tfs_wait, by_age);
		if (!w) {
			pthread_cond_wait(&rs->timer_wakes, &rs->lock);
			continue;
		}
		if (w->deadline > tfs_now()) {
			tfs_cond_wait_until(&rs->timer_wakes, &rs->lock, w->deadline);
			continue;
		}
		tfs_entry_wait_remove(w);
		rs->stats.timeouts++;
		pthread_mutex_unlock(&rs->lock);
		w->done(w, -ETIMEDOUT);
		pthread_mutex_lock(&rs->lock);
	}
	pthread_mutex_unlock(&rs->lock);
	return NULL;
}

struct tfs_residency *tfs_residency_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_store *store,
					   uint64_t budget, double open_wait)
{
	struct tfs_residency *rs = calloc(1, sizeof *rs);

	if (!rs)
		return NULL;
	rs->n_buckets = 1024;
	rs->buckets = calloc(rs->n_buckets, sizeof *rs->buckets);
	if (!rs->buckets) {
		free(rs);
		return NULL;
	}
	rs->model = model;
	rs->sched = sched;
	rs->store = store;
	rs->open_wait = open_wait;
	rs->stats.budget = budget;
	tfs_list_init(&rs->lru);
	tfs_list_init(&rs->by_age);
	pthread_mutex_init(&rs->lock, NULL);
	tfs_cond_init(&rs->timer_wakes);
	pthread_cond_init(&rs->evicted, NULL);

	if (tfs_thread_start(&rs->timer, "tfs-open-wait", timer, rs)) {
		pthread_cond_destroy(&rs->evicted);
		pthread_cond_destroy(&rs->timer_wakes);
		pthread_mutex_destroy(&rs->lock);
		free(rs->buckets);
		free(rs);
		return NULL;
	}
	return rs;
}

void tfs_residency_stop(struct tfs_residency *rs)
{
	if (!rs)
		return;
	pthread_mutex_lock(&rs->lock);
	bool stopped = rs->stopping;
	rs->stopping = true;
	pthread_cond_signal(&rs->timer_wakes);
	pthread_mutex_unlock(&rs->lock);
	if (!stopped)
		pthread_join(rs->timer, NULL);
}

void tfs_residency_destroy(struct tfs_residency *rs)
{
	if (!rs)
		return;
	tfs_residency_stop(rs);
	/* Stopping the scheduler ended every load, and with it every wait. */
	assert(tfs_list_is_empty(&rs->by_age));
	for (size_t i = 0; i < rs->n_buckets; i++)
		for (struct tfs_entry *e = rs->buckets[i], *next; e; e = next) {
			next = e->hash_next;
			free(e);
		}
	tfs_duplicates_free(rs);
	pthread_cond_destroy(&rs->evicted);
	pthread_cond_destroy(&rs->timer_wakes);
	pthread_mutex_destroy(&rs->lock);
	free(rs->buckets);
	free(rs);
}
