/* SPDX-License-Identifier: MIT */
/*
 * Requests about files of which something has to be made first: a text, or only its size; a snapshot; the header of a consolidated file.
 * That is done in the background (work.h), and then the request is answered by the same function as if it had been there.
 *
 * A lookup isn't deferred if that can be avoided: whoever looks up the same name meanwhile waits in the kernel, where nothing kills him
 * (d_alloc_parallel()). So it is answered with attributes that hold for no time, and the kernel asks again who needs the size.
 */
#ifndef TFS_FS_DEFERRED_H
#define TFS_FS_DEFERRED_H

#include "mount/work.h"

/* @inode: what was asked for; if it is a snapshot, with its serial. @result: 0, or why it couldn't be made. */
typedef void tfs_again_fn(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, int result);

/*
 * A snapshot for who sent @req, without a text or its size, to be added by the caller, or freed even if this failed. 0 or -ENOMEM.
 */
int tfs_begin_snapshot(struct tfs_fs *fs, fuse_req_t req, struct tfs_snapshot **ret_snapshot);

/* Is all there that attributes of @inode need? */
bool tfs_is_ready(struct tfs_fs *fs, struct tfs_inode inode);

/*
 * Make what @inode needs, and then call @again with @flag, once: from any thread, with a result other than 0 if it is not there, and
 * never if @req was interrupted. Of a file that has snapshots, a new one is made for the caller. What was made stays until @again
 * returns.
 */
void tfs_defer(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, tfs_again_fn *again);

#endif
