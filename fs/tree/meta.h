/* SPDX-License-Identifier: MIT */
/* meta/NAME.json: what a tensor is, and where it is from. */
#ifndef TFS_TREE_META_H
#define TFS_TREE_META_H

#include <jansson.h>
#include <stddef.h>

#include "model/model.h"
#include "tree/inode.h"

/* The text of the tensor's file, which is always the same, allocated; its length into *@ret_len. NULL: out of memory. */
char *tfs_meta_text(const struct tfs_model *model, struct tfs_inode inode, size_t *ret_len);

/* The shape as JSON, "[4096,128]", as in meta/ and in user.tensorfs.shape; allocated. */
char *tfs_shape_text(const struct tfs_tensor *t);

/*
 * A JSON string of any bytes: bytes that aren't UTF-8 (a file name may be anything) are shown as '?'. Owned by the caller; NULL:
 * out of memory.
 */
json_t *tfs_json_any(const char *s, size_t len);

#endif
