/* SPDX-License-Identifier: MIT */
/*
 * A single file given as MODEL: its format, the set that it is part of, and the files that it refers to. Nothing else of its directory is
 * scanned. Private to this folder, while a model is built.
 */
#ifndef TFS_MODEL_GIVEN_H
#define TFS_MODEL_GIVEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct tfs_model_impl;

/* Paths of files, relative to the model's root. Zero it before use. */
struct tfs_given_paths {
	struct tfs_arena arena;
	const char **paths; /* without empty parts, `.` and `..` */
	size_t n, room;
};

void tfs_given_fini(struct tfs_given_paths *w);

/*
 * Fill *@w with the paths of the file @name of the model's directory and of what belongs to it; sets @m's given_format where only the
 * content tells. Errors in the files that belong to it are found again, and reported, when the sets are built. -EINVAL (it is no weights),
 * -ENOMEM or what the storage says, with @err filled.
 */
int tfs_given_find(struct tfs_model_impl *m, const char *name, struct tfs_given_paths *w, struct tfs_error *err);

/* The names in the directory @node that are on the way to a path of @w, as from tfs_scan_list(). 0 or -errno. */
int tfs_given_list(const struct tfs_model_impl *m, uint32_t node, const struct tfs_given_paths *w, struct tfs_arena *arena,
		   const void ***ret_names, size_t *ret_count);

#endif
