/* SPDX-License-Identifier: MIT */
/*
 * Prefetch: what to load before it is requested. After each open what will probably come next (predict.h); and lists of files, in
 * the background, a bounded number of bytes at a time, so the queue of prefetches stays short however long the lists are. A failed
 * prefetch isn't an error: the file is loaded when it is opened. Thread-safe.
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
 * Owns none of its arguments. @residency may be NULL: then only streams can be told what comes next. @memory: the budget; prefetch
 * stays within a share of it. The thread starts with the first list. NULL: out of memory.
 */
struct tfs_prefetcher *tfs_prefetch_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency,
					   uint64_t memory);

/* The file is being opened, to be held: load those that will probably come next. Requires a residency. */
void tfs_prefetch_after(struct tfs_prefetcher *p, struct tfs_file_id id);

/* The same for a file that is streamed by @st: its readahead continues into the one that will probably come next. */
void tfs_prefetch_into_stream(struct tfs_prefetcher *p, struct tfs_stream *st, struct tfs_file_id id);

/*
 * Load these @n files after earlier lists; resident ones are skipped. The prefetcher takes ownership of @ids (malloc'd), even on
 * failure. A file that doesn't fit in the rest of the budget ends a list: the remainder would only evict what came before it.
 * -EOPNOTSUPP: no residency; -ENOMEM; -EAGAIN: no thread could be started.
 */
int tfs_prefetch_list(struct tfs_prefetcher *p, struct tfs_file_id *ids, size_t n);

/* All of tensors/, in file order. Same errors. */
int tfs_prefetch_tensors(struct tfs_prefetcher *p);

/* The files next to the weights, which model loaders read at the same time, if they are small: into the page cache. */
void tfs_prefetch_small_files(struct tfs_prefetcher *p);

/* What is still to be loaded, without what is being loaded already; in that order, allocated. NULL: out of memory. */
struct tfs_file_id *tfs_prefetch_queued(struct tfs_prefetcher *p, size_t *ret_n);

/* Drop all lists, and for some seconds prefetch nothing after opens. */
void tfs_prefetch_pause(struct tfs_prefetcher *p, double seconds);

void tfs_prefetch_stop(struct tfs_prefetcher *p);    /* takes NULL */
void tfs_prefetch_destroy(struct tfs_prefetcher *p); /* stops it if needed; accepts NULL */

#endif
