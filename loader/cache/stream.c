/* SPDX-License-Identifier: MIT */
#include "cache/stream.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/container.h"
#include "base/log.h"
#include "cache/report.h"

enum slot_state { SLOT_EMPTY, SLOT_READING, SLOT_READY };

/* A virtual file, as slots know it. */
struct file {
	struct tfs_file_id id; /* if it belongs to one tensor */
	struct tfs_layout layout;
};

static bool same_file(const struct file *a, const struct file *b)
{
	return a->layout.content.of == b->layout.content.of && a->layout.view == b->layout.view;
}

/* A buffer with a range of bytes of one file. */
struct tfs_slot {
	struct tfs_transfer transfer; /* READING */
	struct tfs_streams *streams;
	enum slot_state state;
	struct file file;
	uint64_t start; /* in the file */
	size_t len;
	unsigned users; /* reads that wait for it or use it for their answer */
	bool fresh;	/* read ahead, and not requested yet */
	bool spent;	/* requested up to its end */
	int failure;	/* result of the last filling; only while it has users */
	uint64_t used_at;
	uint8_t *buf;	     /* SLOT_BUFFER bytes, or NULL */
	bool charged;	     /* buf is in the memory budget; while READING the worker's */
	const uint8_t *data; /* READY: the first byte, somewhere in buf */
};

#define SLOT_BUFFER (TFS_CHUNK + 2 * TFS_IO_ALIGN)
/* Enough for a few sequential readers to be a window ahead. Linear searches below rely on there being few. */
enum { SLOTS_MIN = 8, SLOTS_MAX = 64 };

struct tfs_stream {
	struct tfs_streams *streams;
	struct file file;
	struct file next; /* readahead continues there; a size of 0: nowhere */
	bool attached;	  /* holds the file, which is loading or resident */
	/* Guarded by the lock of the streams. */
	unsigned refs;	   /* the open, and every read: an answer may be followed by the close before it is released */
	uint64_t expected; /* offset of the next sequential read */
	unsigned window;   /* slots to read ahead */
};

struct tfs_streams {
	const struct tfs_model *model;
	struct tfs_sched *sched;
	struct tfs_residency *residency;
	bool background;
	uint32_t *nodes; /* each its own number, for contents to refer to; NULL: the model isn't remote */

	pthread_mutex_t lock; /* guards all below; taken before the residency's and the scheduler's locks */
	struct tfs_slot *slots;
	unsigned n_slots;
	uint64_t clock;		 /* counts uses, for LRU */
	struct tfs_list waiting; /* reads whose slots are being filled */
	struct tfs_list starved; /* reads that found no slot, first come first served */
	bool stopped;
	struct tfs_stream_stats stats;
};

static const struct tfs_transfer_ops slot_ops;

/* Bytes of the file that one slot holds in sequential reads: at most those made from TFS_CHUNK bytes of the source. */
static size_t chunk_of(const struct tfs_layout *l)
{
	return l->in > l->out ? TFS_CHUNK / 2 : TFS_CHUNK;
}

/* --- Slots; the lock is held --------------------------------------------------------------------------------------- */

/* The slot that has the byte at @at, and as many as possible of those after it: slots may overlap. */
static struct tfs_slot *slot_find(struct tfs_streams *s, const struct file *f, uint64_t at)
{
	struct tfs_slot *best = NULL;
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct tfs_slot *sl = &s->slots[i];
		if (sl->state != SLOT_EMPTY && !sl->failure && same_file(&sl->file, f) && at >= sl->start &&
		    at - sl->start < sl->len && (!best || sl->start + sl->len > best->start + best->len))
			best = sl;
	}
	return best;
}

/*
 * How little is lost by filling a slot: least if the kernel has all of it, then if it needs memory that it hasn't touched yet, then
 * if it may still be requested.
 */
static unsigned loss(const struct tfs_slot *sl)
{
	if (sl->state == SLOT_READY)
		return sl->spent ? 0 : 2;
	return sl->buf ? 0 : 1;
}

