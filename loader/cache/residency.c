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
		[TFS_ABSENT] = "absent",   [TFS_LOADING] = "loading", [TFS_RESIDENT] = "resident",
		[TFS_EVICTING] = "resident", [TFS_FAILED] = "failed",
	};
	return names[state];
}

/* --- Table, LRU list, list of waits; the lock is held -------------------------------------------------------------- */

static size_t bucket_of(const struct tfs_residency *r, struct tfs_file_id id)
{
	uint64_t h = (((uint64_t)id.set << 32 | id.tensor) * TFS_VIEW_IDS + id.view) * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	return (h >> 32) & (r->n_buckets - 1);
}

struct tfs_entry *tfs_entry_find(const struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_entry *e = r->buckets[bucket_of(r, id)];
	while (e && !tfs_file_id_equal(e->id, id))
		e = e->hash_next;
	return e;
}

static void grow(struct tfs_residency *r)
{
	size_t old_n = r->n_buckets;
	struct tfs_entry **old = r->buckets, **buckets = calloc(old_n * 2, sizeof *buckets);
	if (!buckets)
		return; /* longer chains, nothing worse */
	r->buckets = buckets;
	r->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++)
		for (struct tfs_entry *e = old[i], *next; e; e = next) {
			struct tfs_entry **b = &buckets[bucket_of(r, e->id)];
			next = e->hash_next;
			e->hash_next = *b;
			*b = e;
		}
	free(old);
}

struct tfs_entry *tfs_entry_find_or_add(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (e)
		return e;
	if (r->n_entries >= r->n_buckets)
		grow(r);
	e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	struct tfs_entry **b = &r->buckets[bucket_of(r, id)];
	e->id = id;
	e->hash_next = *b;
	*b = e;
	r->n_entries++;
	r->stats.files[TFS_ABSENT]++;
	return e;
}

/* Forget an entry that nobody holds or waits for. */
void tfs_entry_forget(struct tfs_residency *r, struct tfs_entry *e)
{
	struct tfs_entry **p = &r->buckets[bucket_of(r, e->id)];
	assert(!e->holds && !e->waits && !e->load);
	tfs_entry_leave(r, e);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	r->n_entries--;
	r->stats.files[e->state]--;
	free(e);
}

void tfs_entry_set_state(struct tfs_residency *r, struct tfs_entry *e, enum tfs_state state)
{
	r->stats.files[e->state]--;
	r->stats.files[state]++;
	e->state = state;
}

void tfs_entry_lru_add(struct tfs_residency *r, struct tfs_entry *e)
{
	e->next = r->lru.next;
	e->prev = &r->lru;
	e->next->prev = e->prev->next = e;
}

void tfs_entry_lru_remove(struct tfs_entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
}

void tfs_entry_take_hold(struct tfs_entry *e)
{
	if (!e->holds++ && e->state == TFS_RESIDENT)
		tfs_entry_lru_remove(e);
	if (e->state == TFS_EVICTING || e->borrowed)
		e->reopened = true;
	e->wanted = true;
}

void tfs_entry_drop_hold(struct tfs_residency *r, struct tfs_entry *e)
{
	assert(e->holds);
	if (!--e->holds && e->state == TFS_RESIDENT)
		tfs_entry_lru_add(r, e);
	else if (!e->holds && e->state == TFS_ABSENT)
		tfs_entry_forget(r, e);
}

static void wait_add(struct tfs_residency *r, struct tfs_entry *e, struct tfs_wait *w)
{
	w->entry = e;
	w->prev_of_entry = NULL;
	w->next_of_entry = e->waits;
	if (e->waits)
		e->waits->prev_of_entry = w;
	e->waits = w;

	w->deadline = tfs_now() + r->open_wait;
	w->next_by_age = &r->by_age;
	w->prev_by_age = r->by_age.prev_by_age;
	w->prev_by_age->next_by_age = w->next_by_age->prev_by_age = w;
	if (r->by_age.next_by_age == w)
		pthread_cond_signal(&r->timer_wakes);
}

void tfs_entry_wait_remove(struct tfs_wait *w)
{
	if (w->prev_of_entry)
		w->prev_of_entry->next_of_entry = w->next_of_entry;
	else
		w->entry->waits = w->next_of_entry;
	if (w->next_of_entry)
		w->next_of_entry->prev_of_entry = w->prev_of_entry;
	w->prev_by_age->next_by_age = w->next_by_age;
	w->next_by_age->prev_by_age = w->prev_by_age;
	w->entry = NULL;
}

struct tfs_layout tfs_file_layout(const struct tfs_model *model, struct tfs_file_id id)
{
	struct tfs_layout l;
	int r = tfs_view_layout(id.view, &model->sets[id.set].tensors[id.tensor], model->npy_align, &l);
	assert(!r);
	(void)r;
	return l;
}

uint64_t tfs_file_loaded_size(const struct tfs_model *model, struct tfs_file_id id)
{
	const struct tfs_tensor *t = &model->sets[id.set].tensors[id.tensor];
	struct tfs_layout l;
	return t->nbytes && !tfs_view_layout(id.view, t, model->npy_align, &l) ? l.size : 0;
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
			wait_add(r, e, w);
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
	/* What could not be merged while it was held. */
	bool let_go = e->holds == 1 && e->state == TFS_RESIDENT && e->twin;
	tfs_entry_drop_hold(r, e);
	bool twin = let_go && tfs_entry_has_twin(r, e);
	pthread_mutex_unlock(&r->lock);
	if (twin)
		r->on_twin(r->on_twin_arg, id);
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
	tfs_twins_free(r);
	pthread_cond_destroy(&r->evicted);
	pthread_cond_destroy(&r->timer_wakes);
	pthread_mutex_destroy(&r->lock);
	free(r->buckets);
	free(r);
}
