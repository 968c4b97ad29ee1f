/* SPDX-License-Identifier: MIT */
/* The caller that sent a request, and whether it may have what it requests (tree/access.h). */
#ifndef TFS_FS_CALLER_H
#define TFS_FS_CALLER_H

#include "mount/fs.h"
#include "tree/access.h"

/* The sender of @req; release it with tfs_caller_fini(). Without /proc it has only its primary group. 0 or -ENOMEM. */
int tfs_caller_of(fuse_req_t req, struct tfs_caller *ret_caller);

/*
 * May @c know of @inode, an entry in a directory of a mixed set? A directory is visible if anything below it is. For an original
 * file that is a link: may @c follow it?
 */
bool tfs_caller_sees(struct tfs_fs *fs, const struct tfs_caller *c, struct tfs_inode inode);

/* 0, or -EACCES if the kernel let @req pass because of a mode that isn't the whole rule; -ENOMEM. */
int tfs_check_access(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode);

/* Does the listing of @dir depend on the caller? */
bool tfs_is_mixed_dir(struct tfs_fs *fs, struct tfs_inode dir);

/* Is it a link, shown as its target, that not everybody may follow? */
bool tfs_is_behind_link(struct tfs_fs *fs, struct tfs_inode inode);

#endif
