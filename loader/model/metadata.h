/* SPDX-License-Identifier: MIT */
/* The metadata of a set's files (set->metadata), merged. */
#ifndef TFS_METADATA_H
#define TFS_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "model/model.h"

struct tfs_merged {
	const struct tfs_metadata *pair; /* of the first file, in the set's order, that has the key */
	bool differs;			 /* another file has a different value for it */
};

/* Every key of the set's files once, sorted by key. The caller frees @ret_merged. -ENOMEM. */
int tfs_metadata_merge(const struct tfs_set *set, struct tfs_merged **ret_merged, size_t *ret_count);

/* The pair with that key, or NULL. */
const struct tfs_metadata *tfs_metadata_find(const struct tfs_merged *merged, size_t n, const char *key);

#endif
