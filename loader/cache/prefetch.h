/* SPDX-License-Identifier: MIT */
/*
 * The feeder: brings in lists of files in the background, in the order of the lists, a bounded number of bytes at a time, so that
 * the queue of prefetches stays short however long the lists are. Thread-safe.
 */
#ifndef TFS_FEEDER_H
#define TFS_FEEDER_H

#include <stddef.h>

#include "cache/residency.h"
#include "io/scheduler.h"

struct tfs_feeder;

/* Nothing is owned. The thread starts with the first list. NULL: out of memory. */
struct tfs_feeder *tfs_feeder_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency);

/*
 * Bring in these @n files behind what was handed in before; those that are there are passed over. @ids (malloc'd) is the feeder's
 * from now on, also when this fails. What does not fit into what the budget has left ends a list: the rest would only push out
 * what came before it. -ENOMEM, -EAGAIN: no thread to be had.
 */
int tfs_feeder_add(struct tfs_feeder *f, struct tfs_file_id *ids, size_t n);

/* What is still to be brought in, without what is being loaded by now; in that order, allocated. NULL: out of memory. */
struct tfs_file_id *tfs_feeder_queued(struct tfs_feeder *f, size_t *ret_n);

/* Drop all lists. */
void tfs_feeder_clear(struct tfs_feeder *f);

void tfs_feeder_stop(struct tfs_feeder *f); /* takes NULL */
void tfs_feeder_destroy(struct tfs_feeder *f); /* stops it, if need be; takes NULL */

#endif
