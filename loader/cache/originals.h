/* SPDX-License-Identifier: MIT */
/*
 * Originals: the files of weight sets as they are, which most programs open and map. The kernel serves them from their page cache
 * without us, so they are made fast by having their bytes there before the reader: with many large reads in flight, by the same
 * scheduler as all else. First the files that were opened, in that order, then the others of the set, in its order. What is in the
 * page cache already isn't read.
 *
 *   opened ──► all of it is cached? ──► segments ──► scheduler: fill ──► held, in the budget ──► given up: passed, or memory is wanted
 *
 * What was brought in counts against the memory budget until it is given up. A set that doesn't fit is read ahead in a window: the
 * first page of each segment is left out, so it appears in the page cache only when a reader gets there. Segments that a reader has
 * passed are given up, the oldest first, when there is no room for the next.
 *
 * Only while a process that opened one of a set's files lives (readers.h). Nothing here fails: what isn't read ahead is read by its reader.
 * Thread-safe.
 */
#ifndef TFS_CACHE_ORIGINALS_H
#define TFS_CACHE_ORIGINALS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "cache/residency.h"
#include "content/source.h"
#include "io/scheduler.h"
#include "model/model.h"

struct tfs_originals;

/*
 * Owns none of its arguments. @residency has the budget; if it is NULL, that is @memory bytes. Its thread starts with the first
 * open. NULL: out of memory.
 */
struct tfs_originals *tfs_originals_create(const struct tfs_model *model, struct tfs_sources *sources, struct tfs_sched *sched,
					   struct tfs_residency *residency, uint64_t memory);

/*
 * The file @node is being opened by the thread @tid (0: not known, so assumed to live as long as we do). Does nothing if it isn't
 * part of a weight set.
 */
void tfs_originals_opened(struct tfs_originals *o, uint32_t node, pid_t tid);

/* Bring in all sets, without a reader; or no longer. */
void tfs_originals_all(struct tfs_originals *o, bool all);

/* For tfs_residency_on_shortage(); @o is a struct tfs_originals. */
uint64_t tfs_originals_give_up(void *o, uint64_t bytes);

/* Memory is short: for some seconds use half as much as otherwise; if it is called again in that time, half of that. */
void tfs_originals_save(struct tfs_originals *o, double seconds);

/* When it returns nothing more is queued. The scheduler must be stopped after it, and before it is destroyed. Accepts NULL. */
void tfs_originals_stop(struct tfs_originals *o);
void tfs_originals_destroy(struct tfs_originals *o); /* accepts NULL */

struct tfs_originals_stats {
	uint64_t opens;			 /* of files of sets */
	uint64_t cached;		 /* of these, those of files that were in the page cache */
	uint64_t failed;		 /* files that couldn't be read */
	uint64_t held;			 /* bytes in the budget, now */
	uint64_t given_up;		 /* bytes */
	uint64_t total, done;		 /* bytes of the sets that are wanted now, and how many of them have been brought in */
	uint64_t window;		 /* bytes that it reads ahead of a reader; 0: the set fits */
	const char *state;		 /* what it does, or why it does nothing; static */
	char last_error[TFS_ERROR_LINE]; /* "" if nothing ever failed */
};
void tfs_originals_stats(struct tfs_originals *o, struct tfs_originals_stats *ret_stats);

#endif
