/* SPDX-License-Identifier: MIT */
/*
 * The threads that read: each takes a job from the scheduler, reads it and hands the bytes to the job's transfers.
 */
#ifndef TFS_IO_WORKERS_H
#define TFS_IO_WORKERS_H

#include "scheduler.h"
#include "source.h"
#include "stream.h"

struct tfs_workers;

/*
 * Start @threads workers, fewer if the system refuses some. When there is nothing to do they also trim the buffers of @streams
 * (NULL: there are none). -EAGAIN: not one could be started.
 */
int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, struct tfs_streams *streams,
		      unsigned threads, struct tfs_workers **ret_workers);

/* Wait until all have left; tfs_sched_stop() comes first. Takes NULL. */
void tfs_workers_join(struct tfs_workers *w);

unsigned tfs_workers_count(const struct tfs_workers *w); /* NULL: 0 */

#endif
