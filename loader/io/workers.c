/* SPDX-License-Identifier: MIT */
#include "io/workers.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "content/extract.h"
#include "io/depth.h"

struct tfs_workers {
	struct tfs_sched *sched;
	struct tfs_sources *sources;
	struct tfs_extractor *extractor;
	const struct tfs_engine *const *engines;
	enum tfs_tier tier;
	bool (*idle)(void *arg);
	void *idle_arg;
	_Atomic bool tended; /* a thread looks after memory that is left */
	/*
	 * An engine with a queue needs no more threads than there are CPUs. The others help: they fill the page cache, which has
	 * to be waited for; and when the engine's tier fails they are called, for all that a thread has to wait for itself.
	 */
	unsigned queueing; /* threads with a queue; 0: the engine has none, and all help */
	unsigned depth;	   /* of each */
	unsigned usual;	   /* of these, how many are used on most storage: only their buffers are registered */
	unsigned reads;	   /* at once */
	unsigned n;
	pthread_t threads[];
};

/* A job's bytes, plus what O_DIRECT's alignment, or a remote source, may add at both ends. */
#define BUFFER_SIZE (TFS_CHUNK + TFS_IO_ROOM)
/* Each buffer begins at a huge page. */
#define BUFFER_STEP (TFS_CHUNK + TFS_SCRATCH)
/* NOLINTNEXTLINE(misc-redundant-expression): equal today */
_Static_assert(TFS_SCRATCH >= TFS_EXTRACT_SCRATCH && TFS_SCRATCH >= TFS_IO_ROOM && TFS_IO_ROOM >= 2 * TFS_IO_ALIGN,
	       "the scratch serves for all of these");

/* A job in progress. */
struct running {
	struct tfs_job job;
	struct tfs_io io;
	enum tfs_tier tier;
	enum tfs_tier failed; /* the highest tier that couldn't read it, or TFS_TIERS */
	int why;	      /* -errno of that */
	bool busy;
};

struct worker {
	struct tfs_workers *w;
	struct tfs_io_context *context; /* of the engine with a queue, or NULL */
	unsigned depth;
	unsigned n_busy;
	uint8_t *memory;	 /* scratch, then a buffer for each job in progress; NULL while idle */
	struct running *running; /* depth of them, at least 1 */
};

/* --- Jobs ---------------------------------------------------------------------------------------------------------- */

/* Check whether the file is still the one whose header told us where the bytes are: after reading, before using them. */
static int check(struct tfs_workers *w, struct tfs_source *source, int code, struct tfs_error *err)
{
	struct tfs_error changed = { .offset = TFS_NO_OFFSET };
	int c = tfs_source_check(w->sources, source, &changed);

	if (c)
		*err = changed;
	return c ? c : code;
}

/* The job's bytes are at @data, or @code says why not. Passes them on and gives the job back. */
static void finish(struct worker *me, struct running *r, int code, const uint8_t *data, enum tfs_read_how how)
{
	struct tfs_workers *w = me->w;
	struct tfs_job *job = &r->job;
	struct tfs_source *source = r->io.source;
	struct tfs_error err = r->io.err;
	uint8_t *again = NULL;
	int codes[TFS_JOB_PARTS] = { 0 };

	/* If part of a joined read is damaged, the others get their bytes one by one. Not if a network is: each would wait for it. */
	bool each = code == -EIO && source && !tfs_source_is_remote(source) && job->n_parts > 1;
	if (each)
		err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	for (unsigned i = 0; i < job->n_parts; i++) {
		struct tfs_job_part *p = &job->parts[i];
		struct tfs_error part_err = { .offset = TFS_NO_OFFSET };
		uint64_t offset = p->t->offset + p->at;
		codes[i] = code;
		if (each) {
			codes[i] = tfs_source_read(source, offset, p->len, r->io.buf, &again, &how, &part_err);
			codes[i] = check(w, source, codes[i], &part_err);
		}
		if (!codes[i] && !job->fill)
			codes[i] = p->t->ops->write(p->t, p->at, each ? again : data + (offset - job->offset), p->len, me->memory,
						    &part_err);
		if (codes[i] && !err.code)
			err = part_err;
	}
	if (source) {
		tfs_source_repay(source, r->io.loan);
		tfs_source_unpin(w->sources, source);
	}
	tfs_sched_done(w->sched, job, how, codes, err.code ? &err : NULL);
	r->busy = false;
	me->n_busy--;
}

