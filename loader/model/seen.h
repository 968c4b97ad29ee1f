/* SPDX-License-Identifier: MIT */
/*
 * The directories that a scan has come to, found by device and inode. Private to this folder; single-threaded.
 */
#ifndef TFS_MODEL_SEEN_H
#define TFS_MODEL_SEEN_H

#include "model/model.h"

/* All zero is empty. */
struct tfs_seen {
	uint32_t *slots; /* nodes, hashed by identity; UINT32_MAX: free */
	size_t n, room;	 /* @room is a power of two */
};

/* Add the directory @node of @nodes, unless one with its identity is there already. 0 or -ENOMEM. */
int tfs_seen_add(struct tfs_seen *s, const struct tfs_node *nodes, uint32_t node);

/* The node with this identity, or UINT32_MAX. */
uint32_t tfs_seen_find(const struct tfs_seen *s, const struct tfs_node *nodes, const struct tfs_identity *id);

void tfs_seen_fini(struct tfs_seen *s);

#endif
