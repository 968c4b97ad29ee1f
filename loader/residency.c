/* SPDX-License-Identifier: MIT */
#include "residency.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

/* A file that was asked for at least once. */
struct tfs_entry {
	struct tfs_entry *hash_next;
	struct tfs_entry *prev, *next; /* LRU list, while resident without holds */
	struct tfs_file_id id;
	enum tfs_state state;
	int failure; /* FAILED, or ABSENT and held: why */
	unsigned holds;
	bool wanted;	      /* held at least once since it was loaded: not a prefetch that nobody used */
	uint64_t backing;     /* name in the store; a new one for every load, so that late readers never meet a new file */
	uint64_t cost;	      /* what it takes from the budget while loading or resident */
	uint64_t tested;      /* the newest eviction round when it was found mapped */
	bool reopened;	      /* EVICTING: was held meanwhile, so that the lease test's word is out of date */
	struct load *load;    /* LOADING */
	struct tfs_wait *waits;
};

/* A load in progress. */
struct load {
	struct tfs_transfer transfer;
	struct tfs_residency *r;
	struct tfs_entry *entry;
	int fd;		/* the backing file, from begin() to end() */
	bool reserved;	/* the entry's cost is in r->used */
	struct tfs_layout layout;
	uint64_t chunk;	  /* bytes of the file that a chunk becomes, the first one together with the prefix */
	uint64_t written; /* of the source's bytes; guarded by the lock like the two below */
	struct tfs_range_wait *ranges;
	uint8_t ready[]; /* one byte a chunk */
};

struct tfs_residency {
	const struct tfs_model *model;
	struct tfs_sched *sched;
	struct tfs_store *store;
	double open_wait;

	/* Guards everything below, and every entry. Taken before the scheduler's lock. Never held across IO or a callback. */
	pthread_mutex_t lock;
	struct tfs_entry **buckets;
	size_t n_buckets, n_entries;
	struct tfs_entry lru; /* list head; next: most recently used */
	uint64_t next_backing;
	uint64_t round; /* of eviction */
	unsigned evicting; /* files whose lease is being tested or whose memory is being freed */
	pthread_cond_t evicted; /* one of these is through with it */
	struct tfs_residency_stats stats;

	/* The timer answers opens that have waited long enough. All wait equally long, so the oldest is due first. */
	struct tfs_wait by_age; /* list head; next: oldest */
	pthread_cond_t timer_wakes;
	pthread_t timer;
	bool stopping;
};

static const struct tfs_transfer_ops load_ops;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

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

static struct tfs_entry *find(struct tfs_residency *r, struct tfs_file_id id)
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

