/* SPDX-License-Identifier: MIT */
#include "cache/originals.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/memory.h"
#include "cache/readers.h"

/*
 * A segment is what is queued, held and given up at a time: a share of the memory that may be used, so that a window has a few, but
 * enough for the storage to be busy.
 */
#define SEGMENT_MAX ((uint64_t)32 << 20)
enum { SEGMENT_SHARE = 8 };

/* More than a window has. */
enum { WINDOW_SEGMENTS = 2 * SEGMENT_SHARE };

/* A window, ahead of the reader, has this share of the memory; the rest is for readers behind the first. */
enum { WINDOW_SHARE = 2 };

/* How often to look where the reader is: less and less often if it doesn't move, and in the end no more until the next open. */
#define LOOK_FIRST 0.001
#define LOOK_GROWS 1.25
#define LOOK_LAST  0.25
#define LOOK_OVER  60.0

/* Use no less than this power of two's part of the memory if it is short: readers go on, and what they read isn't ours to decide. */
enum { SAVING_MAX = 2 };

/* One of a set's files. */
struct original {
	struct tfs_list opened; /* in the list of those that were opened and aren't brought in */
	uint32_t node, set;
	uint64_t size, issued; /* issued: [0, issued) was queued, or found in the page cache */
	uint64_t in_flight;    /* bytes */
	uint64_t given_up;     /* of those issued, bytes */
	unsigned held;	       /* segments */
	bool looked;	       /* whether the page cache has it, since it was opened */
	bool failed;
};

struct set {
	uint32_t first, n; /* in files[] */
	uint32_t cursor;   /* the file that was opened last, of n */
	uint64_t total;
	struct tfs_readers readers;
	bool wanted;
	bool unknown_reader; /* one whose process id isn't known */
};

/* Part of a file that is, or is about to be, in the page cache because of us. */
struct segment {
	struct tfs_transfer transfer;
	struct tfs_originals *o;
	struct tfs_list link;
	struct original *file;
	uint64_t at, len;
	bool in_flight;
	bool wired;   /* its first page was left out */
	bool reached; /* that page has appeared */
	bool passed;  /* a reader has got further than this */
	bool last;    /* when given up, the file's last */
};

struct tfs_originals {
	const struct tfs_model *model;
	struct tfs_sources *sources;
	struct tfs_sched *sched;
	struct tfs_residency *residency;
	uint64_t memory;
	struct original *files;
	uint32_t *by_node; /* index in files, or UINT32_MAX */
	uint32_t n_files;

	pthread_mutex_t lock; /* guards all below; no other lock is taken under it but the scheduler's */
	pthread_cond_t more;
	struct set *sets;
	struct tfs_list opened;	  /* files, in the order of their opens */
	struct tfs_list segments; /* the oldest first */
	uint64_t queued;	  /* bytes in the scheduler */
	uint32_t set;		  /* the one of which a file was opened last */
	uint64_t limit;		  /* bytes that may be held, when last looked */
	double saving_until, moved_at, look;
	unsigned saving; /* how many times to halve the memory that is used */
	bool all, running, stopping;
	bool blind; /* the kernel doesn't tell where readers are */
	struct tfs_originals_stats stats;
	pthread_t thread;
};

/* --- Creation -------------------------------------------------------------------------------------------------------- */

struct tfs_originals *tfs_originals_create(const struct tfs_model *model, struct tfs_sources *sources, struct tfs_sched *sched,
					   struct tfs_residency *residency, uint64_t memory)
{
	struct tfs_originals *o = calloc(1, sizeof *o);
	size_t n = 0;

