/* SPDX-License-Identifier: MIT */
/*
 * The threads that read: they take jobs from the scheduler, read them with the best engine that works, and pass the bytes to the
 * job's transfers.
 *
 *              uring                      threads                buffered
 *   job ──► fails here, or ──► fails ──► O_DIRECT fails ──► ──► fails: the job has
 *           isn't available                                      failed, with its error
 *
 * If a lower tier could read what a higher one couldn't, the source is read by the lower one from then on. No job is lost, and
 * waiters don't notice.
 */
#ifndef TFS_IO_WORKERS_H
#define TFS_IO_WORKERS_H

#include "content/extract.h"
#include "content/source.h"
#include "io/engine.h"
#include "io/scheduler.h"

struct tfs_workers;

struct tfs_workers_options {
	unsigned threads;			 /* maximum of reads in flight at once */
	unsigned threads_min;			 /* the least that they are limited to; 0: the same */
	enum tfs_tier tier;			 /* the first one to try; if it isn't available, the next */
	const struct tfs_engine *const *engines; /* TFS_TIERS of them; NULL: tfs_all_engines */
	struct tfs_staging_memory memory;	 /* see content/extract.h */
	/*
	 * A worker that has been idle for a while calls it with @arg, so others free memory as it does itself; or NULL. True: it is to be
	 * called again, as there is memory left. Else not before something was read.
	 */
	bool (*idle)(void *arg);
	void *arg;
};

/* Start as many threads as needed, fewer if the system refuses some. -EAGAIN: none could be started. */
int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, const struct tfs_workers_options *options,
		      struct tfs_workers **ret_workers);

/* Wait until all have exited; call tfs_sched_stop() first. Accepts NULL. */
void tfs_workers_join(struct tfs_workers *w);
void tfs_workers_destroy(struct tfs_workers *w); /* after that; accepts NULL */

unsigned tfs_workers_count(const struct tfs_workers *w); /* reads at once; NULL: 0 */

/* The tier that sources start with: the requested one or, if that isn't available, a lower one. */
enum tfs_tier tfs_workers_tier(const struct tfs_workers *w);

#endif
