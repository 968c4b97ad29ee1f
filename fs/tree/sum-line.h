/* SPDX-License-Identifier: MIT */
/* The lines of .tensorfs/XXH128SUMS, as xxh128sum writes them. */
#ifndef TFS_TREE_SUM_LINE_H
#define TFS_TREE_SUM_LINE_H

#include <stdio.h>

/*
 * "HASH  DIR/NAME". Only a name that would break the line is escaped, marked by a '\' at its beginning, as xxhsum does. Versions before
 * 0.8.2 don't know that, and take a '\' in a name literally; so do later ones if the line doesn't begin with one.
 */
void tfs_sum_line_put(FILE *f, const char *hash, const char *dir, const char *name);

#endif
