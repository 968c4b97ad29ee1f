/* SPDX-License-Identifier: MIT */
/*
 * The values of scaled weights (tensor/scaled.h), any part of one at a time. What a weight's codes go with is read once, by the first
 * who wants a part, kept while parts are read, in memory of the budget where it is large, and shared by all. Thread-safe.
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

/* Give up what nobody has read from for @seconds. */
void tfs_scaled_pool_trim(struct tfs_scaled_pool *p, int seconds);

/*
 * The part of the scaled weight @t that @rq asks for, in whole floats, by way of @x, whose pool @p is. 0; or as tfs_extract(): -ENOMEM too,
 * where there is no memory for what the codes go with.
 */
int tfs_scaled_read(struct tfs_scaled_pool *p, struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_read_request *rq);

#endif
