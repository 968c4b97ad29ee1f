/* SPDX-License-Identifier: MIT */
/*
 * The threads that read: they take jobs from the scheduler, read them by the best engine that works, and hand the bytes to the
 * job's transfers.
 *
 *              uring                      threads                buffered
 *   job ──► fails here, or ──► fails ──► O_DIRECT fails ──► ──► fails: the job has
 *           isn't to be had                                      failed, with its error
 *
 * What a lower tier could read although a higher one could not is read by the lower one from then on, source by source. No job is
 * lost on the way, and nobody who waits for it notices.
 */
#ifndef TFS_IO_WORKERS_H
#define TFS_IO_WORKERS_H

#include "content/extract.h"
#include "content/source.h"
#include "io/engine.h"
#include "io/scheduler.h"

struct tfs_workers;

struct tfs_workers_options {
	unsigned threads;			 /* reads under way at once */
	enum tfs_tier tier;			 /* the first one to try; if it can't be had, the next */
	const struct tfs_engine *const *engines; /* TFS_TIERS of them; NULL: tfs_all_engines */
	struct tfs_staging_memory memory;	 /* see content/extract.h */
	/* A worker that has had nothing to do for a while calls it with @arg, for others to give memory back as it does itself; or NULL. */
	void (*idle)(void *arg);
	void *arg;
};

/* Start as many threads as that takes, fewer if the system refuses some. -EAGAIN: not one could be started. */
int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, const struct tfs_workers_options *options,
		      struct tfs_workers **ret_workers);

/* Wait until all have left; tfs_sched_stop() comes first. Takes NULL. */
void tfs_workers_join(struct tfs_workers *w);
void tfs_workers_destroy(struct tfs_workers *w); /* after that; takes NULL */

unsigned tfs_workers_count(const struct tfs_workers *w); /* NULL: 0 */

/* The tier that sources begin with: the one that was asked for, or, where that isn't to be had, one below. */
enum tfs_tier tfs_workers_tier(const struct tfs_workers *w);

#endif