	if (!o)
		return NULL;
	for (size_t s = 0; s < model->n_sets; s++)
		n += model->sets[s].n_sources;
	o->files = calloc(n + 1, sizeof *o->files);
	o->sets = calloc(model->n_sets + 1, sizeof *o->sets);
	o->by_node = reallocarray(NULL, model->n_nodes, sizeof *o->by_node);
	if (!o->files || !o->sets || !o->by_node) {
		free(o->files);
		free(o->sets);
		free(o->by_node);
		free(o);
		return NULL;
	}
	for (size_t i = 0; i < model->n_nodes; i++)
		o->by_node[i] = UINT32_MAX;
	for (uint32_t s = 0; s < model->n_sets; s++) {
		o->sets[s] = (struct set){ .first = o->n_files, .n = model->sets[s].n_sources };
		for (uint32_t i = 0; i < model->sets[s].n_sources; i++) {
			uint32_t node = model->sets[s].sources[i];
			struct original *f = &o->files[o->n_files];
			*f = (struct original){ .node = node, .set = s, .size = model->nodes[node].id.size };
			tfs_list_init(&f->opened);
			o->sets[s].total += f->size;
			if (o->by_node[node] == UINT32_MAX)
				o->by_node[node] = o->n_files;
			o->n_files++;
		}
	}
	o->model = model;
	o->sources = sources;
	o->sched = sched;
	o->residency = residency;
	o->memory = memory;
	o->look = LOOK_FIRST;
	o->stats.state = "idle";
	tfs_list_init(&o->opened);
	tfs_list_init(&o->segments);
	pthread_mutex_init(&o->lock, NULL);
	tfs_cond_init(&o->more);
	return o;
}

/* --- Segments -------------------------------------------------------------------------------------------------------- */

static struct tfs_extent extent_of(const void *of)
{
	return (struct tfs_extent){ ((const struct original *)of)->node, 0 };
}

static const struct tfs_content_ops file_ops = { .extent = extent_of };

static int segment_begin(struct tfs_transfer *t, struct tfs_error *err)
{
	(void)t;
	(void)err;
	return 0;
}

/* @f couldn't be read ahead. Once for each file, and its reader finds out for itself. Without the lock. */
static void note_failure(struct tfs_originals *o, struct original *f, const struct tfs_error *why)
{
	struct tfs_error err = *why;
	char line[TFS_ERROR_LINE];

	tfs_source_name(o->sources, f->node, &err);
	tfs_error_line(&err, line, sizeof line);
	pthread_mutex_lock(&o->lock);
	const bool first = !f->failed;
	f->failed = true;
	if (first) {
		o->stats.failed++;
		memcpy(o->stats.last_error, line, sizeof line);
	}
	pthread_mutex_unlock(&o->lock);
	if (first)
		tfs_log_error("reading ahead: %s", line);
}

/* Nothing of it is in flight any more. The lock is held. */
static void settle(struct tfs_originals *o, struct segment *s, int code)
{
	struct original *f = s->file;

	s->in_flight = false;
	f->in_flight -= s->len;
	o->queued -= s->len;
	if (code == -ECANCELED)
		f->looked = false; /* some of it wasn't brought in */
}

/* Begin no more reads of the set. The lock is held. */
static void cancel(struct tfs_originals *o, uint32_t set)
{
	tfs_list_each(struct segment, s, &o->segments, link)
		if (s->file->set == set && s->in_flight && tfs_sched_cancel(o->sched, &s->transfer))
			settle(o, s, -ECANCELED);
}

/* --- What comes next; the lock is held ------------------------------------------------------------------------------- */

static bool has_reader(const struct tfs_originals *o, const struct set *set)
{
	return o->all || set->unknown_reader || tfs_readers_any(&set->readers);
}

static bool is_over(const struct original *f)
{
	return f->failed || (f->looked && f->issued == f->size);
}

/* Nobody is left to read the set, so nothing of it is wanted. */
static void forget(struct tfs_originals *o, uint32_t set)
{
	o->sets[set].wanted = false;
	cancel(o, set);
	for (uint32_t i = 0; i < o->sets[set].n; i++)
		tfs_list_remove(&o->files[o->sets[set].first + i].opened);
	o->stats.state = "stopped: no process is left that opened one of the files";
}

