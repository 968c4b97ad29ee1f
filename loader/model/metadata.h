/* SPDX-License-Identifier: MIT */
/* What the files of a set say about themselves (set->metadata), as one. */
#ifndef TFS_METADATA_H
#define TFS_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "model/model.h"

struct tfs_merged {
	const struct tfs_metadata *pair; /* of the first file, in the set's order, that has the key */
	bool differs;			 /* another file has another value for it */
};

/* Every key of the set's files once, in the order of keys. @ret_merged is the caller's to free. -ENOMEM. */
int tfs_metadata_merge(const struct tfs_set *set, struct tfs_merged **ret_merged, size_t *ret_count);

/* The pair of that key, or NULL. */
const struct tfs_metadata *tfs_metadata_find(const struct tfs_merged *merged, size_t n, const char *key);

#endif
