/* SPDX-License-Identifier: MIT */
/*
 * The values of scaled weights (tensor/scaled.h), any part of one at a time. What is needed besides a weight's codes, such as
 * scales, is read once, for the first part that is requested, kept while parts are read (within the budget, if it is large), and
 * shared by all. Thread-safe.
 *
 * The budget refuses what is larger than it is, or than what open files leave of it. So that a small one doesn't make most weights
 * unreadable, one weight at a time may then go beyond it (struct tfs_staging_memory), while others that need that, too, wait.
 */
#ifndef TFS_CONTENT_SCALED_H
#define TFS_CONTENT_SCALED_H

#include "content/content.h"
#include "content/staging.h"
#include "tensor/scaled.h"

struct tfs_scaled_pool;

/* @memory: copied. NULL: out of memory. */
struct tfs_scaled_pool *tfs_scaled_pool_create(const struct tfs_staging_memory *memory);
void tfs_scaled_pool_destroy(struct tfs_scaled_pool *p); /* takes NULL */

/* Free what hasn't been used for @seconds. True: there is something that has. */
bool tfs_scaled_pool_trim(struct tfs_scaled_pool *p, int seconds);

/*
 * Compute the part of the scaled weight @t that @rq requests, in whole floats, reading with @x, which owns @p. Returns as
 * tfs_extract() does; also -ENOMEM: what is needed besides the codes is larger than the budget and what may be taken beyond it.
 */
int tfs_scaled_read(struct tfs_scaled_pool *p, struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_read_request *rq);

#endif
