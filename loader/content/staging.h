/* SPDX-License-Identifier: MIT */
/*
 * Parts of deflated tensors that are not in C order, inflated once and kept while they are picked from. A deflate stream can only be
 * gone through from its beginning, and every piece of such a tensor needs bytes from all over it: without this, each piece would
 * have it inflated again.
 *
 * A spool is memory of the budget. It goes when the tensor was read from its beginning to its end, or when nobody has read from it
 * for a while. Thread-safe.
 */
#ifndef TFS_SPOOL_H
#define TFS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/content.h"
#include "content/strides.h"

/* Where spools have their memory from. */
struct tfs_spool_memory {
	/* As much as there is of @want bytes, at least @least: how many were taken; 0: not so many. Without: all that is wanted. */
	uint64_t (*take)(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority);
	void (*give)(void *arg, uint64_t bytes);
	void *arg;
};

/* The spool of a tensor. Whoever has taken it has it alone. */
struct tfs_spool {
	uint8_t *buf;			/* the part's bytes; NULL: there is none */
	struct tfs_strided_part part;	/* of the tensor */
	uint64_t reached;		/* the tensor was read from its beginning to here */

	/* Private. */
	struct tfs_spool *next;
	const struct tfs_tensor *tensor;
	bool busy;
	double used_at; /* of tfs_now() */
};

struct tfs_spools;

struct tfs_spools *tfs_spools_create(const struct tfs_spool_memory *memory); /* copied; NULL: out of memory */
void tfs_spools_destroy(struct tfs_spools *s); /* takes NULL */

/* The one of tensor @t, at first without a part; waits while somebody else has it. NULL: out of memory. To be given back. */
struct tfs_spool *tfs_spool_take(struct tfs_spools *s, const struct tfs_tensor *t);
/* @keep: somebody may read on. */
void tfs_spool_give_back(struct tfs_spools *s, struct tfs_spool *sp, bool keep);

/*
 * Give up the part that it has, and make room for one of array @a with byte @at, as large as the budget allows, at least @least bytes.
 * False: there is no room, and it has none.
 */
bool tfs_spool_fit(struct tfs_spools *s, struct tfs_spool *sp, const struct tfs_strided *a, uint64_t at, uint64_t least,
		   enum tfs_priority priority);

/* Give up those that nobody has read from for @seconds. */
void tfs_spools_trim(struct tfs_spools *s, int seconds);

#endif