/* A file of the set that isn't brought in, from the one that was opened last; NULL: none. */
static struct original *next_in(struct tfs_originals *o, const struct set *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		struct original *f = &o->files[set->first + (set->cursor + i) % set->n];
		if (!is_over(f) && f->size)
			return f;
	}
	return NULL;
}

static struct original *next_file(struct tfs_originals *o)
{
	struct original *f;

	while ((f = tfs_list_first(&o->opened, struct original, opened))) {
		if (is_over(f))
			tfs_list_remove(&f->opened);
		else if (!has_reader(o, &o->sets[f->set]))
			forget(o, f->set);
		else
			return f;
	}
	if (o->model->n_sets && o->sets[o->set].wanted)
		f = next_in(o, &o->sets[o->set]);
	if (f && !has_reader(o, &o->sets[o->set])) {
		forget(o, o->set);
		f = NULL;
	}
	for (uint32_t s = 0; s < o->model->n_sets && o->all && !f; s++)
		f = next_in(o, &o->sets[s]);
	return f;
}

/* --- What is held ------------------------------------------------------------------------------------------------------ */

/* The page cache keeps, or has lost, what these segments hold; they were taken out of the list. Without the lock. */
static void release(struct tfs_originals *o, struct tfs_list *segments, bool drop)
{
	tfs_list_each(struct segment, s, segments, link) {
		struct tfs_source *source;
		struct tfs_error err = { .offset = TFS_NO_OFFSET };
		if (drop && !tfs_source_pin(o->sources, s->file->node, &source, &err)) {
			/* What was mapped until now stays, so the last one drops all of the file. */
			tfs_source_drop(source, s->last ? 0 : s->at, s->last ? 0 : s->len);
			tfs_source_unpin(o->sources, source);
		}
		if (o->residency)
			tfs_residency_unreserve(o->residency, s->len);
		free(s);
	}
}

static void take_out(struct tfs_originals *o, struct segment *s, struct tfs_list *to)
{
	tfs_list_remove(&s->link);
	tfs_list_add(to, &s->link);
	o->stats.held -= s->len;
	s->last = !--s->file->held;
}

static void segment_end(struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	struct segment *s = (struct segment *)t;
	struct tfs_originals *o = s->o;
	const struct tfs_error unknown = { .code = code, .offset = TFS_NO_OFFSET };
	const bool failed = code && code != -ECANCELED;
	struct tfs_list gone;

	tfs_list_init(&gone);
	if (failed)
		note_failure(o, s->file, err ? err : &unknown);
	pthread_mutex_lock(&o->lock);
	settle(o, s, code);
	if (failed)
		take_out(o, s, &gone);
	pthread_cond_signal(&o->more);
	pthread_mutex_unlock(&o->lock);
	release(o, &gone, false);
}

static const struct tfs_transfer_ops segment_ops = { .begin = segment_begin, .end = segment_end };

/*
 * Give up at least @bytes, the oldest segments first: those that were passed or belong to other sets than that of the last open; or
 * @any. Returns how many. Without the lock.
 */
static uint64_t give_up(struct tfs_originals *o, uint64_t bytes, bool any)
{
	struct tfs_list gone;
	uint64_t given = 0;

	tfs_list_init(&gone);
	pthread_mutex_lock(&o->lock);
	tfs_list_each(struct segment, s, &o->segments, link) {
		if (given >= bytes)
			break;
		if (s->in_flight || !(any || s->passed || s->file->set != o->set))
			continue;
		given += s->len;
		s->file->given_up += s->len;
		take_out(o, s, &gone);
	}
	o->stats.given_up += given;
	pthread_mutex_unlock(&o->lock);
	release(o, &gone, true);
	return given;
}

uint64_t tfs_originals_give_up(void *o, uint64_t bytes)
{
	return give_up(o, bytes, true);
}

