/* SPDX-License-Identifier: MIT */
/*
 * A loop whose iterations run on several threads. For finite work; the loader's permanent threads are elsewhere.
 */
#ifndef TFS_BASE_PARALLEL_H
#define TFS_BASE_PARALLEL_H

#include <stddef.h>

/* More threads than this would only wait for each other. */
#define TFS_PARALLEL_MAX_THREADS 64

/*
 * Call fn(arg, i) once for each i in [0, n), on up to @threads threads of which the caller is one (0 counts as 1), and
 * return when all have returned. Indices are handed out in ascending order, so put the longest work first. If no thread can be
 * started the caller does the work alone: this can't fail. What @fn wrote is visible to the caller afterwards.
 */
void tfs_parallel_for(size_t n, unsigned threads, void (*fn)(void *arg, size_t i), void *arg);

#endif
