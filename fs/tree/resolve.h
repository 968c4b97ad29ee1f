/* SPDX-License-Identifier: MIT */
/*
 * Maps names in the mount to the files that the loader loads, and back. A name is
 *
 *   tensors/model.embed_tokens.weight    a path from the root of the mount; its last component may be a glob
 *   model.layers.0.*                     without a slash: in tensors/ of the root
 *   sets/q4/tensors                      a directory: everything below it
 */
#ifndef TFS_TREE_RESOLVE_H
#define TFS_TREE_RESOLVE_H

#include <stddef.h>

#include "tree/tree.h"

struct tfs_files {
	struct tfs_file_id *ids; /* malloc'd */
	size_t n, room;
};

/*
 * Add the files that @name refers to, in directory order, including those of tensors without elements. -ENOENT: there is none;
 * -ENOTDIR, -ENAMETOOLONG, -ENOMEM. On failure some may have been added.
 */
int tfs_resolve_name(struct tfs_tree *tree, const char *name, struct tfs_files *files);

/* The path of a file from the root of the mount, allocated; NULL: out of memory. */
char *tfs_resolve_path(struct tfs_tree *tree, struct tfs_file_id id);

#endif
