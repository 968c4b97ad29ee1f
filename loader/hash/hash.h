/* SPDX-License-Identifier: MIT */
/*
 * Hashes of tensors: XXH3-128 of what tensors/NAME shows. Computed in the background on request, remembered while the model is
 * open, and returned only while they match the tensor's bytes: it is resident, or its source is the file of the model's snapshot.
 *
 *   tfs_hash_get() ──► known, and the tensor is resident ──► at once
 *                  └─► jobs ──► a hasher: known, and its source unchanged? done()
 *                                         resident? map the backing file : read a stream ──► remember, done()
 *   tfs_hash_all() ──► the pass: a job for each tensor in file order ────────────────────► … done() of all who wait for it
 *
 * If two tensors turn out to have the same hash, the residency is told (tfs_residency_add_duplicate()), and hashers do its merging.
 *
 * The hashers read through streams of their own, which come after all others and make nothing resident. A hash that nobody waits
 * for any more is abandoned. Thread-safe; callbacks come from a hasher, without a lock held.
 */
#ifndef TFS_HASH_H
#define TFS_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cache/residency.h"
#include "content/source.h"
#include "io/scheduler.h"
#include "model/model.h"

/* Tensors hashed at once, each by a thread that rarely has to wait: its stream reads ahead. */
#define TFS_HASHERS 4

/* 32 lower-case hex digits and a NUL: the number, most significant digit first, as xxh128sum writes it. */
enum { TFS_HASH_TEXT = 33 };

struct tfs_hash {
	uint8_t bytes[16]; /* big-endian */
};

void tfs_hash_text(const struct tfs_hash *hash, char text[TFS_HASH_TEXT]);

/* A waiter. Owned by the caller; must not move until done() was called or the wait was cancelled. */
struct tfs_hash_wait {
	/* Called exactly once unless cancelled. @result: 0; -EIO, -ESTALE … as for loads; -ECANCELED: the loader stops. */
	void (*done)(struct tfs_hash_wait *w, int result);
	struct tfs_hash hash; /* for tfs_hash_get(), if the result is 0 */
	bool checked;	      /* and if done() was called: the tensor's source was found unchanged; otherwise it is resident */

	/* Private. */
	struct tfs_list link;
	bool waiting, cancelled;
};

struct tfs_hashes;

/* @residency may be NULL. Starts no thread before the first request for a hash. NULL: out of memory. */
struct tfs_hashes *tfs_hashes_create(const struct tfs_model *model, struct tfs_sources *sources, struct tfs_sched *sched,
				     struct tfs_residency *residency);

/* All waiters get -ECANCELED. The scheduler must be stopped first, and its workers gone. Accepts NULL. */
void tfs_hashes_stop(struct tfs_hashes *h);
void tfs_hashes_destroy(struct tfs_hashes *h); /* after that; accepts NULL */

/*
 * The hash of a tensor. Doesn't wait for storage. 0: it is in w->hash. TFS_QUEUED: w->done() will be called. Otherwise @w is not used: -ECANCELED: it was
 * cancelled before, or the loader stops; -ENOMEM, -EAGAIN: no memory, no thread.
 */
int tfs_hash_get(struct tfs_hashes *h, uint32_t set, uint32_t tensor, struct tfs_hash_wait *w);

/* The hashes of all tensors: done() is called once tfs_hash_peek() knows all of them, or with the first error. Never 0. */
int tfs_hash_all(struct tfs_hashes *h, struct tfs_hash_wait *w);

/* True: done() will not be called. A wait may be cancelled before it is submitted, which then fails. */
bool tfs_hash_cancel(struct tfs_hashes *h, struct tfs_hash_wait *w);

/* Is it remembered? Doesn't check the source. */
bool tfs_hash_peek(struct tfs_hashes *h, uint32_t set, uint32_t tensor, struct tfs_hash *ret_hash);

/* Free memory that is only needed while hashes are computed, if none are. True: some is left. */
bool tfs_hashes_trim(struct tfs_hashes *h);

struct tfs_hash_stats {
	uint64_t known;			 /* tensors whose hash is remembered */
	uint64_t bytes;			 /* hashed */
	uint64_t failures;		 /* reads that failed */
	char last_error[TFS_ERROR_LINE]; /* "" if nothing ever failed */
};
void tfs_hashes_stats(struct tfs_hashes *h, struct tfs_hash_stats *ret_stats);

#endif
