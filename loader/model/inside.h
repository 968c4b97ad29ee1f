/* SPDX-License-Identifier: MIT */
/*
 * Does a link lead out of the model's directory? Its author decides where it leads, and it is followed with the rights of who mounts
 * it.
 */
#ifndef TFS_MODEL_INSIDE_H
#define TFS_MODEL_INSIDE_H

#include "storage/storage.h"

/* Where links may lead: the model's directory; and the blobs of the repository that it is a snapshot of. */
struct tfs_inside {
	struct tfs_identity root, blobs; /* an inode number of 0: there is none */
};

/* Determine where links may lead from the directory of @s, which is local. */
void tfs_inside_init(struct tfs_inside *in, const struct tfs_storage *s);

/* The directory of these blobs, opened with O_PATH, which the caller closes; -1: there is none. */
int tfs_inside_open_blobs(const struct tfs_storage *s);

/*
 * What @name, which may be a path, leads to from the directory @dir of @s. 0; -EXDEV: it isn't in one of these directories; -ENOENT: it leads nowhere, or
 * it can't be told where.
 */
int tfs_inside_look(const struct tfs_inside *in, const struct tfs_storage *s, int dir, const char *name, struct tfs_dirent *ret);

#endif
