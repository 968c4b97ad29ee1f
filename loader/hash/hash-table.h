/* SPDX-License-Identifier: MIT */
/*
 * Hashes that are known, by tensor, and the first tensor of each hash. 16 bytes for each tensor of a set of which one is known, and
 * 16 to 32 for each hash. Not thread-safe: the caller has a lock.
 */
#ifndef TFS_HASH_TABLE_H
#define TFS_HASH_TABLE_H

#include "hash/hash.h"

struct tfs_hash_table {
	const struct tfs_model *model;
	struct tfs_hash **of_set; /* by tensor; all zeros: not known. NULL before the set's first */
	uint64_t known;
	struct tfs_first *firsts; /* open addressing, at most half full */
	size_t n_firsts, room;
	uint64_t seed; /* of their places */
};

/* A tensor that was the first of its hash. */
struct tfs_first {
	uint32_t set, tensor; /* set UINT32_MAX: none */
};

int tfs_hash_table_init(struct tfs_hash_table *h, const struct tfs_model *model); /* 0 or -ENOMEM */
void tfs_hash_table_fini(struct tfs_hash_table *h);				  /* takes one that is all zeros */

bool tfs_hash_recall(const struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_hash *ret_hash);

/*
 * 0 or -ENOMEM. A tensor whose hash is all zeros is not remembered, but hashed again each time: that is right, and will not happen.
 */
int tfs_hash_remember(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, const struct tfs_hash *hash);

/*
 * The hash of @tensor, which is not empty, was remembered. True: another tensor of its length and hash was there before it. The
 * first one of its hash is kept for those that follow; where memory is out it is not.
 */
bool tfs_hash_first(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_first *ret_first);

#endif
