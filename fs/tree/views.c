/* SPDX-License-Identifier: MIT */
#include "tree/views.h"

#include <string.h>

const struct tfs_view_info tfs_views[TFS_VIEWS] = {
	[TFS_VIEW_TENSORS] = { "tensors", true, "", true, TFS_RAW },
	[TFS_VIEW_NPY] = { "npy", true, ".npy", true, TFS_NPY },
	[TFS_VIEW_F32] = { "f32", true, ".npy", true, TFS_F32 },
	[TFS_VIEW_META] = { "meta", true, ".json", false, TFS_RAW },
	[TFS_VIEW_TREE] = { .dir = "tree" },
	[TFS_VIEW_WHOLE] = { .dir = "whole" },
};

bool tfs_views_parse(const char *list, unsigned *ret_views)
{
	unsigned views = 0;

	if (!strcmp(list, "all") || !strcmp(list, "none")) {
		*ret_views = *list == 'a' ? TFS_VIEWS_ALL : 0;
		return true;
	}
	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",:");
		unsigned v = 0;

		while (v < TFS_VIEWS && (strlen(tfs_views[v].dir) != len || memcmp(tfs_views[v].dir, p, len)))
			v++;
		if (v == TFS_VIEWS)
			return false;
		views |= 1u << v;
		p += len;
		if (!*p)
			break;
	}
	*ret_views = views;
	return true;
}
