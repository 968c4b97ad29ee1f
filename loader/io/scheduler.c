/* SPDX-License-Identifier: MIT */
#include "io/scheduler.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "io/depth.h"

/* Maximum number of deflate streams being read at once: as many as there can be threads. */
enum { IN_ORDER_MAX = 64 };

/*
 * A storage hangs if it has finished nothing for so long, though something is in progress. Until it does, no more of it is begun; what is
 * in progress there leaves the depth to others, and helpers take the jobs of these, as the workers may be waiting for it.
 */
#define HANGS_AFTER 1.0
/* How often that is looked at, while something is queued. */
#define LOOK_EVERY 0.25
/* What is in progress of others counts as of no storage. */
enum { STORAGES = 16 };

struct in_progress {
	uint64_t storage;
	unsigned jobs, fills;
	double since; /* nothing of it was finished after this time */
	bool hangs;
};

struct tfs_sched {
	pthread_mutex_t lock;	/* guards all below, and the private part of every transfer */
	pthread_cond_t work;	/* for workers that aren't helpers */
	pthread_cond_t helped;	/* for helpers */
	bool stopped, called;	/* called: helpers, for any job */
	bool watched;		/* a helper looks now and then whether a storage hangs */
	struct tfs_depth depth; /* maximum of busy */
	struct tfs_list queue[TFS_PRIORITIES];
	unsigned busy, fills;	   /* jobs taken but not given back; those of them that are fills */
	unsigned hung, hung_fills; /* those of both whose storage hangs */
	struct in_progress storages[STORAGES];
	unsigned n_storages;
	tfs_sched_storage_fn *storage_of;
	const void *storage_arg;
	const struct tfs_tensor *in_order[IN_ORDER_MAX]; /* one for each stream with a job in progress */
	unsigned n_in_order;
	/* Bandwidth: bytes of finished jobs over the time in which any was in progress. */
	double busy_since, measured_s;
	uint64_t measured_bytes;
	struct tfs_sched_stats stats;
};

