/* SPDX-License-Identifier: MIT */
/* Shared by the parts of tensorfs ls: ls.c, the command and its lists; summary.c, groups and totals. */
#ifndef TFS_CLI_LS_IMPL_H
#define TFS_CLI_LS_IMPL_H

#include "cli/selection.h"

enum tfs_ls_sort { TFS_LS_AS_GIVEN, TFS_LS_BY_SIZE, TFS_LS_BY_NAME, TFS_LS_BY_FILE };

/* What makes up a line of the summary. */
enum tfs_ls_by { TFS_LS_PATTERNS, TFS_LS_LAYERS, TFS_LS_DTYPES, TFS_LS_FILES };

/*
 * Print the summary of @items: a line for each group, and totals. @computed: weights that are computed from codes get lines, too, without
 * bytes of their own. 0 or -ENOMEM, -ENAMETOOLONG.
 */
int tfs_ls_summary(const struct tfs_model *model, const struct tfs_items *items, enum tfs_ls_by by, enum tfs_ls_sort sort,
		   bool computed);

#endif