static struct tfs_entry *find_or_add(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_entry *e = find(r, id);
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
static void forget(struct tfs_residency *r, struct tfs_entry *e)
{
	struct tfs_entry **p = &r->buckets[bucket_of(r, e->id)];
	assert(!e->holds && !e->waits && !e->load);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	r->n_entries--;
	r->stats.files[e->state]--;
	free(e);
}

static void set_state(struct tfs_residency *r, struct tfs_entry *e, enum tfs_state state)
{
	r->stats.files[e->state]--;
	r->stats.files[state]++;
	e->state = state;
}

static void lru_add(struct tfs_residency *r, struct tfs_entry *e)
{
	e->next = r->lru.next;
	e->prev = &r->lru;
	e->next->prev = e->prev->next = e;
}

static void lru_remove(struct tfs_entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
}

static void take_hold(struct tfs_entry *e)
{
	if (!e->holds++ && e->state == TFS_RESIDENT)
		lru_remove(e);
	if (e->state == TFS_EVICTING)
		e->reopened = true;
	e->wanted = true;
}

static void wait_add(struct tfs_residency *r, struct tfs_entry *e, struct tfs_wait *w)
{
	w->entry = e;
	w->prev_of_entry = NULL;
	w->next_of_entry = e->waits;
	if (e->waits)
		e->waits->prev_of_entry = w;
	e->waits = w;

	w->deadline = now() + r->open_wait;
	w->next_by_age = &r->by_age;
	w->prev_by_age = r->by_age.prev_by_age;
	w->prev_by_age->next_by_age = w->next_by_age->prev_by_age = w;
	if (r->by_age.next_by_age == w)
		pthread_cond_signal(&r->timer_wakes);
}

static void wait_remove(struct tfs_wait *w)
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

static const struct tfs_tensor *tensor_of(const struct tfs_residency *r, struct tfs_file_id id)
{
	return &r->model->sets[id.set].tensors[id.tensor];
}

struct tfs_layout tfs_file_layout(const struct tfs_model *model, struct tfs_file_id id)
{
	struct tfs_layout l;
	int r = tfs_view_layout(id.view, &model->sets[id.set].tensors[id.tensor], &l);
	assert(!r);
	(void)r;
	return l;
}

/* --- Loading ------------------------------------------------------------------------------------------------------- */

/* Start loading @e, which is absent or failed; the lock is held. On an error the entry is as it was. */
static int start_load(struct tfs_residency *r, struct tfs_entry *e, enum tfs_priority priority)
{
	struct tfs_layout layout = tfs_file_layout(r->model, e->id);
	/*
	 * Chunks are chosen by what they become: each one but the last ends where a huge page of the backing file does, so that
	 * no huge page is written in two parts, the first of which would have the rest of it zeroed.
	 */
	uint64_t per_huge_page = TFS_SCRATCH / layout.out * layout.in;
	uint64_t step = TFS_CHUNK / per_huge_page * per_huge_page;
	assert(step); /* nothing shrinks to less than half */
	uint64_t chunk = step / layout.in * layout.out;
	struct tfs_transfer transfer = {
		.ops = &load_ops,
		.node = layout.tensor->source,
		.offset = layout.tensor->offset,
		.len = layout.tensor->nbytes,
		.first = (chunk - layout.prefix) / layout.out * layout.in,
		.step = step,
		.priority = priority,
	};
	struct load *l = calloc(1, sizeof *l + tfs_transfer_chunks(&transfer));

	if (!l)
		return -ENOMEM;
	l->r = r;
	l->entry = e;
	l->fd = -1;
	l->layout = layout;
	l->chunk = chunk;
	l->transfer = transfer;
	int err = tfs_sched_add(r->sched, &l->transfer);
	if (err) {
		free(l);
		return err;
	}
	/* A worker may have it already, but looks at the entry under the lock. */
	e->backing = r->next_backing++;
	e->cost = tfs_store_cost(layout.size);
	e->failure = 0;
	e->wanted = e->holds;
	e->load = l;
	set_state(r, e, TFS_LOADING);
	r->stats.loads++;
	if (priority == TFS_PREFETCH)
		r->stats.prefetched++;
	return 0;
}

/* The least recently used file that may go, or NULL. Prefetch may not push out what was itself prefetched and not used. */
static struct tfs_entry *pick_victim(struct tfs_residency *r, bool for_prefetch, uint64_t round)
{
	for (struct tfs_entry *e = r->lru.prev; e != &r->lru; e = e->prev)
		if (e->tested < round && (e->wanted || !for_prefetch))
			return e;
	return NULL;
}

/* Make room for @cost bytes and take them. -ENOSPC: what is resident is in use. */
static int reserve(struct tfs_residency *r, uint64_t cost, bool for_prefetch)
{
	int ret = 0;

	pthread_mutex_lock(&r->lock);
	uint64_t round = ++r->round;
	while (r->stats.used + cost > r->stats.budget) {
		struct tfs_entry *e = pick_victim(r, for_prefetch, round);
		if (!e && r->evicting) {
			pthread_cond_wait(&r->evicted, &r->lock); /* another thread may be about to free what we need */
			continue;
		}
		if (!e) {
			ret = -ENOSPC;
			break;
		}
		uint64_t backing = e->backing, freed = e->cost;
		r->evicting++;
		lru_remove(e);
		set_state(r, e, TFS_EVICTING);
		pthread_mutex_unlock(&r->lock);
		bool mapped = tfs_store_in_use(r->store, backing);
		pthread_mutex_lock(&r->lock);
		set_state(r, e, TFS_RESIDENT);
		if (mapped || e->reopened) {
			if (!e->holds)
				lru_add(r, e);
			if (!e->reopened) {
				e->tested = r->round; /* good for all who look for room now */
				r->stats.still_mapped++;
			}
			e->reopened = false;
			r->evicting--;
			pthread_cond_broadcast(&r->evicted);
			continue;
		}
		forget(r, e);
		r->stats.evictions++;
		pthread_mutex_unlock(&r->lock);
		tfs_store_remove(r->store, backing);
		pthread_mutex_lock(&r->lock);
		r->stats.used -= freed; /* only now is the memory really free */
		r->evicting--;
		pthread_cond_broadcast(&r->evicted);
	}
	if (!ret)
		r->stats.used += cost;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int tfs_residency_reserve(struct tfs_residency *r, uint64_t bytes)
{
	return reserve(r, bytes, false);
}

void tfs_residency_unreserve(struct tfs_residency *r, uint64_t bytes)
{
	pthread_mutex_lock(&r->lock);
	r->stats.used -= bytes;
	pthread_mutex_unlock(&r->lock);
}

static int load_begin(struct tfs_transfer *t, struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_residency *r = l->r;

	pthread_mutex_lock(&r->lock);
	bool prefetch = !l->entry->waits && !l->entry->holds;
	uint64_t cost = l->entry->cost, backing = l->entry->backing;
	pthread_mutex_unlock(&r->lock);

	int ret = reserve(r, cost, prefetch);
	if (ret)
		return tfs_error_set(err, ret, TFS_NO_OFFSET, "no room for %" PRIu64 " bytes in the memory budget", cost);
	l->reserved = true;
	l->fd = tfs_store_create(r->store, backing, l->layout.size);
	if (l->fd < 0)
		return tfs_error_set(err, l->fd, TFS_NO_OFFSET, "backing file: %s", strerror(-l->fd));
	return 0;
}

/* Bytes [at, at + len) of the backing file. */
static int write_backing(struct load *l, uint64_t at, const uint8_t *data, size_t len, struct tfs_error *err)
{
	/*
	 * pwrite rather than a mapping: measured equal, and it fills a fresh huge page without zeroing it first when it is
	 * overwritten whole (shmem_write_end() clears only what a write left out).
	 */
	for (size_t n = 0; n < len;) {
		ssize_t k = pwrite(l->fd, data + n, len - n, at + n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return tfs_error_set(err, -errno, TFS_NO_OFFSET, "backing file: %s", strerror(errno));
		n += k;
	}
	return 0;
}

/*
 * What source bytes [at, at + len) become, and the prefix before the first of them. What is converted, and what shares its
 * huge page with the prefix, is put together in @scratch, so that each huge page is written in one go.
 */
static int write_file(struct load *l, uint64_t at, const uint8_t *data, size_t len, uint8_t *scratch, struct tfs_error *err)
{
	const struct tfs_layout *y = &l->layout;
	uint64_t place = tfs_layout_place(y, at);
	size_t have = 0;
	int ret = 0;

	if (!at && y->prefix) {
		y->view->make_prefix(y->tensor, scratch);
		have = y->prefix;
		place = 0;
	}
	while (len && !ret) {
		if (!y->convert && !have)
			return write_backing(l, place, data, len, err); /* straight from where it was read */
		uint64_t room = TFS_SCRATCH - (place + have) % TFS_SCRATCH;
		uint64_t n = room / y->out * y->in;
		if (n > len)
			n = len;
		have += tfs_layout_convert(y, data, n, scratch + have);
		ret = write_backing(l, place, scratch, have, err);
		data += n;
		len -= n;
		place += have;
		have = 0;
	}
	return ret;
}

static int load_write(struct tfs_transfer *t, uint64_t at, const uint8_t *data, size_t len, void *scratch,
		      struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_range_wait *ready = NULL;
	int ret = write_file(l, at, data, len, scratch, err);
	if (ret)
		return ret;

	pthread_mutex_lock(&l->r->lock);
	l->ready[tfs_transfer_chunk(t, at)] = 1;
	l->written += len;
	for (struct tfs_range_wait **p = &l->ranges; *p;) {
		struct tfs_range_wait *w = *p;
		bool all = true;
		for (uint64_t c = w->at / l->chunk; c <= (w->at + w->len - 1) / l->chunk; c++)
			all &= l->ready[c];
		if (all) {
			*p = w->next;
			w->next = ready;
			ready = w;
		} else {
			p = &w->next;
		}
	}
	pthread_mutex_unlock(&l->r->lock);
	for (struct tfs_range_wait *next; ready; ready = next) {
		next = ready->next;
		ready->done(ready, 0);
	}
	return 0;
}

static void load_end(struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_residency *r = l->r;
	struct tfs_entry *e = l->entry;
	struct tfs_wait *waits;
	bool refused = code == -ENOSPC || code == -ECANCELED; /* nothing is wrong with the file */
	char line[TFS_ERROR_LINE];

	/* Before anybody opens it: the lease test counts our own descriptors too. */
	if (l->fd >= 0)
		close(l->fd);
	if (code && !refused)
		tfs_report(r->model, tensor_of(r, e->id), 0, code, err, line);
	if (code && l->fd >= 0)
		tfs_store_remove(r->store, e->backing);

	pthread_mutex_lock(&r->lock);
	e->load = NULL;
	waits = e->waits;
	for (struct tfs_wait *w = waits, *next; w; w = next) {
		next = w->next_of_entry;
		wait_remove(w);
		w->next_of_entry = next;
		if (!code)
			take_hold(e);
	}
	if (code) {
		set_state(r, e, refused ? TFS_ABSENT : TFS_FAILED);
		e->failure = code;
		if (l->reserved)
			r->stats.used -= e->cost;
		r->stats.refusals += code == -ENOSPC;
		if (!refused) {
			memcpy(r->stats.last_error, line, sizeof line);
			r->stats.failures++;
		}
		if (refused && !e->holds)
			forget(r, e);
		/* Otherwise those who are attached learn why, until they let go. */
	} else {
		set_state(r, e, TFS_RESIDENT);
		if (e->holds)
			e->wanted = true;
		else
			lru_add(r, e);
	}
	pthread_mutex_unlock(&r->lock);

	for (struct tfs_wait *next; waits; waits = next) {
		next = waits->next_of_entry;
		waits->done(waits, code);
	}
	for (struct tfs_range_wait *w = l->ranges, *next; w; w = next) {
		next = w->next;
		w->done(w, code);
	}
	free(l);
}

static const struct tfs_transfer_ops load_ops = { .begin = load_begin, .write = load_write, .end = load_end };

/* --- Opens --------------------------------------------------------------------------------------------------------- */

int tfs_residency_hold(struct tfs_residency *r, struct tfs_file_id id, struct tfs_wait *w)
{
	const struct tfs_tensor *t = tensor_of(r, id);
	int ret = TFS_QUEUED;

	if (tfs_store_cost(tfs_file_layout(r->model, id).size) > r->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = w->cancelled ? NULL : find_or_add(r, id);
	if (!e) {
		ret = w->cancelled ? -ECANCELED : -ENOMEM;
	} else if (e->state == TFS_RESIDENT || e->state == TFS_EVICTING) {
		take_hold(e);
		r->stats.hits++;
		ret = 0;
	} else {
		uint64_t left = t->nbytes - (e->load ? e->load->written : 0);
		bool slow = tfs_sched_eta(r->sched, e->load ? &e->load->transfer : NULL, left) > r->open_wait;
		if (e->state != TFS_LOADING) {
			int err = start_load(r, e, slow ? TFS_PREFETCH : TFS_DEMAND);
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
			forget(r, e);
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
		wait_remove(w);
	w->cancelled = true;
	pthread_mutex_unlock(&r->lock);
	return waiting;
}

void tfs_residency_drop(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = find(r, id);
	assert(e && e->holds);
	if (!--e->holds && e->state == TFS_RESIDENT)
		lru_add(r, e);
	else if (!e->holds && e->state == TFS_ABSENT)
		forget(r, e);
	pthread_mutex_unlock(&r->lock);
}

int tfs_residency_prefetch(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_layout layout;
	int ret = tfs_view_layout(id.view, tensor_of(r, id), &layout);
	if (ret)
		return ret;
	ret = -EALREADY;
	if (tfs_store_cost(layout.size) > r->stats.budget)
		return -EFBIG;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = find(r, id);
	if (!e || e->state == TFS_ABSENT) {
		if (!e)
			e = find_or_add(r, id);
		ret = e ? start_load(r, e, TFS_PREFETCH) : -ENOMEM;
		if (ret && e && !e->holds)
			forget(r, e);
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int tfs_residency_open(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = find(r, id);
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
	struct tfs_entry *e = find(r, id);
	if (e && (e->state == TFS_LOADING || e->state == TFS_RESIDENT || e->state == TFS_EVICTING)) {
		take_hold(e);
		ret = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return ret;
}

int tfs_residency_range(struct tfs_residency *r, struct tfs_file_id id, struct tfs_range_wait *w)
{
	int ret = 0;
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = find(r, id);
	assert(e && e->holds && w->len);
	w->backing = e->backing;
	if (e->state == TFS_FAILED || e->state == TFS_ABSENT) {
		ret = e->failure;
	} else if (e->state == TFS_LOADING) {
		uint64_t chunk = e->load->chunk;
		for (uint64_t c = (w->at + w->len - 1) / chunk + 1; c-- > w->at / chunk;)
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
	struct tfs_entry *e = find(r, id);
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
		double left = w->deadline - now();
		if (left > 0) {
			struct timespec until = { .tv_sec = (time_t)w->deadline,
						  .tv_nsec = (long)((w->deadline - (double)(time_t)w->deadline) * 1e9) };
			pthread_cond_timedwait(&r->timer_wakes, &r->lock, &until);
			continue;
		}
		wait_remove(w);
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
	pthread_condattr_t attr;
	sigset_t all, old;

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
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->timer_wakes, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&r->evicted, NULL);

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&r->timer, NULL, timer, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
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
	pthread_cond_destroy(&r->evicted);
	pthread_cond_destroy(&r->timer_wakes);
	pthread_mutex_destroy(&r->lock);
	free(r->buckets);
	free(r);
}
