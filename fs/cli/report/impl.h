/* SPDX-License-Identifier: MIT */
/*
 * tensorfs report.
 *
 *   report.c    the command: groups of tensors, and what their values are like
 *   treemap.c   rectangles with the areas of the groups
 *   html.c      the page
 */
#ifndef TFS_CLI_REPORT_IMPL_H
#define TFS_CLI_REPORT_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/moments.h"
#include "cli/progress.h"
#include "cli/selection.h"

enum { TFS_REPORT_BINS = 40 };

/* Tensors whose names differ only in numbers, of one dtype. */
struct tfs_report_group {
	char *name;	   /* the pattern, or the name of the only one, as it may be printed; malloc()ed */
	const char *dtype; /* or the scheme of computed weights */
	size_t first, n;   /* in the items */
	uint64_t elements, bytes;
	bool computed; /* from codes, which are another group, and have the bytes */
	bool valued;
	struct tfs_moments moments;
	uint64_t counts[TFS_REPORT_BINS]; /* between the minimum and the maximum; all 0 if these are the same */
};

struct tfs_report {
	struct tfs_model_arg arg;
	const char *path; /* as given */
	struct tfs_scope scope;
	struct tfs_items items;		 /* group by group */
	struct tfs_report_group *groups; /* the largest first */
	size_t n, room;
	uint64_t bytes, elements, tensors;
	struct tfs_progress progress;
};

struct tfs_rectangle {
	double x, y, width, height;
};

/*
 * Divide @room into rectangles with these @n areas, the largest first, all positive, whose sum is that of @room, as nearly square as can be
 * (Bruls, Huizing and van Wijk: Squarified Treemaps, 2000).
 */
void tfs_treemap(const double *areas, size_t n, struct tfs_rectangle room, struct tfs_rectangle *ret_rectangles);

/* The page, to standard output. 0 or -ENOMEM. */
int tfs_report_print(const struct tfs_report *r);

#endif
