/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: which bytes are read next. Owners hand in transfers; workers (io/) take jobs, each one read of at most
 * TFS_CHUNK bytes. A long transfer becomes many jobs that several workers read at once; neighbouring short transfers of
 * one file become one job. Demand goes before prefetch, and that before the background. A deflate stream is read in order,
 * one job at a time. A transfer may also just bring its bytes into the page cache (fill).
 *
 *   tfs_sched_add ──► queued ──take──► begun ──take──► … every chunk issued ──done──► end()
 *                                         └──── a chunk failed: no more are issued ────┘
 *
 * Thread-safe. The scheduler's lock is never held across a read or a callback.
 */
#ifndef TFS_SCHEDULER_H
#define TFS_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "content/content.h"

/*
 * Bytes of one read. Storage reaches its rate with several requests of a few MiB at once (docs/decisions.md), and a multiple of
 * the huge page size lets each write fill whole huge pages, which then need no zeroing first.
 */
#define TFS_CHUNK ((size_t)4 << 20)

/* Room to convert in: a huge page, so one conversion fills one. */
#define TFS_SCRATCH ((size_t)2 << 20)

/*
 * Transfers joined into one job: those no longer than TFS_JOIN_MAX, across holes no longer than TFS_JOIN_GAP, since reading across
 * a small hole is cheaper than a second request.
 */
#define TFS_JOIN_MAX  ((size_t)1 << 20)
#define TFS_JOIN_GAP  ((size_t)64 << 10)
#define TFS_JOB_PARTS 128

struct tfs_transfer;

/* Callbacks of a transfer; called by workers without any lock. */
struct tfs_transfer_ops {
	/* Once, before the first byte is read: make the destination ready. An error ends the transfer. */
	int (*begin)(struct tfs_transfer *t, struct tfs_error *err);
	/*
	 * @data is a chunk, bytes [at, at + len) of the transfer. Several calls for different chunks may run at once. @scratch:
	 * TFS_SCRATCH bytes, page-aligned, the worker's, free to use until it returns; may be NULL if the transfer has a buf.
	 */
	int (*write)(struct tfs_transfer *t, uint64_t at, const uint8_t *data, size_t len, void *scratch, struct tfs_error *err);
	/* Once, last: nothing of it is in flight any more. @code: 0, or the first error. May free @t. */
	void (*end)(struct tfs_transfer *t, int code, const struct tfs_error *err);
};

/* A transfer of a range of some content to one destination. Embedded in its owner's structure. */
struct tfs_transfer {
	/* Set by the owner before tfs_sched_add(). */
	const struct tfs_transfer_ops *ops;
	struct tfs_content content; /* of which it transfers bytes [at, at + len), len > 0 */
	uint64_t at, len;
	/* It is read in chunks: [0, first), then step bytes each. Both > 0 and <= TFS_CHUNK. */
	uint32_t first, step;
	enum tfs_priority priority; /* guarded by the scheduler's lock once added */
	void *buf;		    /* read straight into this if a job has no other part; NULL or as tfs_source_read() requires */
	bool fill;		    /* its content is an extent, which is to be in the page cache; write() isn't called */
	/* Private to the scheduler, guarded by its lock. */
	bool plain;    /* its content is an extent: the bytes are those of the file @node from @offset on, and it may be joined */
	uint32_t node; /* UINT32_MAX: several */
	uint64_t storage;		   /* 0: not known */
	uint64_t offset;		   /* if it isn't, the same as at */
	const struct tfs_tensor *in_order; /* as returned by its content */
	struct tfs_list link;
	bool queued, begun;
	uint32_t n_chunks, n_issued;
	uint32_t cursor;       /* where to look for the next chunk that hasn't been issued */
	uint8_t *issued;       /* one byte per chunk; NULL if there is only one chunk */
	unsigned in_flight;    /* jobs */
	int code;	       /* first failure, or 0 */
	struct tfs_error *err; /* details; may be NULL */
};

/* The chunk that byte @at of the transfer is in, and the number of its chunks. */
static inline uint32_t tfs_transfer_chunk(const struct tfs_transfer *t, uint64_t at)
{
	return at < t->first ? 0 : 1 + (at - t->first) / t->step;
}

static inline uint32_t tfs_transfer_chunks(const struct tfs_transfer *t)
{
	return tfs_transfer_chunk(t, t->len - 1) + 1;
}

struct tfs_job_part {
	struct tfs_transfer *t;
	uint64_t at; /* in the transfer */
	size_t len;
	bool first; /* begin() has to be called */
};

