/* SPDX-License-Identifier: MIT */
/* Files whose text is made when somebody asks for it: meta/NAME.json and the files of .tensorfs. */
#ifndef TFS_FS_TEXT_H
#define TFS_FS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "access.h"
#include "fs.h"

/* Names of the files in .tensorfs, ended by NULL; their place, an enum tfs_control_file, is the inode's node. */
extern const char *const tfs_controls[TFS_CONTROLS + 1];

/* The text of meta/NAME.json, which is always the same, allocated; its length into *@ret_len. NULL: out of memory. */
char *tfs_meta_text(const struct tfs_fs *fs, struct tfs_inode inode, size_t *ret_len);

/* The indexes and XXH128SUMS (listing.h, hashes.h), which never change; the others' text is of the moment. */
bool tfs_control_is_fixed(uint32_t which);

/*
 * The text of another control file as it is now, allocated; its length into *@ret_len. What @caller (NULL: anybody) may not read is
 * not in it. NULL: out of memory.
 */
char *tfs_control_now(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller, size_t *ret_len);

/* The shape as JSON, "[4096,128]", as in meta/ and in user.tensorfs.shape; allocated. */
char *tfs_shape_text(const struct tfs_tensor *t);

#endif
