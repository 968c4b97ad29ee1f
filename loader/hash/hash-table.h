/* SPDX-License-Identifier: MIT */
/*
 * Known hashes, by tensor, and the first tensor with each hash. 16 bytes for each tensor of a set that has a known one, and 16 to
 * 32 per hash. Not thread-safe: the caller holds a lock.
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
	uint64_t seed; /* number of slots */
};

/* The first tensor with its hash. */
struct tfs_first {
	uint32_t set, tensor; /* set UINT32_MAX: none */
};

int tfs_hash_table_init(struct tfs_hash_table *h, const struct tfs_model *model); /* 0 or -ENOMEM */
void tfs_hash_table_fini(struct tfs_hash_table *h);				  /* accepts an all-zero struct */

bool tfs_hash_recall(const struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_hash *ret_hash);

/*
 * 0 or -ENOMEM. A tensor whose hash is all zeros isn't remembered, but hashed again each time: that is correct, and won't happen.
 */
int tfs_hash_remember(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, const struct tfs_hash *hash);

/*
 * The hash of @tensor, which isn't empty, was remembered. True: there was already another tensor with its length and hash. The
 * first one with a hash is kept for later ones, unless memory is exhausted.
 */
bool tfs_hash_first(struct tfs_hash_table *h, uint32_t set, uint32_t tensor, struct tfs_first *ret_first);

#endif
