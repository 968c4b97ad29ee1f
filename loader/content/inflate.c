/* SPDX-License-Identifier: MIT */
#include "content/inflate.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#include "content/extract.h"

/*
 * Inflaters kept for sequential readers: as many as there can be reading threads, at about 50 KB each, most of it the window of the
 * last 32 KiB.
 */
enum { KEPT = 16 };

/*
 * Total number of marks, 10 MB. A stream has one every 4 MiB or, if it is longer, MARKS_EACH of them, evenly spread: each random
 * read inflates at most that much.
 */
enum { MARKS = 256, MARKS_EACH = 64 };
#define MARK_STEP ((uint64_t)4 << 20)

struct tfs_inflater {
	struct tfs_inflaters *pool;
	const struct tfs_tensor *tensor; /* any of the stream's */
	uint64_t out;			 /* decoded bytes so far */
	uint64_t in;			 /* stored bytes consumed for these */
	uint64_t next_mark;		 /* decoded byte at or after which one is set */
	uint32_t crc;			 /* of the decoded bytes */
	bool broken;
	z_stream z;
};

struct tfs_inflaters {
	_Atomic bool stopped;
	pthread_mutex_t lock;
	/* Guarded by the lock; most recently returned or used first, then NULL. */
	struct tfs_inflater *kept[KEPT], *marks[MARKS];
};

struct tfs_inflaters *tfs_inflaters_create(void)
{
	struct tfs_inflaters *pool = calloc(1, sizeof *pool);

