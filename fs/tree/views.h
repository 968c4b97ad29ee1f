/* SPDX-License-Identifier: MIT */
/* The views: the directories that a directory with weights has in addition to its own entries, and sets/STEM for each set. */
#ifndef TFS_FS_VIEWS_H
#define TFS_FS_VIEWS_H

#include <stdbool.h>

#include "content/view.h"

enum tfs_view_dir { TFS_VIEW_TENSORS, TFS_VIEW_NPY, TFS_VIEW_F32, TFS_VIEW_META, TFS_VIEW_TREE, TFS_VIEW_WHOLE, TFS_VIEWS };

struct tfs_view_info {
	const char *dir;    /* "tensors" */
	bool flat;	    /* a file for each tensor, under its name … */
	const char *suffix; /* … and this, ".json", of at most TFS_SUFFIX_MAX bytes; NULL if it isn't flat */
	bool loaded;	    /* their bytes come from the loader, in this view of it; otherwise the text is generated on request */
	enum tfs_view_id loader_view;
};
extern const struct tfs_view_info tfs_views[TFS_VIEWS];

/* Some of the views: bit 1 << VIEW for each. */
#define TFS_VIEWS_ALL ((1u << TFS_VIEWS) - 1)

/*
 * "all", "none", or names of directories separated by commas; or colons, as a comma may end an option. False: @list is invalid.
 */
bool tfs_views_parse(const char *list, unsigned *ret_views);

#endif
