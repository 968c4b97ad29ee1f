/* SPDX-License-Identifier: MIT */
/* Whoever sent a request, and whether he may have what he asks for (tree/access.h). */
#ifndef TFS_FS_CALLER_H
#define TFS_FS_CALLER_H

#include "mount/fs.h"
#include "tree/access.h"

/* Who sent @req; to be released with tfs_caller_fini(). Without /proc he has no groups but his first. 0 or -ENOMEM. */
int tfs_caller_of(fuse_req_t req, struct tfs_caller *ret_caller);

/*
 * May @c know that there is @inode, an entry of a directory of a mixed set? A directory is known by what can be seen below. Of an original
 * file: may he go where it leads, if it is a link?
 */
bool tfs_caller_sees(struct tfs_fs *fs, const struct tfs_caller *c, struct tfs_inode inode);

/* 0, or -EACCES where the kernel has let @req pass by a mode that doesn't say everything; -ENOMEM. */
int tfs_check_access(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode);

/* Does what @dir lists depend on who asks? */
bool tfs_is_mixed_dir(struct tfs_fs *fs, struct tfs_inode dir);

/* Is it a link, shown as what it leads to, whose way is not open to everybody? */
bool tfs_is_behind_link(struct tfs_fs *fs, struct tfs_inode inode);

#endif