struct tfs_sched *tfs_sched_create(void)
{
	struct tfs_sched *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	for (int p = 0; p < TFS_PRIORITIES; p++)
		tfs_list_init(&s->queue[p]);
	tfs_cond_init(&s->work);
	tfs_cond_init(&s->helped);
	tfs_depth_init(&s->depth, UINT_MAX, UINT_MAX);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void tfs_sched_set_storages(struct tfs_sched *s, tfs_sched_storage_fn *storage_of, const void *arg)
{
	s->storage_of = storage_of;
	s->storage_arg = arg;
}

void tfs_sched_destroy(struct tfs_sched *s)
{
	if (!s)
		return;
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->helped);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- Storages; the lock is held ----------------------------------------------------------------------------------- */

static struct in_progress *find_storage(struct tfs_sched *s, uint64_t storage)
{
	for (unsigned i = 0; i < s->n_storages; i++)
		if (s->storages[i].storage == storage)
			return &s->storages[i];
	return NULL;
}

/* Which of them hang? */
static void look_at_storages(struct tfs_sched *s)
{
	const double before = s->n_storages ? tfs_now() - HANGS_AFTER : 0;

	s->hung = s->hung_fills = 0;
	for (unsigned i = 0; i < s->n_storages; i++) {
		struct in_progress *p = &s->storages[i];

		p->hangs = p->since < before;
		s->hung += p->hangs ? p->jobs : 0;
		s->hung_fills += p->hangs ? p->fills : 0;
	}
}

static void storage_taken(struct tfs_sched *s, struct tfs_job *job)
{
	struct in_progress *p = find_storage(s, job->storage);

	if (!p && s->n_storages == STORAGES)
		job->storage = 0;
	if (!job->storage)
		return;
	if (!p) {
		p = &s->storages[s->n_storages++];
		*p = (struct in_progress){ .storage = job->storage, .since = job->taken_at };
	}
	p->jobs++;
	p->fills += job->fill;
}

static void storage_done(struct tfs_sched *s, const struct tfs_job *job)
{
	struct in_progress *p = find_storage(s, job->storage);

	if (p) {
		p->fills -= job->fill;
		p->since = tfs_now();
		if (!--p->jobs)
			*p = s->storages[--s->n_storages];
	}
	look_at_storages(s);
}

/* --- The queue; the lock is held ------------------------------------------------------------------------------- */

/* Must @t wait for a job in progress? */
static bool must_wait(const struct tfs_sched *s, const struct tfs_transfer *t)
{
	const unsigned busy = s->busy - s->hung, fills = s->fills - s->hung_fills;

	for (unsigned i = 0; s->hung && i < s->n_storages; i++)
		if (s->storages[i].hangs && s->storages[i].storage == t->storage)
			return true;
	/* A fill may take as long as storage likes, so it leaves the depth to others. */
	if (t->fill ? busy >= s->depth.now : busy - fills >= s->depth.now)
		return true;
	if (!t->in_order)
		return false;
	for (unsigned i = 0; i < s->n_in_order; i++)
		if (tfs_same_stream(s->in_order[i], t->in_order))
			return true;
	return s->n_in_order == IN_ORDER_MAX;
}

/* The next one for a helper, or for another worker. Few are skipped: no tensor has more than one load and a few slots, few streams
 * have more than one tensor, and few fills are queued at a time. */
static struct tfs_transfer *first(const struct tfs_sched *s, bool helper)
{
	for (int p = 0; p < TFS_PRIORITIES; p++)
		tfs_list_each(struct tfs_transfer, t, &s->queue[p], link)
			if ((t->fill ? helper : !helper || s->called || s->hung) && !must_wait(s, t))
				return t;
	return NULL;
}

static struct tfs_transfer *any_queued(const struct tfs_sched *s)
{
	for (int p = 0; p < TFS_PRIORITIES; p++)
		if (!tfs_list_is_empty(&s->queue[p]))
			return tfs_list_first(&s->queue[p], struct tfs_transfer, link);
	return NULL;
}

/* There may be something to take. Each worker that takes a job wakes the next one. */
static void wake(struct tfs_sched *s)
{
	if (first(s, false))
		pthread_cond_signal(&s->work);
	if (first(s, true) || (!s->watched && s->n_storages && any_queued(s)))
		pthread_cond_signal(&s->helped);
}

static void enqueue(struct tfs_sched *s, struct tfs_transfer *t, bool front)
{
	struct tfs_list *queue = &s->queue[t->priority];
	assert(!t->queued);
	tfs_list_add(front ? queue->next : queue, &t->link);
	t->queued = true;
}

static void dequeue(struct tfs_transfer *t)
{
	assert(t->queued);
	tfs_list_remove(&t->link);
	t->queued = false;
}

static uint64_t chunk_at(const struct tfs_transfer *t, uint32_t chunk)
{
	return chunk ? t->first + (uint64_t)(chunk - 1) * t->step : 0;
}

static size_t chunk_len(const struct tfs_transfer *t, uint32_t chunk)
{
	uint64_t left = t->len - chunk_at(t, chunk), len = chunk ? t->step : t->first;
	return left < len ? left : len;
}

/* Take the next chunk of @t, which has one. */
static struct tfs_job_part issue(struct tfs_sched *s, struct tfs_transfer *t)
{
	uint32_t c = 0;
	if (t->issued) {
		for (c = t->cursor; t->issued[c]; c = (c + 1) % t->n_chunks)
			;
		t->issued[c] = 1;
		t->cursor = (c + 1) % t->n_chunks;
	}
	t->n_issued++;
	t->in_flight++;
	size_t len = chunk_len(t, c);
	s->stats.queued[t->priority] -= len;
	return (struct tfs_job_part){ .t = t, .at = chunk_at(t, c), .len = len, .first = !t->begun };
}

/* No chunk of @t will be issued any more. */
static void give_up(struct tfs_sched *s, struct tfs_transfer *t)
{
	for (uint32_t c = 0; t->n_issued < t->n_chunks; c++) {
		if (t->issued ? t->issued[c] : t->n_issued)
			continue;
		if (t->issued)
			t->issued[c] = 1;
		t->n_issued++;
		s->stats.queued[t->priority] -= chunk_len(t, c);
	}
	if (t->queued)
		dequeue(t);
}

static void fail(struct tfs_sched *s, struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	if (!t->code) {
		t->code = code;
		t->err = err ? malloc(sizeof *t->err) : NULL;
		if (t->err) {
			*t->err = *err;
			t->err->code = code;
			/* A read shared by several transfers fails at one position, which is in at most one of them. */
			if (t->plain && (err->offset < t->offset || err->offset - t->offset > t->len))
				t->err->offset = TFS_NO_OFFSET;
		}
		s->stats.failed++;
	}
	give_up(s, t);
}

/* Outside the lock. */
static void end(struct tfs_transfer *t)
{
	struct tfs_error *err = tfs_steal(t->err);
	free(tfs_steal(t->issued));
	t->ops->end(t, t->code, err);
	free(err);
}

int tfs_sched_add(struct tfs_sched *s, struct tfs_transfer *t)
{
	assert(t->len > 0);
	assert(t->first && t->first <= TFS_CHUNK && t->step && t->step <= TFS_CHUNK);
	const struct tfs_content_ops *ops = t->content.ops;
	struct tfs_extent extent = { 0 };
	t->plain = ops->extent;
	if (t->plain)
		extent = ops->extent(t->content.of);
	t->node = t->plain ? extent.node : ops->file ? ops->file(t->content.of) : UINT32_MAX;
	t->offset = extent.offset + t->at;
	t->storage = s->storage_of && t->node != UINT32_MAX ? s->storage_of(s->storage_arg, t->node) : 0;
	t->in_order = ops->in_order ? ops->in_order(t->content.of) : NULL;
	t->queued = t->begun = false;
	t->n_chunks = tfs_transfer_chunks(t);
	t->n_issued = t->cursor = t->in_flight = 0;
	t->issued = NULL;
	t->code = 0;
	t->err = NULL;
	if (t->n_chunks > 1) {
		t->issued = calloc(t->n_chunks, 1);
		if (!t->issued)
			return -ENOMEM;
	}
	pthread_mutex_lock(&s->lock);
	bool stopped = s->stopped;
	if (!stopped) {
		enqueue(s, t, false);
		s->stats.queued[t->priority] += t->len;
		s->stats.transfers++;
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (stopped) {
		free(t->issued);
		return -ECANCELED;
	}
	return 0;
}

static void promote(struct tfs_sched *s, struct tfs_transfer *t)
{
	if (t->priority == TFS_DEMAND || t->n_issued == t->n_chunks)
		return;
	for (uint32_t c = 0; c < t->n_chunks; c++) {
		if (t->issued ? t->issued[c] : t->n_issued)
			continue;
		s->stats.queued[t->priority] -= chunk_len(t, c);
		s->stats.queued[TFS_DEMAND] += chunk_len(t, c);
	}
	t->priority = TFS_DEMAND;
	if (t->queued) {
		dequeue(t);
		enqueue(s, t, false);
	}
}

void tfs_sched_promote(struct tfs_sched *s, struct tfs_transfer *t)
{
	pthread_mutex_lock(&s->lock);
	promote(s, t);
	pthread_mutex_unlock(&s->lock);
}

void tfs_sched_want(struct tfs_sched *s, struct tfs_transfer *t, uint32_t chunk)
{
	pthread_mutex_lock(&s->lock);
	promote(s, t);
	if (t->n_issued < t->n_chunks && t->issued && !t->issued[chunk] && !t->in_order)
		t->cursor = chunk;
	pthread_mutex_unlock(&s->lock);
}

bool tfs_sched_take_back(struct tfs_sched *s, struct tfs_transfer *t)
{
	pthread_mutex_lock(&s->lock);
	bool back = t->queued && !t->begun && t->priority == TFS_PREFETCH;
	if (back) {
		give_up(s, t);
		s->stats.transfers--;
	}
	pthread_mutex_unlock(&s->lock);
	if (back)
		free(tfs_steal(t->issued));
	return back;
}

bool tfs_sched_cancel(struct tfs_sched *s, struct tfs_transfer *t)
{
	pthread_mutex_lock(&s->lock);
	bool any = t->n_issued < t->n_chunks, over = any && !t->in_flight;
	if (over)
		give_up(s, t);
	else if (any)
		fail(s, t, -ECANCELED, NULL);
	pthread_mutex_unlock(&s->lock);
	if (over)
		free(tfs_steal(t->issued));
	return over;
}

/* --- Bandwidth ---------------------------------------------------------------------------------------------------- */

/*
 * The estimate remembers about this many seconds of reading: long enough to level out single requests, short enough to
 * follow storage that slows down.
 */
#define BANDWIDTH_MEMORY 0.5

/* Below this there isn't enough data to judge by. */
#define BANDWIDTH_MIN_BYTES ((uint64_t)16 << 20)

static void account(struct tfs_sched *s, size_t bytes)
{
	double t = tfs_now(), passed = t - s->busy_since;
	s->busy_since = t;
	if (bytes < TFS_JOIN_MAX)
		return; /* a short read measures latency */
	s->measured_s += passed;
	s->measured_bytes += bytes;
	if (s->measured_s > BANDWIDTH_MEMORY && s->measured_bytes >= BANDWIDTH_MIN_BYTES) {
		s->stats.bandwidth = s->measured_bytes / s->measured_s;
		s->measured_s /= 2;
		s->measured_bytes /= 2;
	} else if (!s->stats.bandwidth && s->measured_bytes >= BANDWIDTH_MIN_BYTES) {
		s->stats.bandwidth = s->measured_bytes / s->measured_s;
	}
}

/* A read of storage was done; its job still counts. The lock is held. */
static void measure_depth(struct tfs_sched *s, const struct tfs_job *job)
{
	double now = tfs_now();
	/* Is there something that only waits for its turn? */
	bool held_up = any_queued(s) && !first(s, false) && !first(s, true);

	if (tfs_depth_begin(&s->depth, job->len > TFS_CHUNK / 2, now - job->taken_at))
		return;
	if (!held_up)
		tfs_depth_interrupt(&s->depth);
	else if (job->len > TFS_CHUNK / 2 && tfs_depth_done(&s->depth, job->len, now - job->taken_at, now))
		tfs_log_debug("reads in flight: %u", s->depth.now);
}

double tfs_sched_eta(struct tfs_sched *s, const struct tfs_transfer *t, uint64_t more)
{
	pthread_mutex_lock(&s->lock);
	if (t && t->priority == TFS_DEMAND)
		more = 0;
	double bw = s->stats.bandwidth, bytes = (double)s->stats.queued[TFS_DEMAND] + (double)more;
	pthread_mutex_unlock(&s->lock);
	return bw > 0 ? bytes / bw : 0;
}

/* --- Workers ------------------------------------------------------------------------------------------------------ */

/* Add to the job the next ones in the queue that are close by in the file. */
static void join(struct tfs_sched *s, struct tfs_job *job, struct tfs_transfer *t)
{
	const struct tfs_list *queue = &s->queue[job->parts[0].t->priority];
	while (t && job->n_parts < TFS_JOB_PARTS) {
		struct tfs_transfer *next = tfs_list_next(queue, t, link);
		uint64_t end_of_job = job->offset + job->len;
		if (!t->plain || t->fill || t->node != job->node || t->n_chunks > 1 || t->len > TFS_JOIN_MAX ||
		    t->offset < end_of_job || t->offset - end_of_job > TFS_JOIN_GAP || t->offset + t->len - job->offset > TFS_CHUNK)
			return;
		dequeue(t);
		job->parts[job->n_parts++] = issue(s, t);
		job->len = t->offset + t->len - job->offset;
		s->stats.joined++;
		t = next;
	}
}

void tfs_sched_call_helpers(struct tfs_sched *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->called)
		pthread_cond_broadcast(&s->helped);
	s->called = true;
	pthread_mutex_unlock(&s->lock);
}

void tfs_sched_set_depth(struct tfs_sched *s, unsigned min, unsigned max)
{
	pthread_mutex_lock(&s->lock);
	tfs_depth_init(&s->depth, min, max);
	wake(s);
	pthread_mutex_unlock(&s->lock);
}

unsigned tfs_sched_depth(struct tfs_sched *s)
{
	pthread_mutex_lock(&s->lock);
	unsigned depth = s->depth.now;
	pthread_mutex_unlock(&s->lock);
	return depth;
}

/* Wait for a job, until the time @until. -ETIMEDOUT: it is over. The lock is held. */
static int wait_for_job(struct tfs_sched *s, bool helper, double until)
{
	pthread_cond_t *c = helper ? &s->helped : &s->work;

	if (helper && !s->watched && s->n_storages && any_queued(s)) {
		const double look = tfs_now() + LOOK_EVERY;

		s->watched = true;
		int r = tfs_cond_wait_until(c, &s->lock, look < until ? look : until);
		s->watched = false;
		look_at_storages(s);
		return look < until ? 0 : r;
	}
	return isinf(until) ? pthread_cond_wait(c, &s->lock) : tfs_cond_wait_until(c, &s->lock, until);
}

enum tfs_take tfs_sched_take(struct tfs_sched *s, bool helper, double patience, struct tfs_job *job)
{
	struct tfs_transfer *t;
	double until = tfs_now() + patience;

