/* SPDX-License-Identifier: MIT */
/* The model.safetensors of each set that has one, created when first needed. Thread-safe. */
#ifndef TFS_TREE_CONSOLIDATED_H
#define TFS_TREE_CONSOLIDATED_H

#include "content/consolidated.h"
#include "model/model.h"

struct tfs_consolidated_all;

struct tfs_consolidated_all *tfs_consolidated_all_create(const struct tfs_model *model); /* NULL: out of memory */
void tfs_consolidated_all_destroy(struct tfs_consolidated_all *w);			 /* takes NULL */

/* Does that set have one? */
bool tfs_consolidated_has(struct tfs_consolidated_all *w, uint32_t set);

/* Was the one of a set made before? */
bool tfs_consolidated_there(struct tfs_consolidated_all *w, uint32_t set);

/* The one of a set that does, valid as long as @w. NULL: out of memory. */
const struct tfs_consolidated *tfs_consolidated_get(struct tfs_consolidated_all *w, uint32_t set);

/*
 * The name in directory @dir under which programs look for its primary set in safetensors, if it is in another format, complete, has
 * such a file and has one of the stems that they know: usually "model.safetensors". Not if the directory has a file, shards or an
 * index of that name. Otherwise NULL.
 */
const char *tfs_consolidated_standard_name(struct tfs_consolidated_all *w, uint32_t dir);

#endif