/* The engine has finished. */
static void answered(struct worker *me, struct running *r)
{
	struct tfs_io *io = &r->io;

	if (!io->code && r->failed != TFS_TIERS)
		tfs_source_degrade(io->source, r->failed, r->why);
	finish(me, r, check(me->w, io->source, io->code, &io->err), io->data, (enum tfs_read_how)r->tier);
}

/* Read by the first tier, from r->tier on, that can; reap() gets later results. */
static void read_by_tier(struct worker *me, struct running *r)
{
	struct tfs_workers *w = me->w;

	for (;; r->tier++) {
		const struct tfs_engine *e = w->engines[r->tier];
		bool last = r->tier >= TFS_TIER_BUFFERED;

		if (!e || (e->create && !me->context))
			continue;
		if (!e->create && w->queueing)
			tfs_sched_call_helpers(w->sched); /* this read has to be waited for */
		if (e->queue(e->create ? me->context : NULL, &r->io) == TFS_IO_QUEUED)
			return;
		if (!r->io.code || last)
			break;
		if (r->failed == TFS_TIERS) {
			r->failed = r->tier;
			r->why = r->io.code;
		}
	}
	answered(me, r);
}

static bool have_memory(struct worker *me);

/* The job is to bring its bytes into the page cache; its source is pinned. */
static void fill(struct worker *me, struct running *r)
{
	struct tfs_io *io = &r->io;
	int code = tfs_source_fill(io->source, io->offset, io->len, &io->err);

	if (code == -EOPNOTSUPP)
		code = have_memory(me) ?
			       tfs_source_read_buffered(io->source, io->offset, io->len, me->memory + TFS_SCRATCH, &io->err) :
			       -ENOMEM;
	finish(me, r, code, NULL, TFS_READ_FILLED);
}

/* Begin the job that @r has. */
static void start(struct worker *me, struct running *r)
{
	struct tfs_workers *w = me->w;
	struct tfs_job *job = &r->job;
	unsigned number = r - me->running;

	r->busy = true;
	me->n_busy++;
	r->failed = TFS_TIERS;
	r->io = (struct tfs_io){ .offset = job->offset, .len = job->len, .slot = -1, .loan = -1, .err.offset = TFS_NO_OFFSET };
	tfs_sched_begin(w->sched, job);
	if (!job->n_parts) {
		finish(me, r, 0, NULL, TFS_READ_BUFFERED);
		return;
	}
	r->io.offset = job->offset;
	r->io.len = job->len;
	r->io.ahead = job->priority != TFS_DEMAND;

	const struct tfs_transfer *t = job->parts[0].t;
	int code = 0;
	if (job->n_parts == 1 && t->buf) {
		r->io.buf = t->buf;
	} else if (!job->fill && have_memory(me)) {
		r->io.buf = me->memory + TFS_SCRATCH + number * BUFFER_STEP;
		r->io.slot = number < w->usual ? (int)number : -1;
		r->io.roomy = true;
	}
	if (!job->fill && (!r->io.buf || (!t->plain && !have_memory(me)))) {
		code = tfs_error_set(&r->io.err, -ENOMEM, TFS_NO_OFFSET, "no memory for a read buffer of %zu bytes", BUFFER_SIZE);
		finish(me, r, code, NULL, TFS_READ_BUFFERED);
		return;
	}
	if (!t->plain) {
		struct tfs_read_request rq = {
			.at = job->offset,
			.len = job->len,
			.priority = job->priority,
			.buf = r->io.buf,
			.scratch = me->memory,
			.err.offset = TFS_NO_OFFSET,
		};
		code = t->content.ops->read(t->content.of, w->extractor, &rq);
		r->io.err = rq.err;
		finish(me, r, code, rq.data, rq.how);
		return;
	}
	code = tfs_source_pin(w->sources, job->node, &r->io.source, &r->io.err);
	if (code) {
		r->io.source = NULL;
		finish(me, r, code, NULL, TFS_READ_BUFFERED);
		return;
	}
	if (tfs_source_cached(r->io.source, job->offset, job->len)) {
		if (job->fill) {
			finish(me, r, 0, NULL, TFS_READ_PRESENT);
			return;
		}
		code = tfs_source_read_buffered(r->io.source, job->offset, job->len, r->io.buf, &r->io.err);
		finish(me, r, check(w, r->io.source, code, &r->io.err), r->io.buf, TFS_READ_CACHED);
		return;
	}
	if (job->fill) {
		fill(me, r);
		return;
	}
	r->tier = atomic_load_explicit(&r->io.source->tier, memory_order_relaxed);
	if (r->tier < w->tier)
		r->tier = w->tier;
	read_by_tier(me, r);
}

