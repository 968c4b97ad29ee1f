/* SPDX-License-Identifier: MIT */
/* user.tensorfs.xxh128 and .tensorfs/XXH128SUMS: answers that may take as long as reading the model. */
#ifndef TFS_FS_HASHES_H
#define TFS_FS_HASHES_H

#include <stdbool.h>

#include "mount/fs.h"
#include "tree/access.h"

/* Answer a getxattr of the hash of @inode's tensor into @size bytes: at once or later. */
void tfs_getxattr_hash(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, size_t size);

/*
 * Answer an open of XXH128SUMS, with the lines of what @caller (NULL: everybody) may read, once those hashes are known. EIO: one of
 * them isn't available.
 */
void tfs_open_sums(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, const struct tfs_caller *caller);

#endif
