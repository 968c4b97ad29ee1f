/* SPDX-License-Identifier: MIT */
/* Requests over io_uring: whether, and how deep the rings are. */
#ifndef TFS_MOUNT_RING_H
#define TFS_MOUNT_RING_H

#include <stdbool.h>

#include "mount/fs.h"

/* The longest read then, in bytes: an entry of a ring has memory for it. */
enum { TFS_RING_MAX_READ = 256 << 10 };

/* Entries of each ring. */
unsigned tfs_ring_depth(void);

/* Can requests be carried by io_uring here? Otherwise *@ret_lacks (may be NULL) says what is missing. */
bool tfs_ring_available(const char **ret_lacks);

/*
 * Whether to ask for the io_uring transport. It answers on the caller's CPU, which makes opens cheaper, but scans of streamed
 * files by mmap half as fast: so it is tied to passthrough. 0, or -EOPNOTSUPP if it was demanded but isn't available.
 */
int tfs_ring_choose(const struct tfs_fs *fs, bool *ret_use);

#endif