/* Start filling a slot with [start, end) of @f, a little more if conversion needs whole blocks. NULL: none is free. */
static struct tfs_slot *slot_fill(struct tfs_streams *s, const struct file *f, uint64_t start, uint64_t end,
				  enum tfs_priority priority)
{
	const struct tfs_layout *l = &f->layout;
	struct tfs_slot *sl = NULL;
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct tfs_slot *c = &s->slots[i];
		/* Readahead doesn't replace readahead that is still waiting for its reader. */
		if (c->state == SLOT_READING || c->users || (priority == TFS_PREFETCH && c->state == SLOT_READY && c->fresh))
			continue;
		if (!sl || loss(c) < loss(sl) || (loss(c) == loss(sl) && c->used_at < sl->used_at))
			sl = c;
	}
	if (!sl)
		return NULL;
	if (!sl->buf) {
		void *b = tfs_buffer_create(SLOT_BUFFER);
		if (!b)
			return NULL;
		sl->buf = b;
	}
	uint64_t from, len;
	tfs_layout_source(l, &start, &end, &from, &len);
	sl->file = *f;
	sl->start = start;
	sl->len = end - start;
	sl->failure = 0;
	sl->fresh = priority == TFS_PREFETCH;
	sl->spent = false;
	sl->used_at = ++s->clock;
	sl->transfer = (struct tfs_transfer){
		.ops = &slot_ops,
		.content = l->content,
		.at = from,
		.len = len,
		.first = len,
		.step = len,
		.priority = s->background ? TFS_BACKGROUND : priority,
		.buf = l->convert || start < l->prefix ? NULL : sl->buf,
	};
	int r = tfs_sched_add(s->sched, &sl->transfer);
	if (r) {
		s->stopped |= r == -ECANCELED; /* we are next */
		sl->state = SLOT_EMPTY;
		return NULL;
	}
	sl->state = SLOT_READING;
	return sl;
}

static void drop_slots(struct tfs_read *rd)
{
	for (unsigned i = 0; i < rd->n_iov; i++)
		if (!--rd->slots[i]->users && rd->slots[i]->failure)
			rd->slots[i]->state = SLOT_EMPTY;
	rd->n_iov = 0;
}

static bool is_sequential(const struct tfs_stream *st, const struct tfs_read *rd)
{
	/* The kernel's readahead sends several reads at once, and they may overtake each other. */
	uint64_t slack = 2 * TFS_STREAM_MAX_READ;
	return rd->offset <= st->expected + slack && rd->offset + rd->len + slack >= st->expected;
}

/* Will a slot become free later? Then its user serves the starved. */
static bool any_busy(const struct tfs_streams *s)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].users || s->slots[i].state == SLOT_READING)
			return true;
	return false;
}

/* Get slots for the whole read, which has none yet. -EAGAIN: not enough at the moment. */
static int take_slots(struct tfs_streams *s, struct tfs_read *rd)
{
	const struct file *f = &rd->stream->file;
	const struct tfs_layout *l = &f->layout;
	uint64_t end = rd->offset + rd->len;
	size_t chunk = chunk_of(l), block = is_sequential(rd->stream, rd) ? chunk : TFS_STREAM_RANDOM;

	for (uint64_t at = rd->offset; at < end;) {
		assert(rd->n_iov < TFS_STREAM_PIECES);
		/* Slots of earlier reads end anywhere. If the read is about to have too many pieces, one new slot takes the rest. */
		bool last = rd->n_iov == TFS_STREAM_PIECES - 1;
		struct tfs_slot *sl = last ? NULL : slot_find(s, f, at);
		if (!sl) {
			if (rd->n_iov >= TFS_STREAM_PIECES - 2)
				block = TFS_STREAM_RANDOM; /* chunks may need two */
			uint64_t from = at / block * block;
			uint64_t upto = from + block;
			/* One slot for the rest of a random read. A chunk is as long as a slot may be, and it must not grow. */
			if (upto < end && block < chunk)
				upto = end;
			if (upto > l->size)
				upto = l->size;
			sl = slot_fill(s, f, from, upto, TFS_DEMAND);
			if (!sl) {
				drop_slots(rd);
				return s->stopped ? -ECANCELED : any_busy(s) ? -EAGAIN : -ENOMEM;
			}
		} else if (sl->state == SLOT_READING && !s->background) {
			tfs_sched_promote(s->sched, &sl->transfer);
		}
		sl->users++;
		sl->fresh = false;
		sl->used_at = ++s->clock;
		rd->slots[rd->n_iov] = sl;
		uint64_t have = sl->start + sl->len;
		uint64_t n = (have < end ? have : end) - at;
		sl->spent |= have <= end;
		rd->iov[rd->n_iov++].iov_len = n;
		at += n;
	}
	return 0;
}

