/* SPDX-License-Identifier: MIT */
/*
 * Prefetch: what to bring in before anybody asks for it. After each open what will probably follow (predict.h); and lists of files,
 * in the background, a bounded number of bytes at a time, so that the queue of prefetches stays short however long the lists are.
 * A prefetch that fails is no error: whoever opens the file loads it. Thread-safe.
 */
#ifndef TFS_CACHE_PREFETCH_H
#define TFS_CACHE_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/residency.h"
#include "cache/stream.h"
#include "io/scheduler.h"

struct tfs_prefetcher;

/*
 * Nothing is owned. @residency may be NULL: then only streams can be told what follows. @memory: the budget, of which prefetch stays
 * within a share. The thread starts with the first list. NULL: out of memory.
 */
struct tfs_prefetcher *tfs_prefetch_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency,
					   uint64_t memory);

/* The file is being opened, to be held: bring in those that will probably follow. Takes a residency. */
void tfs_prefetch_after(struct tfs_prefetcher *p, struct tfs_file_id id);

/* The same for a file that is streamed by @st: its readahead goes on into the one that will probably follow. */
void tfs_prefetch_into_stream(struct tfs_prefetcher *p, struct tfs_stream *st, struct tfs_file_id id);

/*
 * Bring in these @n files after what was handed in before; those that are there are passed over. @ids (malloc'd) is the prefetcher's
 * from now on, also when this fails. What does not fit into what the budget has left ends a list: the rest would only push out
 * what came before it. -EOPNOTSUPP: no residency; -ENOMEM; -EAGAIN: no thread to be had.
 */
int tfs_prefetch_list(struct tfs_prefetcher *p, struct tfs_file_id *ids, size_t n);

/*
 * The whole model: all of tensors/, in file order, and the small files beside the weights into the page cache; @originals_only: just
 * these. The same errors.
 */
int tfs_prefetch_all(struct tfs_prefetcher *p, bool originals_only);

/* What is still to be brought in, without what is being loaded by now; in that order, allocated. NULL: out of memory. */
struct tfs_file_id *tfs_prefetch_queued(struct tfs_prefetcher *p, size_t *ret_n);

/* Drop all lists, and for some seconds bring in nothing after opens. */
void tfs_prefetch_pause(struct tfs_prefetcher *p, double seconds);

void tfs_prefetch_stop(struct tfs_prefetcher *p);    /* takes NULL */
void tfs_prefetch_destroy(struct tfs_prefetcher *p); /* stops it, if need be; takes NULL */

#endif
