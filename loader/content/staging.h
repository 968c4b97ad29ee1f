/* SPDX-License-Identifier: MIT */
/*
 * Parts of deflated tensors that are not in C order, inflated once and kept while they are picked from. A deflate stream can only be
 * gone through from its beginning, and every piece of such a tensor needs bytes from all over it: without this, each piece would
 * have it inflated again.
 *
 * A staging buffer is memory of the budget. It goes when the tensor was read from its beginning to its end, or when nobody has read from it
 * for a while. Thread-safe.
 */
#ifndef TFS_CONTENT_STAGING_H
#define TFS_CONTENT_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "content/content.h"
#include "content/strides.h"

/* Where staging buffers have their memory from. */
struct tfs_staging_memory {
	/* As much as there is of @want bytes, at least @least: how many were taken; 0: not so many. Without: all that is wanted. */
	uint64_t (*take)(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority);
	void (*give)(void *arg, uint64_t bytes);
	void *arg;
};

/* The staging buffer of a tensor. Whoever has taken it has it alone. */
struct tfs_staging {
	uint8_t *buf;		      /* the part's bytes; NULL: there is none */
	struct tfs_strided_part part; /* of the tensor */
	uint64_t reached;	      /* the tensor was read from its beginning to here */

	/* Private. */
	struct tfs_list link;
	const struct tfs_tensor *tensor;
	bool busy;
	double used_at; /* of tfs_now() */
};

struct tfs_staging_pool;

struct tfs_staging_pool *tfs_staging_pool_create(const struct tfs_staging_memory *memory); /* copied; NULL: out of memory */
void tfs_staging_pool_destroy(struct tfs_staging_pool *s);				   /* takes NULL */

/* The one of tensor @t, at first without a part; waits while somebody else has it. NULL: out of memory. To be given back. */
struct tfs_staging *tfs_staging_take(struct tfs_staging_pool *s, const struct tfs_tensor *t);
/* @keep: somebody may read on. */
void tfs_staging_give_back(struct tfs_staging_pool *s, struct tfs_staging *sp, bool keep);

/*
 * Give up the part that it has, and make room for one of array @a with byte @at, as large as the budget allows, at least @least bytes.
 * False: there is no room, and it has none.
 */
bool tfs_staging_fit(struct tfs_staging_pool *s, struct tfs_staging *sp, const struct tfs_strided *a, uint64_t at, uint64_t least,
		     enum tfs_priority priority);

/* Give up those that nobody has read from for @seconds. */
void tfs_staging_pool_trim(struct tfs_staging_pool *s, int seconds);

#endif