/* One read: parts in ascending order of position in the source, or a single part that isn't an extent. */
struct tfs_job {
	uint32_t node;
	uint64_t storage; /* of its first part; 0: not known */
	uint64_t offset;  /* of the first byte of the first part, in the file or, if that isn't an extent, in its content */
	size_t len;	  /* to the last byte of the last part */
	bool fill;	  /* it has one part, which is such a transfer's */
	double taken_at;  /* of tfs_now() */
	enum tfs_priority priority; /* when it was taken */
	unsigned n_parts;
	struct tfs_job_part parts[TFS_JOB_PARTS];
};

struct tfs_sched_stats {
	uint64_t jobs, transfers, joined; /* joined: transfers that were part of another one's job */
	uint64_t bytes[TFS_READ_HOWS];	  /* of jobs, by how they were read */
	enum tfs_tier last_tier;	  /* of the last one that wasn't in the page cache */
	uint64_t failed;		  /* transfers */
	uint64_t queued[TFS_PRIORITIES];  /* bytes not yet read, now */
	double bandwidth;		  /* bytes per second while busy; 0: not known yet */
	unsigned depth;			  /* maximum number of jobs in progress, now */
	double latency;			  /* seconds of a large read, the quickest lately; 0: not known yet */
};

struct tfs_sched;

struct tfs_sched *tfs_sched_create(void);

/* Which storage is the file @node on? 0: one that doesn't hang, or that isn't known. */
typedef uint64_t tfs_sched_storage_fn(const void *arg, uint32_t node);

/* To be called before there are transfers. A storage that hangs doesn't hold up what is read from others. */
void tfs_sched_set_storages(struct tfs_sched *s, tfs_sched_storage_fn *storage_of, const void *arg);

void tfs_sched_destroy(struct tfs_sched *s); /* after tfs_sched_stop() and after the workers are gone; accepts NULL */

/* Workers' takes return false from now on, and every transfer that is still queued ends with -ECANCELED. */
void tfs_sched_stop(struct tfs_sched *s);

/*
 * Queue a transfer after the others of its priority. -ENOMEM, -ECANCELED (stopped): nothing was queued, and there is no callback.
 */
int tfs_sched_add(struct tfs_sched *s, struct tfs_transfer *t);

/* Raise a transfer to demand, if it isn't yet. @t must not have ended (hold the lock that its end() takes). */
void tfs_sched_promote(struct tfs_sched *s, struct tfs_transfer *t);

/*
 * Cancel a prefetch that hasn't begun: true, and it is as if it had never been added, without a callback. False: it is demand, or
 * in progress. Same condition.
 */
bool tfs_sched_take_back(struct tfs_sched *s, struct tfs_transfer *t);

/*
 * Begin no more reads of the transfer. True: none is in progress, so it is over, without a callback; false: it ends with -ECANCELED
 * once those are done, or as it would have, if none was left to begin. Same condition.
 */
bool tfs_sched_cancel(struct tfs_sched *s, struct tfs_transfer *t);

/* Read this chunk of the transfer next, if it has not been taken yet. Same condition. */
void tfs_sched_want(struct tfs_sched *s, struct tfs_transfer *t, uint32_t chunk);

/*
 * Estimated seconds until @more bytes of demand, added now, would arrive; 0 if the bandwidth isn't known yet. @t: the transfer that
 * they belong to, if it was added already, so they aren't counted twice; same condition; or NULL.
 */
double tfs_sched_eta(struct tfs_sched *s, const struct tfs_transfer *t, uint64_t more);

enum tfs_take { TFS_TAKE_STOP, TFS_TAKE_IDLE, TFS_TAKE_JOB };

/*
 * For workers. The next job, which must be given back to tfs_sched_done(); IDLE if there is none within @patience seconds, which may
 * be INFINITY. Fills are only for a @helper, and other jobs only once helpers have been called, or while a storage hangs.
 */
enum tfs_take tfs_sched_take(struct tfs_sched *s, bool helper, double patience, struct tfs_job *ret_job);

/* From now on helpers take any job. */
void tfs_sched_call_helpers(struct tfs_sched *s);

/*
 * No more jobs are in progress at once than the storage gets faster by, between @min and @max > 0 (io/depth.h); only that fills
 * never keep other jobs waiting. Before it is called there is no limit.
 */
void tfs_sched_set_depth(struct tfs_sched *s, unsigned min, unsigned max);

/* How many that is now. */
unsigned tfs_sched_depth(struct tfs_sched *s);

/* Call begin() of the parts that need it. Parts that fail are ended and leave the job, which may become empty. */
void tfs_sched_begin(struct tfs_sched *s, struct tfs_job *job);

/* The job is done: @codes[i] is the result of part i; @err is about the first that failed. @how: how the bytes were read. */
void tfs_sched_done(struct tfs_sched *s, struct tfs_job *job, enum tfs_read_how how, const int *codes, const struct tfs_error *err);

void tfs_sched_stats(struct tfs_sched *s, struct tfs_sched_stats *ret_stats);

#endif
