/* SPDX-License-Identifier: MIT */
/*
 * The cache on disk.
 *
 *   cache.c         the directory, its objects, and how much room there is for them
 *   cache-trees.c   tables of files, from which a second mount begins
 */
#ifndef TFS_REMOTE_CACHE_IMPL_H
#define TFS_REMOTE_CACHE_IMPL_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "remote/cache.h"

struct tfs_cache {
	char *path;
	int dir;
	bool writable;
	uint64_t limit;
	_Atomic bool failed;
	pthread_mutex_t lock; /* guards what follows, and looking for room */
	pthread_cond_t wrote; /* something */
	int64_t left;	      /* bytes that may be written before somebody has to look */
	int64_t writing;      /* those that were given out, but may not be on the disk yet */
	double again;	      /* somebody has to look, but not before this time */
	bool said_full;
};

/* The directory @name in @at; NULL: it can't be opened. */
DIR *tfs_cache_stream(int at, const char *name);

#endif
