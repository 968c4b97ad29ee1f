/* SPDX-License-Identifier: MIT */
/* tensorfs cache export: a model as files, out of the cache. */
#ifndef TFS_CLI_CACHE_EXPORT_H
#define TFS_CLI_CACHE_EXPORT_H

#include "remote/cache.h"

/*
 * Write the files of @t to the directory @dir, which is created, or empty: those at the paths @names (@n of them), or with none all of
 * them. Each is checked, piece by piece and, where the origin has said one, by its hash. All of them appear in the end, or none. 0;
 * -ENODATA: a file isn't complete, or damaged; -ENOENT: there is none at such a path; another -errno. It says what is wrong.
 */
int tfs_cache_export(struct tfs_cache *c, const struct tfs_remote_table *t, const char *dir, char **names, int n);

#endif
