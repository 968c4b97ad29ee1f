/* SPDX-License-Identifier: MIT */
/* meta/.gguf.json and meta/.gguf.full.json: the keys of all files of a GGUF set, as gguf-json.h has them. */
#ifndef TFS_FS_KEYS_H
#define TFS_FS_KEYS_H

#include <stddef.h>

#include "fs.h"

/*
 * The text of @inode, a TFS_INO_KEYS, allocated; its length into *@ret_len. It is read from the files, and always the same.
 * -ESTALE: one of them has changed; -EIO or another errno: it can't be read; both are logged. -ENOMEM.
 */
int tfs_keys_text(const struct tfs_fs *fs, struct tfs_inode inode, char **ret_text, size_t *ret_len);

#endif