/* One of the queued reads is done. */
static void reap(struct worker *me)
{
	const struct tfs_engine *e = me->w->engines[me->w->tier];
	struct tfs_io *io = e->reap(me->context);
	struct running *r = tfs_container_of(io, struct running, io);

	if (!io->code) {
		answered(me, r);
		return;
	}
	if (r->failed == TFS_TIERS) {
		r->failed = r->tier;
		r->why = io->code;
	}
	r->tier++;
	read_by_tier(me, r);
}

/* --- Threads ------------------------------------------------------------------------------------------------------- */

static size_t memory_size(const struct worker *me)
{
	return TFS_SCRATCH + (me->depth - 1) * BUFFER_STEP + BUFFER_SIZE;
}

/* Memory for jobs, unless there is some already. False: none. */
static bool have_memory(struct worker *me)
{
	const struct tfs_engine *e = me->w->engines[me->w->tier];
	uint8_t *buffers[64];

	if (me->memory)
		return true;
	me->memory = tfs_buffer_create(memory_size(me));
	if (!me->memory || !me->context || !e->set_buffers)
		return me->memory;
	unsigned n = me->depth < me->w->usual ? me->depth : me->w->usual;
	for (unsigned i = 0; i < n; i++)
		buffers[i] = me->memory + TFS_SCRATCH + i * BUFFER_STEP;
	e->set_buffers(me->context, buffers, n, BUFFER_SIZE);
	return true;
}

/* Idle for a while: an idle mount shouldn't use memory for buffers. */
static void drop_memory(struct worker *me)
{
	const struct tfs_engine *e = me->w->engines[me->w->tier];

	if (me->memory && me->context && e->set_buffers)
		e->set_buffers(me->context, NULL, 0, 0);
	tfs_buffer_destroy(me->memory, memory_size(me));
	me->memory = NULL;
}

/* If a thread is idle, no load in progress will continue with a staging buffer; a stream with a slow reader may. */
enum { STAGING_SECONDS = 2 };

/* NULL: none. Threads with a queue share what may be in flight, as each of them has to use what it has read. */
static struct running *free_place(struct worker *me)
{
	const struct tfs_workers *w = me->w;

	if (me->context && me->n_busy >= (tfs_sched_depth(w->sched) + w->queueing - 1) / w->queueing)
		return NULL;
	for (unsigned i = 0; i < me->depth; i++)
		if (!me->running[i].busy)
			return &me->running[i];
	return NULL;
}

/*
 * Free memory that isn't used now. True: there is some left, which this thread is to look after, once a second; all others sleep. @tends:
 * it has been until now, and stops before it looks: of two that look at the same time the later one sees what there is.
 */
static bool tend(struct tfs_workers *w, bool tends)
{
	if (tends)
		w->tended = false;
	bool left = tfs_extractor_trim(w->extractor, STAGING_SECONDS);
	left |= w->idle && w->idle(w->idle_arg);
	return left && !atomic_exchange(&w->tended, true);
}