	pthread_mutex_lock(&s->lock);
	while (!s->stopped && !(t = first(s, helper)))
		if (patience <= 0 || (wait_for_job(s, helper, until) == -ETIMEDOUT && !s->stopped && !first(s, helper))) {
			pthread_mutex_unlock(&s->lock);
			return TFS_TAKE_IDLE;
		}
	if (s->stopped) {
		pthread_mutex_unlock(&s->lock);
		return TFS_TAKE_STOP;
	}

	job->parts[0] = issue(s, t);
	job->n_parts = 1;
	job->fill = t->fill;
	job->node = t->node;
	job->priority = t->priority;
	job->offset = t->offset + job->parts[0].at;
	job->len = job->parts[0].len;
	/*
	 * A transfer that hasn't begun leaves the queue until tfs_sched_begin() puts it back: no other worker may write to it yet.
	 */
	if (!t->begun || t->n_issued == t->n_chunks) {
		struct tfs_transfer *next = tfs_list_next(&s->queue[t->priority], t, link);
		dequeue(t);
		if (t->n_chunks == 1 && t->len <= TFS_JOIN_MAX && t->plain && !t->fill)
			join(s, job, next);
	}
	if (t->in_order)
		s->in_order[s->n_in_order++] = t->in_order;
	job->taken_at = tfs_now();
	job->storage = t->storage;
	storage_taken(s, job);
	if (!s->busy++)
		s->busy_since = job->taken_at;
	s->fills += job->fill;
	s->stats.jobs++;
	wake(s);
	pthread_mutex_unlock(&s->lock);
	return TFS_TAKE_JOB;
}

/* A job of @t is over: the next one may start. */
static void next_in_order(struct tfs_sched *s, const struct tfs_transfer *t)
{
	unsigned i = 0;

	if (!t->in_order)
		return;
	while (s->in_order[i] != t->in_order)
		i++;
	s->in_order[i] = s->in_order[--s->n_in_order];
	wake(s);
}

/* A part finished with @code. Returns the transfer if that was its last one, for the caller to end without the lock. */
static struct tfs_transfer *part_done(struct tfs_sched *s, struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	if (code)
		fail(s, t, code, err);
	return !--t->in_flight && t->n_issued == t->n_chunks ? t : NULL;
}

void tfs_sched_begin(struct tfs_sched *s, struct tfs_job *job)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < job->n_parts; i++) {
		struct tfs_job_part part = job->parts[i];
		if (part.first) {
			struct tfs_error err = { .offset = TFS_NO_OFFSET };
			int r = part.t->ops->begin(part.t, &err);
			struct tfs_transfer *ended = NULL;
			pthread_mutex_lock(&s->lock);
			part.t->begun = true;
			if (r) {
				next_in_order(s, part.t); /* this job has no other part */
				ended = part_done(s, part.t, r, &err);
			} else if (part.t->n_issued < part.t->n_chunks && s->stopped) {
				fail(s, part.t, -ECANCELED, NULL);
			} else if (part.t->n_issued < part.t->n_chunks) {
				enqueue(s, part.t, true);
				wake(s);
			}
			pthread_mutex_unlock(&s->lock);
			if (ended)
				end(ended);
			if (r)
				continue;
		}
		job->parts[kept++] = part;
	}
	job->n_parts = kept;
	if (kept) {
		const struct tfs_job_part *a = &job->parts[0], *z = &job->parts[kept - 1];
		job->offset = a->t->offset + a->at;
		job->len = z->t->offset + z->at + z->len - job->offset;
	}
}