/* TFS_QUEUED while a slot is being filled; else the answer, with iov complete. */
static int answer(struct tfs_read *rd)
{
	uint64_t at = rd->offset;
	if (!rd->n_iov)
		return rd->failure;
	for (unsigned i = 0; i < rd->n_iov; i++) {
		const struct tfs_slot *sl = rd->slots[i];
		if (sl->state == SLOT_READING)
			return TFS_QUEUED;
		if (sl->failure)
			return sl->failure;
		rd->iov[i].iov_base = (void *)(sl->data + (at - sl->start));
		at += rd->iov[i].iov_len;
	}
	return 0;
}

/* Move reads that have their answer from the waiting list to @out; failed ones release their slots. */
static void collect(struct tfs_streams *s, struct tfs_list *out, int *codes, unsigned *n, unsigned max)
{
	tfs_list_each(struct tfs_read, rd, &s->waiting, link) {
		if (*n == max)
			break;
		int r = answer(rd);
		if (r == TFS_QUEUED)
			continue;
		tfs_list_remove(&rd->link);
		if (r)
			drop_slots(rd);
		codes[(*n)++] = r;
		tfs_list_add(out, &rd->link);
	}
}

/* Starved reads get the slots that became free. */
static void feed(struct tfs_streams *s)
{
	tfs_list_each(struct tfs_read, rd, &s->starved, link) {
		rd->failure = s->stopped ? -ECANCELED : take_slots(s, rd);
		if (rd->failure == -EAGAIN)
			return;
		tfs_list_remove(&rd->link);
		tfs_list_add(&s->waiting, &rd->link);
	}
}

static void stream_unref(struct tfs_stream *st)
{
	struct tfs_streams *s = st->streams;

	pthread_mutex_lock(&s->lock);
	bool last = !--st->refs;
	if (last)
		s->stats.open--;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	if (st->attached)
		tfs_residency_drop(s->residency, st->file.id);
	free(st);
}

/* The answer of a read that had to wait. One that failed has nothing to release. */
static void answered(struct tfs_read *rd, int result)
{
	struct tfs_stream *st = rd->stream;
	rd->done(rd, result);
	if (result)
		stream_unref(st);
}

/* A slot changed: answer the reads that can be answered. Takes and releases the lock. */
static void wake(struct tfs_streams *s)
{
	enum { BATCH = 32 };
	int codes[BATCH];
	unsigned n;

	do {
		struct tfs_list out;
		tfs_list_init(&out);
		n = 0;
		pthread_mutex_lock(&s->lock);
		feed(s);
		collect(s, &out, codes, &n, BATCH);
		pthread_mutex_unlock(&s->lock);
		unsigned i = 0;
		tfs_list_each(struct tfs_read, rd, &out, link)
			answered(rd, codes[i++]);
	} while (n);
}

