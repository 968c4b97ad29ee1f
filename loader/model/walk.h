/* SPDX-License-Identifier: MIT */
/* A path walked step by step, as the kernel walks it: following links, with each directory on the way. Private to this folder. */
#ifndef TFS_MODEL_WALK_H
#define TFS_MODEL_WALK_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "storage/storage.h"

struct tfs_walk {
	const struct tfs_storage *storage; /* whose directory it begins in */
	int at;				   /* the directory that has been reached; the caller closes it */
	unsigned followed;		   /* links on the way */
	char rest[2 * PATH_MAX];	   /* what is left of the path */
};

/*
 * Go to the next part of the path. False: there is none, or no such file; if @rest is empty the end was reached. Fills *@ret with
 * where that led, which is @at from now on, or with the link (*@ret_link) whose target is now the beginning of @rest.
 */
bool tfs_walk_step(struct tfs_walk *w, struct stat *ret, bool *ret_link);

#endif
