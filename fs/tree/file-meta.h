/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a set's files, as texts in meta/: the keys of GGUF files, .gguf.json and .gguf.full.json, see gguf-json.h; and
 * .safetensors.json:
 *
 *	{ "files": [ {"file": "model-00001-of-00002.safetensors", "metadata": {"format": "pt"}}, … ],
 *	  "differ": ["KEY", …] }
 *
 * "metadata" has the file's __metadata__ in its order, "differ" the keys for which two of the files have different values.
 */
#ifndef TFS_TREE_FILE_META_H
#define TFS_TREE_FILE_META_H

#include <stddef.h>

#include "base/json-write.h"
#include "model/model.h"
#include "tree/inode.h"

/*
 * The text of @inode, a TFS_INO_KEYS, allocated; its length into *@ret_len. It is always the same; GGUF's is read from the files.
 * @guard: NULL, or of
 * the text. -ESTALE: one of them has changed; -EIO or another errno: it can't be read; both are logged. -ENOMEM, -ECANCELED: as @guard says.
 */
int tfs_file_meta_text(const struct tfs_model *m, struct tfs_inode inode, struct tfs_json_guard *guard, char **ret_text,
		       size_t *ret_len);

/* Are the files that such a text is read from still what the model has? 0, -ESTALE, or another error. May wait for storage. */
int tfs_file_meta_check(const struct tfs_model *m, struct tfs_inode inode);

#endif
