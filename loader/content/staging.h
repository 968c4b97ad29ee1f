/* SPDX-License-Identifier: MIT */
/*
 * Parts of deflated tensors that aren't in C order, inflated once and kept while elements are picked from them. A deflate stream
 * can only be read from its beginning, and every piece of such a tensor needs bytes from all over it: without this, it would be
 * inflated again for each piece.
 *
 * A staging buffer uses memory of the budget. It is freed when the tensor was read from beginning to end, or when it hasn't been
 * used for a while. Thread-safe.
 */
#ifndef TFS_CONTENT_STAGING_H
#define TFS_CONTENT_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "content/content.h"
#include "content/strides.h"

/* Where staging buffers, and what scaled weights are computed with, get their memory. */
struct tfs_staging_memory {
	/* As much as available of @want bytes, at least @least: the number taken; 0: not enough. NULL: all of @want. */
	uint64_t (*take)(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority);
	void (*give)(void *arg, uint64_t bytes);
	void *arg;
	uint64_t overdraft; /* bytes that one scaled weight at a time may need where take() has none; see content/scaled.h */
};

/* The staging buffer of a tensor. Exclusive to whoever has taken it. */
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

/* The one of tensor @t, at first without a part; waits while another thread has it. NULL: out of memory. Must be given back. */
struct tfs_staging *tfs_staging_take(struct tfs_staging_pool *s, const struct tfs_tensor *t);
/* @keep: more reads may follow. */
void tfs_staging_give_back(struct tfs_staging_pool *s, struct tfs_staging *sp, bool keep);

/*
 * Release its current part, and make room for one of array @a with byte @at, as large as the budget allows, at least @least bytes.
 * False: there is no room, and it has no part.
 */
bool tfs_staging_fit(struct tfs_staging_pool *s, struct tfs_staging *sp, const struct tfs_strided *a, uint64_t at, uint64_t least,
		     enum tfs_priority priority);

/* Release those that haven't been used for @seconds. True: there are others. */
bool tfs_staging_pool_trim(struct tfs_staging_pool *s, int seconds);

#endif
