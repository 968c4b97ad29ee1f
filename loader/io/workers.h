/* SPDX-License-Identifier: MIT */
/*
 * The threads that read: each takes a job from the scheduler, reads it and hands the bytes to the job's transfers.
 */
#ifndef TFS_IO_WORKERS_H
#define TFS_IO_WORKERS_H

#include "scheduler.h"
#include "source.h"

struct tfs_workers;

/*
 * Start @threads workers, fewer if the system refuses some. A worker that has had nothing to do for a while calls @idle with
 * @arg (NULL: does not), for others to give memory back as it does itself. -EAGAIN: not one could be started.
 */
int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, unsigned threads, void (*idle)(void *arg),
		      void *arg, struct tfs_workers **ret_workers);

/* Wait until all have left; tfs_sched_stop() comes first. Takes NULL. */
void tfs_workers_join(struct tfs_workers *w);

unsigned tfs_workers_count(const struct tfs_workers *w); /* NULL: 0 */

#endif