/* Is the whole file in the page cache? If it isn't, it is brought in from its beginning. */
static void look(struct tfs_originals *o, struct original *f)
{
	struct tfs_source *source;
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_list again;

	tfs_list_init(&again);
	pthread_mutex_unlock(&o->lock);
	int r = tfs_source_pin(o->sources, f->node, &source, &err);
	bool cached = !r && f->size && tfs_source_cached(source, 0, f->size);
	if (!r)
		tfs_source_unpin(o->sources, source);
	else
		note_failure(o, f, &err);
	pthread_mutex_lock(&o->lock);
	f->looked = true;
	f->issued = cached ? f->size : 0;
	f->given_up = 0;
	o->stats.cached += cached && !tfs_list_is_empty(&f->opened);
	tfs_list_each(struct segment, s, &o->segments, link)
		if (s->file == f && !cached)
			take_out(o, s, &again);
	pthread_mutex_unlock(&o->lock);
	release(o, &again, false);
	pthread_mutex_lock(&o->lock);
}

/* --- The window ------------------------------------------------------------------------------------------------------ */

/* A reader has reached @at: it has passed what comes before in that file, and what it had reached in others. */
static void note_reached(struct tfs_originals *o, const struct segment *at)
{
	tfs_list_each(struct segment, s, &o->segments, link)
		s->passed |= s->file == at->file ? s->at < at->at : s->reached;
	o->moved_at = tfs_now();
	o->look = LOOK_FIRST;
}

/* Where are the readers? The lock is held, but released while looking. */
static void look_for_readers(struct tfs_originals *o)
{
	struct {
		struct original *file;
		uint64_t at;
	} places[WINDOW_SEGMENTS];
	unsigned n = 0;

	tfs_list_each(struct segment, s, &o->segments, link)
		if (s->wired && !s->reached && !s->in_flight && n < WINDOW_SEGMENTS)
			places[n++] = (__typeof__(*places)){ s->file, s->at };
	for (unsigned i = 0; i < n; i++) {
		struct tfs_source *source;
		struct tfs_error err = { .offset = TFS_NO_OFFSET };
		uint64_t pages = 0;

		pthread_mutex_unlock(&o->lock);
		int r = tfs_source_pin(o->sources, places[i].file->node, &source, &err);
		if (!r) {
			r = tfs_file_cached(source->in.fd, places[i].at, 1, &pages);
			tfs_source_unpin(o->sources, source);
		}
		pthread_mutex_lock(&o->lock);
		o->blind |= r;
		tfs_list_each(struct segment, s, &o->segments, link)
			if (pages && s->file == places[i].file && s->at == places[i].at) {
				s->reached = true;
				note_reached(o, s);
			}
	}
}

static uint64_t bytes_ahead(const struct tfs_originals *o)
{
	uint64_t ahead = 0;

	tfs_list_each(const struct segment, s, &o->segments, link)
		ahead += s->passed ? 0 : s->len;
	return ahead;
}

/* --- The driver ------------------------------------------------------------------------------------------------------ */

/* Wait for the reader to go on. Returns for how long. */
static double wait_for_reader(struct tfs_originals *o)
{
	double seconds = o->look;

	o->stats.state = o->blind ? "waiting for the next open: the kernel doesn't tell where the reader is" :
				    "waiting for the reader: the model is larger than the memory";
	if (o->blind || tfs_now() - o->moved_at > LOOK_OVER)
		return INFINITY;
	o->look = o->look * LOOK_GROWS < LOOK_LAST ? o->look * LOOK_GROWS : LOOK_LAST;
	return seconds;
}

/* Queue the next segment of @f, [f->issued, f->issued + len), whose memory is reserved. False: out of memory, or stopping. */
static bool queue(struct tfs_originals *o, struct original *f, uint64_t len, bool wired)
{
	struct segment *s = calloc(1, sizeof *s);
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), left_out = wired && len > page ? page : 0;

	if (!s)
		return false;
	*s = (struct segment){
		.o = o,
		.file = f,
		.at = f->issued,
		.len = len,
		.in_flight = true,
		.wired = left_out,
		.transfer = { .ops = &segment_ops,
			      .content = { .ops = &file_ops, .of = f },
			      .at = f->issued + left_out,
			      .len = len - left_out,
			      .first = TFS_CHUNK - left_out, /* so that all others begin at huge pages */
			      .step = TFS_CHUNK,
			      .priority = TFS_PREFETCH,
			      .fill = true },
	};
	if (tfs_sched_add(o->sched, &s->transfer)) {
		free(s);
		return false;
	}
	tfs_list_add(&o->segments, &s->link);
	f->issued += len;
	f->in_flight += len;
	f->held++;
	o->queued += len;
	o->stats.held += len;
	return true;
}

