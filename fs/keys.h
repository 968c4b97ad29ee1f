/* SPDX-License-Identifier: MIT */
/*
 * What the files of a set say about themselves, as texts in meta/: the keys of GGUF files, .gguf.json and .gguf.full.json, as
 * gguf-json.h has them; and .safetensors.json:
 *
 *	{ "files": [ {"file": "model-00001-of-00002.safetensors", "metadata": {"format": "pt"}}, … ],
 *	  "differ": ["KEY", …] }
 *
 * "metadata" has the file's __metadata__ in its order, "differ" the keys for which two of the files have different values.
 */
#ifndef TFS_FS_KEYS_H
#define TFS_FS_KEYS_H

#include <stddef.h>

#include "fs.h"

/*
 * The text of @inode, a TFS_INO_KEYS, allocated; its length into *@ret_len. It is always the same; GGUF's is read from the files.
 * -ESTALE: one of them has changed; -EIO or another errno: it can't be read; both are logged. -ENOMEM.
 */
int tfs_keys_text(const struct tfs_fs *fs, struct tfs_inode inode, char **ret_text, size_t *ret_len);

#endif