void tfs_sched_done(struct tfs_sched *s, struct tfs_job *job, enum tfs_read_how how, const int *codes, const struct tfs_error *err)
{
	struct tfs_transfer *ended[TFS_JOB_PARTS];
	unsigned n = 0;
	bool any_good = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < job->n_parts; i++) {
		any_good |= !codes[i];
		next_in_order(s, job->parts[i].t);
		struct tfs_transfer *t = part_done(s, job->parts[i].t, codes[i], err);
		if (t)
			ended[n++] = t;
	}
	if (any_good) {
		s->stats.bytes[how] += job->len;
		if (how < TFS_READ_CACHED)
			s->stats.last_tier = (enum tfs_tier)how;
		if (how != TFS_READ_PRESENT)
			account(s, job->len);
		if (how != TFS_READ_PRESENT && how != TFS_READ_CACHED)
			measure_depth(s, job);
	}
	s->busy--;
	s->fills -= job->fill;
	storage_done(s, job);
	wake(s);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < n; i++)
		end(ended[i]);
}

void tfs_sched_stop(struct tfs_sched *s)
{
	for (;;) {
		struct tfs_transfer *t;
		bool over = false;
		pthread_mutex_lock(&s->lock);
		s->stopped = true;
		t = any_queued(s);
		if (t) {
			fail(s, t, -ECANCELED, NULL);
			over = !t->in_flight; /* otherwise the worker that has one of its parts ends it */
		}
		pthread_cond_broadcast(&s->work);
		pthread_cond_broadcast(&s->helped);
		pthread_mutex_unlock(&s->lock);
		if (!t)
			return;
		if (over)
			end(t);
	}
}

void tfs_sched_stats(struct tfs_sched *s, struct tfs_sched_stats *ret_stats)
{
	pthread_mutex_lock(&s->lock);
	*ret_stats = s->stats;
	ret_stats->depth = s->depth.now;
	ret_stats->latency = s->depth.latency;
	pthread_mutex_unlock(&s->lock);
}