/*
 * Do one thing, with the lock held, though it is released in between. @left: memory that is available. Returns for how many seconds
 * there is nothing to do; INFINITY: until something happens.
 */
static double step(struct tfs_originals *o, uint64_t left)
{
	struct original *f = next_file(o);
	if (!f)
		return INFINITY;
	if (!f->looked && f->in_flight)
		return INFINITY;
	if (!f->looked) {
		look(o, f);
		return 0;
	}
	/* Enough for every read in flight until a segment is done, and little for a file that is opened meanwhile to wait for. */
	const uint64_t in_flight = tfs_sched_depth(o->sched) * TFS_CHUNK, most = in_flight < SEGMENT_MAX ? in_flight : SEGMENT_MAX;
	if (o->queued >= in_flight + most)
		return INFINITY;

	struct tfs_residency_stats res = { .budget = o->memory };
	if (o->residency)
		tfs_residency_stats(o->residency, &res);
	if (o->saving && tfs_now() >= o->saving_until)
		o->saving = 0;
	uint64_t limit = (res.budget < left / 2 ? res.budget : left / 2) >> o->saving;
	uint64_t len = limit / SEGMENT_SHARE / TFS_CHUNK * TFS_CHUNK;
	len = len < TFS_CHUNK ? TFS_CHUNK : len < most ? len : most;
	if (len > f->size - f->issued)
		len = f->size - f->issued;
	bool window = o->sets[f->set].total > limit;
	o->stats.window = window ? limit / WINDOW_SHARE : 0;
	if (window)
		look_for_readers(o);
	if (window && bytes_ahead(o) + len > limit / WINDOW_SHARE)
		return wait_for_reader(o);
	uint64_t excess = o->stats.held + len > limit ? o->stats.held + len - limit : 0;

	pthread_mutex_unlock(&o->lock);
	bool room = !excess || give_up(o, excess, false);
	if (room && o->residency && !tfs_residency_reserve_some(o->residency, len, len, TFS_BACKGROUND))
		room = give_up(o, len, false) && tfs_residency_reserve_some(o->residency, len, len, TFS_BACKGROUND);
	pthread_mutex_lock(&o->lock);
	if (!room) {
		o->stats.state = "waiting: everything in the memory budget is in use";
		return LOOK_LAST;
	}
	o->stats.state = window ? "reading ahead of the reader, in a window: the model is larger than the memory" :
				  "reading ahead, into the page cache";
	if (!queue(o, f, len, window && !o->blind)) {
		f->failed = true;
		pthread_mutex_unlock(&o->lock);
		if (o->residency)
			tfs_residency_unreserve(o->residency, len);
		pthread_mutex_lock(&o->lock);
	}
	return 0;
}

static void *drive(void *arg)
{
	struct tfs_originals *o = arg;

	for (;;) {
		uint64_t left = tfs_memory_left();
		pthread_mutex_lock(&o->lock);
		double seconds = o->stopping ? INFINITY : step(o, left);
		if (!o->stopping && isinf(seconds))
			pthread_cond_wait(&o->more, &o->lock);
		else if (!o->stopping && seconds > 0)
			tfs_cond_wait_until(&o->more, &o->lock, tfs_now() + seconds);
		bool stop = o->stopping;
		pthread_mutex_unlock(&o->lock);
		if (stop)
			return NULL;
	}
}

/* The lock is held. */
static void wake(struct tfs_originals *o)
{
	if (!o->running && !o->stopping)
		o->running = !tfs_thread_start(&o->thread, "tfs-ahead", drive, o);
	pthread_cond_signal(&o->more);
}