static int slot_begin(struct tfs_transfer *t, struct tfs_error *err)
{
	struct tfs_slot *sl = (struct tfs_slot *)t;
	struct tfs_residency *r = sl->streams->residency;

	(void)err;
	/* If everything in the budget is in use, streaming continues all the same: it is the last resort. */
	if (r && !sl->charged)
		sl->charged = !tfs_residency_reserve(r, SLOT_BUFFER);
	return 0;
}

static int slot_write(struct tfs_transfer *t, uint64_t at, const uint8_t *data, size_t len, void *scratch, struct tfs_error *err)
{
	struct tfs_slot *sl = (struct tfs_slot *)t;
	(void)err;
	(void)scratch;
	assert(!at && len == t->len);
	const struct tfs_layout l = sl->file.layout;
	size_t prefix = sl->start < l.prefix ? l.prefix - sl->start : 0;
	if (data >= sl->buf && data < sl->buf + SLOT_BUFFER) { /* read straight into the slot */
		sl->data = data;
		return 0;
	}
	if (prefix) {
		uint8_t all[TFS_VIEW_PREFIX_MAX];
		tfs_layout_make_prefix(&l, all);
		memcpy(sl->buf, all + sl->start, prefix);
	}
	tfs_layout_convert(&l, data, len, sl->buf + prefix);
	sl->data = sl->buf;
	return 0;
}

/* Log why a slot can't be filled; the same line in @line. */
static void report(struct tfs_streams *s, const struct tfs_slot *sl, int code, const struct tfs_error *what,
		   char line[TFS_ERROR_LINE])
{
	const struct tfs_tensor *tensor = sl->file.layout.tensor;
	const uint32_t *node = sl->file.layout.content.of;
	struct tfs_error err = what ? *what : (struct tfs_error){ .offset = TFS_NO_OFFSET };

	if (tensor) {
		tfs_report(s->model, tensor, sl->transfer.at, code, what, line);
		return;
	}
	/* A file as it is, or the files of a set, which are named already. */
	if (s->nodes && node >= s->nodes && node < s->nodes + s->model->n_nodes)
		tfs_model_error_in(s->model, *node, &err);
	if (!err.what[0])
		tfs_error_set(&err, code, err.offset, "%s", strerror(-code));
	tfs_log_error("%s", tfs_error_line(&err, line, TFS_ERROR_LINE));
}