static void work(struct worker *me)
{
	struct tfs_workers *w = me->w;
	struct running *r;
	bool tended = false, tends = false; /* since its last job; and goes on */

	for (;;) {
		enum tfs_take take = TFS_TAKE_IDLE;

		r = free_place(me);
		if (r)
			take = tfs_sched_take(w->sched, !me->context, me->n_busy ? 0 : tended && !tends ? INFINITY : 1, &r->job);
		if (take == TFS_TAKE_JOB) {
			if (tends)
				w->tended = false; /* the job may take as long as storage likes */
			tended = tends = false;
			start(me, r);
		} else if (me->n_busy) {
			reap(me);
		} else if (take == TFS_TAKE_STOP) {
			return;
		} else {
			drop_memory(me);
			tends = tend(w, tends);
			tended = true;
		}
	}
}

static void *worker(void *arg)
{
	struct tfs_workers *w = ((struct worker *)arg)->w;
	struct worker me = *(struct worker *)arg;

	free(arg);
	if (me.depth && w->engines[w->tier]->create(me.depth, &me.context))
		tfs_sched_call_helpers(w->sched); /* it was available a moment ago; the others make up for it */
	if (!me.context)
		me.depth = 1;
	work(&me);
	drop_memory(&me);
	if (me.context)
		w->engines[w->tier]->destroy(me.context);
	free(me.running);
	return NULL;
}

/* The first available tier, from the requested one on. */
static enum tfs_tier choose_tier(tfs_engines engines, enum tfs_tier tier)
{
	while (tier < TFS_TIER_BUFFERED && tfs_engine_probe(engines, tier))
		tier++;
	return tier;
}

static unsigned count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, const struct tfs_workers_options *o,
		      struct tfs_workers **ret_workers)
{
	/* Those with a queue, and as many helpers as there may be reads. */
	struct tfs_workers *w = calloc(1, sizeof *w + 2 * o->threads * sizeof *w->threads);

	if (!w)
		return -ENOMEM;
	w->extractor = tfs_extractor_create(sources, &o->memory);
	if (!w->extractor) {
		free(w);
		return -ENOMEM;
	}
	w->sched = sched;
	w->reads = o->threads;
	w->sources = sources;
	w->engines = o->engines ? o->engines : tfs_all_engines;
	w->tier = choose_tier(w->engines, o->tier);
	w->idle = o->idle;
	w->idle_arg = o->arg;
	unsigned least = o->threads_min && o->threads_min < o->threads ? o->threads_min : o->threads;
	tfs_sched_set_depth(sched, least, o->threads);
	if (!w->engines[w->tier]->create) {
		tfs_sched_call_helpers(sched);
	} else {
		unsigned cpus = count_cpus();
		w->queueing = cpus < o->threads ? cpus : o->threads;
		assert(w->queueing);
		w->depth = (o->threads + w->queueing - 1) / w->queueing;
		w->usual = (TFS_DEPTH_FIRST + w->queueing - 1) / w->queueing;
	}
	while (w->n < w->queueing + o->threads) {
		struct worker *me = calloc(1, sizeof *me);
		if (!me)
			break;
		me->w = w;
		me->depth = w->n < w->queueing ? w->depth : 0;
		/* Not by the thread: it may be the only one, and nobody would read. */
		me->running = calloc(me->depth ? me->depth : 1, sizeof *me->running);
		if (!me->running || tfs_thread_start(&w->threads[w->n], "tfs-read", worker, me)) {
			free(me->running);
			free(me);
			break;
		}
		w->n++;
	}
	if (!w->n) {
		tfs_workers_destroy(w);
		return -EAGAIN;
	}
	*ret_workers = w;
	return 0;
}

void tfs_workers_join(struct tfs_workers *w)
{
	if (!w)
		return;
	tfs_extractor_stop(w->extractor);
	for (unsigned i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
}

void tfs_workers_destroy(struct tfs_workers *w)
{
	if (!w)
		return;
	tfs_extractor_destroy(w->extractor);
	free(w);
}

unsigned tfs_workers_count(const struct tfs_workers *w)
{
	return !w ? 0 : w->n < w->reads ? w->n : w->reads;
}

enum tfs_tier tfs_workers_tier(const struct tfs_workers *w)
{
	return w->tier;
}