void tfs_originals_opened(struct tfs_originals *o, uint32_t node, pid_t tid)
{
	if (o->by_node[node] == UINT32_MAX)
		return;
	struct original *f = &o->files[o->by_node[node]];
	struct set *set = &o->sets[f->set];
	pid_t pid = tid ? tfs_reader_of(tid) : 0;

	pthread_mutex_lock(&o->lock);
	o->stats.opens++;
	if (pid)
		tfs_readers_add(&set->readers, pid);
	set->unknown_reader |= !tid;
	set->wanted = true;
	set->cursor = (uint32_t)(f - o->files) - set->first;
	o->set = f->set;
	o->moved_at = tfs_now();
	o->look = LOOK_FIRST;
	if (is_over(f) && !f->in_flight)
		f->looked = false; /* it may be gone again */
	if (!is_over(f) && tfs_list_is_empty(&f->opened))
		tfs_list_add(&o->opened, &f->opened);
	if (o->blind) /* then this is all that we know of where readers are */
		tfs_list_each(struct segment, s, &o->segments, link)
			s->passed |= s->file != f;
	wake(o);
	pthread_mutex_unlock(&o->lock);
}

void tfs_originals_all(struct tfs_originals *o, bool all)
{
	pthread_mutex_lock(&o->lock);
	o->all = all;
	o->stats.state = "idle";
	for (uint32_t s = 0; s < o->model->n_sets; s++) {
		o->sets[s].wanted = all;
		if (!all)
			cancel(o, s);
	}
	wake(o);
	pthread_mutex_unlock(&o->lock);
}

void tfs_originals_save(struct tfs_originals *o, double seconds)
{
	pthread_mutex_lock(&o->lock);
	o->saving += o->saving < SAVING_MAX;
	o->saving_until = tfs_now() + seconds;
	pthread_mutex_unlock(&o->lock);
}

/* --- The end --------------------------------------------------------------------------------------------------------- */

void tfs_originals_stop(struct tfs_originals *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	bool running = o->running && !o->stopping;
	o->stopping = true;
	pthread_cond_signal(&o->more);
	pthread_mutex_unlock(&o->lock);
	if (running)
		pthread_join(o->thread, NULL);
}

void tfs_originals_destroy(struct tfs_originals *o)
{
	if (!o)
		return;
	tfs_originals_stop(o);
	tfs_list_each(struct segment, s, &o->segments, link)
		free(s);
	pthread_cond_destroy(&o->more);
	pthread_mutex_destroy(&o->lock);
	free(o->by_node);
	free(o->sets);
	free(o->files);
	free(o);
}

/* The end of what is wanted, if it has come to that; NULL: not yet. The lock is held. */
static const char *ended_as(const struct tfs_originals *o)
{
	bool any = false, failed = false, given_up = false;

	for (uint32_t i = 0; i < o->n_files; i++) {
		const struct original *f = &o->files[i];
		if (!o->sets[f->set].wanted || !f->size)
			continue;
		if (!is_over(f) || f->in_flight)
			return NULL;
		any = true;
		failed |= f->failed;
		given_up |= f->given_up;
	}
	return !any	? NULL :
	       failed	? "failed: not all of it could be read, see last_error" :
	       given_up ? "complete: all of it was brought into the page cache, and some given up again, as memory was wanted" :
			  "complete: all of it was brought into the page cache";
}

void tfs_originals_stats(struct tfs_originals *o, struct tfs_originals_stats *ret_stats)
{
	pthread_mutex_lock(&o->lock);
	*ret_stats = o->stats;
	for (uint32_t i = 0; i < o->n_files; i++) {
		const struct original *f = &o->files[i];
		if (!o->sets[f->set].wanted)
			continue;
		ret_stats->total += f->size;
		ret_stats->done += f->looked && !f->failed ? f->issued - f->in_flight : 0;
	}
	const char *end = ended_as(o);
	if (end)
		ret_stats->state = end;
	pthread_mutex_unlock(&o->lock);
}
