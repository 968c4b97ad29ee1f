/* SPDX-License-Identifier: MIT */
/*
 * Scope-bound cleanup. A variable declared with one of these is released when it leaves scope;
 * tfs_steal() returns the value and leaves the empty value in its place.
 */
#ifndef TFS_BASE_CLEANUP_H
#define TFS_BASE_CLEANUP_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void tfs_cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void tfs_cleanup_fd_(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void tfs_cleanup_dir_(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define cleanup_dir  __attribute__((cleanup(tfs_cleanup_dir_)))
#define cleanup_free __attribute__((cleanup(tfs_cleanup_free_)))
#define cleanup_fd   __attribute__((cleanup(tfs_cleanup_fd_)))

/* The pointer's value; the variable itself becomes NULL. */
#define tfs_steal(p)                        \
	__extension__({                     \
		__typeof__(p) steal_ = (p); \
		(p) = NULL;                 \
		steal_;                     \
	})

/* The same for a descriptor; the variable itself becomes -1. */
static inline int tfs_steal_fd(int *fd)
{
	int r = *fd;
	*fd = -1;
	return r;
}

#endif
