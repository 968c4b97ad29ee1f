/* SPDX-License-Identifier: MIT */
/* The files of .tensorfs whose text is generated on request: statistics of the mount. */
#ifndef TFS_FS_TEXT_H
#define TFS_FS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "mount/fs.h"
#include "tree/access.h"

/* Names of the files in .tensorfs, terminated by NULL; their index, an enum tfs_control_file, is the inode's node. */
extern const char *const tfs_controls[TFS_CONTROLS + 1];

/* The indexes and XXH128SUMS (tree/listing.h, mount/sums.h), which never change; the others' text changes over time. */
bool tfs_control_is_fixed(uint32_t which);

/* The listing that one of these is, as tfs_listing_open(); and its size, for which all of it is made: 0 or -errno. */
struct tfs_listing *tfs_control_listing(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller);
int tfs_control_size(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller, uint64_t *ret_size);

/*
 * The text of another control file as it is now, allocated; its length into *@ret_len. It leaves out what @caller (NULL: everybody)
 * may not read. NULL: out of memory.
 */
char *tfs_control_now(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller, size_t *ret_len);

#endif