static void slot_end(struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	struct tfs_slot *sl = (struct tfs_slot *)t;
	struct tfs_streams *s = sl->streams;
	char line[TFS_ERROR_LINE] = "";

	pthread_mutex_lock(&s->lock);
	bool unasked = !sl->users; /* not reported: the read that gets there tries again, and then gets the error */
	if (code && unasked)
		sl->state = SLOT_EMPTY;
	pthread_mutex_unlock(&s->lock);
	if (code && unasked) {
		wake(s);
		return;
	}
	if (code && code != -ECANCELED)
		report(s, sl, code, err, line);
	pthread_mutex_lock(&s->lock);
	sl->state = SLOT_READY;
	sl->failure = code;
	if (line[0]) {
		memcpy(s->stats.last_error, line, sizeof line);
		s->stats.failures++;
	}
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

static const struct tfs_transfer_ops slot_ops = { .begin = slot_begin, .write = slot_write, .end = slot_end };

/* --- Reads --------------------------------------------------------------------------------------------------------- */

static void read_ahead(struct tfs_streams *s, struct tfs_stream *st, struct tfs_read *rd)
{
	const struct file *f = &st->file;
	uint64_t end = rd->offset + rd->len;
	size_t chunk = chunk_of(&f->layout);

	if (!is_sequential(st, rd)) {
		st->window = 0;
		st->expected = end;
		return;
	}
	if (end > st->expected)
		st->expected = end;
	/* Doubles with each slot that is entered; all streams together leave half of the slots to demand. */
	unsigned share = s->n_slots / 2 / (s->stats.open ? s->stats.open : 1);
	/* More than the reads that storage gets faster by would just use memory. */
	unsigned depth = tfs_sched_depth(s->sched);
	if (share > depth)
		share = depth;
	if (end / chunk != rd->offset / chunk || !st->window)
		st->window = st->window ? st->window * 2 : 1;
	if (st->window > (share ? share : 1))
		st->window = share ? share : 1;
	uint64_t from = ((end - 1) / chunk + 1) * chunk;
	for (unsigned i = 0; i < st->window; i++, from += chunk) {
		if (from >= f->layout.size) {
			if (f == &st->next || !st->next.layout.size)
				break;
			f = &st->next;
			chunk = chunk_of(&f->layout);
			from = 0;
		}
		uint64_t rest = f->layout.size - from;
		if (slot_find(s, f, from))
			continue;
		if (!slot_fill(s, f, from, from + (rest < chunk ? rest : chunk), TFS_PREFETCH))
			break;
		s->stats.readahead++;
	}
}

/* Read with slots. Like tfs_stream_read(). */
static int read_slots(struct tfs_streams *s, struct tfs_read *rd)
{
	int r;

	pthread_mutex_lock(&s->lock);
	/* First come, first served. */
	r = s->stopped ? -ECANCELED : !tfs_list_is_empty(&s->starved) ? -EAGAIN : take_slots(s, rd);
	if (r == -EAGAIN) {
		tfs_list_add(&s->starved, &rd->link);
		r = TFS_QUEUED;
	} else if (!r) {
		r = answer(rd);
		if (r == TFS_QUEUED)
			tfs_list_add(&s->waiting, &rd->link);
		else if (r)
			drop_slots(rd);
	}
	s->stats.waits += r == TFS_QUEUED;
	if (r >= 0)
		read_ahead(s, rd->stream, rd);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* The backing file has the range, or (@result < 0) never will. */
static int finish_attached(struct tfs_read *rd, int result)
{
	struct tfs_streams *s = rd->stream->streams;
	if (!result) {
		rd->fd = tfs_residency_open_range(s->residency, &rd->range);
		if (rd->fd >= 0)
			return 0;
		rd->fd = -1;
		result = -ENOENT;
	}
	/*
	 * The reason why the load ended needn't affect this read: no room, or another part of the file is damaged. It finds out for
	 * itself.
	 */
	return result == -ECANCELED ? result : read_slots(s, rd);
}

static void range_done(struct tfs_range_wait *w, int result)
{
	struct tfs_read *rd = tfs_container_of(w, struct tfs_read, range);
	int r = finish_attached(rd, result);
	if (r != TFS_QUEUED)
		answered(rd, r);
}

int tfs_stream_read(struct tfs_stream *st, struct tfs_read *rd)
{
	struct tfs_streams *s = st->streams;
	uint64_t size = st->file.layout.size;

	if (!rd->len || rd->len > TFS_STREAM_MAX_READ || rd->offset > size || rd->len > size - rd->offset)
		return -EINVAL;
	rd->stream = st;
	rd->fd = -1;
	rd->n_iov = 0;

	pthread_mutex_lock(&s->lock);
	st->refs++;
	s->stats.reads++;
	s->stats.bytes += rd->len;
	pthread_mutex_unlock(&s->lock);
	int r;
	if (st->attached) {
		rd->range = (struct tfs_range_wait){ .done = range_done, .at = rd->offset, .len = rd->len };
		r = tfs_residency_range(s->residency, st->file.id, &rd->range);
		if (r != TFS_QUEUED)
			r = finish_attached(rd, r);
	} else {
		r = read_slots(s, rd);
	}
	/* Once it is queued, it may be answered and released, and the stream closed and freed. */
	if (r < 0)
		stream_unref(st);
	return r;
}

void tfs_read_release(struct tfs_read *rd)
{
	struct tfs_stream *st = rd->stream;
	struct tfs_streams *s = st->streams;

	if (rd->fd >= 0) {
		close(rd->fd);
	} else {
		pthread_mutex_lock(&s->lock);
		drop_slots(rd);
		bool starved = !tfs_list_is_empty(&s->starved);
		pthread_mutex_unlock(&s->lock);
		if (starved)
			wake(s);
	}
	stream_unref(st);
}

bool tfs_streams_trim(struct tfs_streams *s)
{
	bool left = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct tfs_slot *sl = &s->slots[i];
		if (!sl->buf)
			continue;
		if (s->stats.open || sl->state == SLOT_READING || sl->users) {
			left = true;
			continue;
		}
		tfs_buffer_destroy(sl->buf, SLOT_BUFFER);
		if (sl->charged)
			tfs_residency_unreserve(s->residency, SLOT_BUFFER);
		sl->charged = false;
		sl->buf = NULL;
		sl->state = SLOT_EMPTY;
	}
	pthread_mutex_unlock(&s->lock);
	return left;
}

/* --- Beginning and end --------------------------------------------------------------------------------------------- */

struct tfs_stream *tfs_stream_open_layout(struct tfs_streams *s, const struct tfs_layout *layout)
{
	struct tfs_stream *st = calloc(1, sizeof *st);
	if (!st)
		return NULL;
	st->streams = s;
	st->file.layout = *layout;
	st->refs = 1;
	pthread_mutex_lock(&s->lock);
	s->stats.open++;
	pthread_mutex_unlock(&s->lock);
	return st;
}

struct tfs_stream *tfs_stream_open(struct tfs_streams *s, struct tfs_file_id id)
{
	struct tfs_layout layout = tfs_file_layout(s->model, id);
	struct tfs_stream *st = tfs_stream_open_layout(s, &layout);
	if (st) {
		st->file.id = id;
		st->attached = s->residency && !tfs_residency_attach(s->residency, id);
	}
	return st;
}

struct tfs_stream *tfs_stream_open_node(struct tfs_streams *s, uint32_t node)
{
	struct tfs_layout layout = tfs_whole_file_layout(s->model, &s->nodes[node]);

	return tfs_stream_open_layout(s, &layout);
}

void tfs_stream_precede(struct tfs_stream *st, struct tfs_file_id next)
{
	st->next = (struct file){ .id = next, .layout = tfs_file_layout(st->streams->model, next) };
}

void tfs_stream_close(struct tfs_stream *st)
{
	stream_unref(st);
}

struct tfs_streams *tfs_streams_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency,
				       uint64_t memory, bool background)
{
	struct tfs_streams *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	uint64_t n = memory / TFS_CHUNK;
	s->n_slots = n < SLOTS_MIN ? SLOTS_MIN : n > SLOTS_MAX ? SLOTS_MAX : n;
	s->slots = calloc(s->n_slots, sizeof *s->slots);
	if (tfs_model_is_remote(model))
		s->nodes = calloc(model->n_nodes, sizeof *s->nodes);
	if (!s->slots || (tfs_model_is_remote(model) && !s->nodes)) {
		free(s->slots);
		free(s);
		return NULL;
	}
	for (uint32_t i = 0; s->nodes && i < model->n_nodes; i++)
		s->nodes[i] = i;
	for (unsigned i = 0; i < s->n_slots; i++)
		s->slots[i].streams = s;
	s->model = model;
	s->sched = sched;
	s->residency = residency;
	s->background = background;
	tfs_list_init(&s->waiting);
	tfs_list_init(&s->starved);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void tfs_streams_stop(struct tfs_streams *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopped = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

void tfs_streams_destroy(struct tfs_streams *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n_slots; i++)
		tfs_buffer_destroy(s->slots[i].buf, SLOT_BUFFER);
	pthread_mutex_destroy(&s->lock);
	free(s->slots);
	free(s->nodes);
	free(s);
}

void tfs_streams_stats(struct tfs_streams *s, struct tfs_stream_stats *ret_stats)
{
	pthread_mutex_lock(&s->lock);
	*ret_stats = s->stats;
	pthread_mutex_unlock(&s->lock);
}