	if (pool)
		pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

static void destroy(struct tfs_inflater *f)
{
	if (!f)
		return;
	inflateEnd(&f->z);
	free(f);
}

void tfs_inflaters_stop(struct tfs_inflaters *pool)
{
	pool->stopped = true;
}

void tfs_inflaters_destroy(struct tfs_inflaters *pool)
{
	if (!pool)
		return;
	for (int i = 0; i < KEPT; i++)
		destroy(pool->kept[i]);
	for (int i = 0; i < MARKS; i++)
		destroy(pool->marks[i]);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static uint64_t mark_step(const struct tfs_tensor *t)
{
	uint64_t step = t->encoding->unpacked / MARKS_EACH;

	return step > MARK_STEP ? step : MARK_STEP;
}

/* A copy of @f in its current state, to continue from independently. NULL: out of memory. */
static struct tfs_inflater *copy(struct tfs_inflater *f)
{
	struct tfs_inflater *c = malloc(sizeof *c);

	if (!c)
		return NULL;
	*c = *f;
	if (inflateCopy(&c->z, &f->z) != Z_OK) {
		free(c);
		return NULL;
	}
	c->z.avail_in = 0; /* will be read again: it is in someone else's scratch */
	return c;
}

static struct tfs_inflater *create(struct tfs_inflaters *pool, const struct tfs_tensor *t)
{
	struct tfs_inflater *f = calloc(1, sizeof *f);

	/* Negative: a raw stream, without a zlib header. */
	if (!f || inflateInit2(&f->z, -MAX_WBITS) != Z_OK) {
		free(f);
		return NULL;
	}
	f->pool = pool;
	f->tensor = t;
	f->next_mark = mark_step(t);
	return f;
}

/* Among @n in @list, the one of the tensor's stream that is closest before decoded byte @at, or at it; or -1. */
static int find_nearest(struct tfs_inflater *const *list, int n, const struct tfs_tensor *t, uint64_t at)
{
	int best = -1;

	for (int i = 0; i < n && list[i]; i++)
		if (tfs_same_stream(list[i]->tensor, t) && list[i]->out <= at && (best < 0 || list[i]->out > list[best]->out))
			best = i;
	return best;
}

/* Move @f to the front of @list of @n; returns the one that no longer fits, or NULL. */
static struct tfs_inflater *put_first(struct tfs_inflater **list, int n, struct tfs_inflater *f)
{
	struct tfs_inflater *before = f;

	for (int i = 0; i < n; i++) {
		struct tfs_inflater *here = list[i];

		list[i] = before;
		if (!here || here == f)
			return NULL;
		before = here;
	}
	return before;
}

struct tfs_inflater *tfs_inflater_take(struct tfs_inflaters *pool, const struct tfs_tensor *t, uint64_t at)
{
	struct tfs_inflater *f = NULL;

	pthread_mutex_lock(&pool->lock);
	int k = find_nearest(pool->kept, KEPT, t, at), m = find_nearest(pool->marks, MARKS, t, at);
	if (m >= 0 && (k < 0 || pool->marks[m]->out > pool->kept[k]->out)) {
		f = copy(pool->marks[m]);
		put_first(pool->marks, MARKS, pool->marks[m]);
	}
	if (!f && k >= 0) {
		f = pool->kept[k];
		for (; k < KEPT - 1; k++)
			pool->kept[k] = pool->kept[k + 1];
		pool->kept[KEPT - 1] = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!f)
		f = create(pool, t);
	if (f)
		f->tensor = t;
	return f;
}

void tfs_inflater_give_back(struct tfs_inflaters *pool, struct tfs_inflater *f)
{
	struct tfs_inflater *out = f;

	/* What is left in the scratch must be read again: the scratch belongs to its next user. */
	f->z.avail_in = 0;
	if (!f->broken) {
		pthread_mutex_lock(&pool->lock);
		out = put_first(pool->kept, KEPT, f);
		pthread_mutex_unlock(&pool->lock);
	}
	destroy(out);
}

/* @f has come far enough for another mark. Without memory for it, reading is just slower. */
static void set_mark(struct tfs_inflater *f)
{
	struct tfs_inflaters *pool = f->pool;
	uint64_t step = mark_step(f->tensor);
	struct tfs_inflater *m = NULL;

	f->next_mark = (f->out / step + 1) * step;
	pthread_mutex_lock(&pool->lock);
	int k = find_nearest(pool->marks, MARKS, f->tensor, f->out);
	if (k < 0 || pool->marks[k]->out / step != f->out / step)
		m = copy(f);
	if (m)
		m = put_first(pool->marks, MARKS, m);
	pthread_mutex_unlock(&pool->lock);
	destroy(m);
}

uint64_t tfs_inflater_place(const struct tfs_inflater *f)
{
	return f->out;
}

/* Half of the scratch holds stored bytes, with the room that a direct read needs; the other half skipped output. */
enum { IN_MAX = TFS_EXTRACT_SCRATCH / 2 - 2 * TFS_IO_ALIGN, SKIP_MAX = TFS_EXTRACT_SCRATCH / 2 };

/* Amount inflated at a time: in between it may be stopped, or set a mark. */
enum { OUT_MAX = 4 << 20 };

static int damaged(struct tfs_inflater *f, struct tfs_error *err, const char *what)
{
	f->broken = true;
	return tfs_error_set(err, -EIO, f->tensor->offset + f->in, "inflating: %s after %" PRIu64 " of %" PRIu64 " bytes", what,
			     f->out, f->tensor->encoding->unpacked);
}

/* Inflate up to decoded byte @upto, into @dst, or into the scratch if that is NULL. */
static int inflate_upto(struct tfs_inflater *f, struct tfs_source *source, uint64_t upto, uint8_t *dst, uint8_t *scratch,
			enum tfs_read_how *ret_how, struct tfs_error *err)
{
	const struct tfs_encoding *p = f->tensor->encoding;
	uint8_t *skipped = scratch + TFS_EXTRACT_SCRATCH / 2;
	int z = Z_OK, r;

	/* At the end of the stream, continue until zlib has seen it, too. */
	while (f->out < upto || (f->out == p->unpacked && z != Z_STREAM_END)) {
		uint64_t room = upto - f->out;

		if (f->pool->stopped)
			return -ECANCELED;
		/* Even if nothing is left to read, zlib may hold the last bytes: rest of a match, or codes that it has taken in. */
		if (!f->z.avail_in && f->in < p->length) {
			uint64_t left = p->length - f->in;
			size_t n = left < IN_MAX ? left : IN_MAX;
			uint8_t *data = NULL;

			r = tfs_source_read(source, f->tensor->offset + f->in, n, scratch, &data, ret_how, err);
			if (r) {
				f->broken = true;
				return r;
			}
			f->z.next_in = data;
			f->z.avail_in = n;
		}
		if (!dst && room > SKIP_MAX)
			room = SKIP_MAX;
		if (room > OUT_MAX)
			room = OUT_MAX;

		const uint8_t *in_before = f->z.next_in;
		f->z.next_out = dst ? dst : skipped;
		f->z.avail_out = room;
		z = inflate(&f->z, Z_NO_FLUSH);
		size_t made = room - f->z.avail_out;
		f->crc = crc32(f->crc, dst ? dst : skipped, made);
		f->in += f->z.next_in - in_before;
		f->out += made;
		if (dst)
			dst += made;
		if (z == Z_BUF_ERROR && !f->z.avail_in && f->in == p->length)
			return damaged(f, err, "the stream ends");
		if (z != Z_OK && z != Z_STREAM_END && (z != Z_BUF_ERROR || f->z.avail_in))
			return damaged(f, err, f->z.msg ? f->z.msg : "more than its header says");
		if (z == Z_STREAM_END && f->out < p->unpacked)
			return damaged(f, err, "the stream ends");
		if (f->out >= f->next_mark && z == Z_OK)
			set_mark(f);
	}
	if (f->out == p->unpacked && f->crc != p->crc)
		return damaged(f, err, "the checksum is wrong");
	return 0;
}

int tfs_inflater_read(struct tfs_inflater *f, struct tfs_source *source, uint64_t at, size_t len, uint8_t *dst, uint8_t *scratch,
		      enum tfs_read_how *ret_how, struct tfs_error *err)
{
	int r = f->out < at ? inflate_upto(f, source, at, NULL, scratch, ret_how, err) : 0;

	return r || !len ? r : inflate_upto(f, source, at + len, dst, scratch, ret_how, err);
}
