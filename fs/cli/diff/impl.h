/* SPDX-License-Identifier: MIT */
/*
 * tensorfs diff.
 *
 *   diff.c      the command: which tensors of both models are compared
 *   compare.c   reads them: bytes first, values only where these differ
 *   report.c    what is printed
 */
#ifndef TFS_CLI_DIFF_IMPL_H
#define TFS_CLI_DIFF_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/moments.h"
#include "cli/progress.h"
#include "cli/selection.h"

enum { TFS_A, TFS_B, TFS_SIDES };

struct tfs_diff_side {
	const char *path; /* as given */
	struct tfs_model_arg arg;
	struct tfs_scope scope;
};

enum tfs_diff_kind { TFS_EQUAL, TFS_ONLY_A, TFS_ONLY_B, TFS_OTHER_DTYPE, TFS_OTHER_SHAPE, TFS_OTHER_CONTENT };

/* A tensor of one model, and the one of that name in the other. */
struct tfs_diff_pair {
	struct tfs_item items[TFS_SIDES];
	const struct tfs_tensor *t[TFS_SIDES]; /* NULL: not there */
	enum tfs_diff_kind kind;
	bool valued;		 /* d says by how much they differ; else they can't be compared by value, or are equal */
	struct tfs_difference d; /* of values */
};

struct tfs_diff {
	struct tfs_diff_side sides[TFS_SIDES];
	struct tfs_diff_pair *pairs; /* in the order of names */
	size_t n, room;
	bool brief; /* only whether they differ */
	bool json;
	struct tfs_progress progress;
};

/*
 * Compare the content of the pairs that are in both models, of the same shape, and set their kinds and differences. If brief it stops at
 * the first difference. 0, or -errno after printing an error.
 */
int tfs_diff_compare(struct tfs_diff *d);

/* "gptq" of a computed weight, else the dtype. */
const char *tfs_diff_dtype(const struct tfs_tensor *t);

/* Print what was found. 0 or -errno. */
int tfs_diff_report(const struct tfs_diff *d);
int tfs_diff_report_json(const struct tfs_diff *d);

#endif
