/* SPDX-License-Identifier: MIT */
/* The model.safetensors of each set that gets one, made when it is first needed. Thread-safe. */
#ifndef TFS_FS_WHOLES_H
#define TFS_FS_WHOLES_H

#include "model/model.h"
#include "content/consolidated.h"

struct tfs_wholes;

struct tfs_wholes *tfs_wholes_create(const struct tfs_model *model); /* NULL: out of memory */
void tfs_wholes_destroy(struct tfs_wholes *w);			     /* takes NULL */

/* Does that set get one? */
bool tfs_wholes_has(struct tfs_wholes *w, uint32_t set);

/* That of a set that does. It lives as long as @w. NULL: out of memory. */
const struct tfs_whole *tfs_wholes_get(struct tfs_wholes *w, uint32_t set);

/*
 * The name in directory @dir under which programs look for its primary set in safetensors, if it is in another format, complete, has
 * such a file and has one of the stems that they know: "model.safetensors" for most. Not where the directory has a file, shards or an index of
 * that name. Otherwise NULL.
 */
const char *tfs_wholes_standard_name(struct tfs_wholes *w, uint32_t dir);

#endif
