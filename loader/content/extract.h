/* SPDX-License-Identifier: MIT */
/*
 * The bytes of tensors, whether encoded (struct tfs_encoding) or not: inflated, decoded, gathered by their strides, put in order.
 * Any part of a tensor can be requested; the cost depends on the encoding. Thread-safe.
 */
#ifndef TFS_EXTRACT_H
#define TFS_EXTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "content/content.h"
#include "content/staging.h"

struct tfs_extractor;

/* @memory: copied; where what is inflated ahead (content/staging.h) is kept. NULL: out of memory. */
struct tfs_extractor *tfs_extractor_create(struct tfs_sources *sources, const struct tfs_staging_memory *memory);
/* Threads that are inflating stop soon, with -ECANCELED, and no more start. */
void tfs_extractor_stop(struct tfs_extractor *x);
/* Free memory that hasn't been used for @seconds. True: there is some that has. */
bool tfs_extractor_trim(struct tfs_extractor *x, int seconds);
void tfs_extractor_destroy(struct tfs_extractor *x); /* takes NULL */

/*
 * Read the part of the tensor @t, encoded or plain, that @rq requests, with its source pinned and checked. 0; -EIO, rq->err: it
 * can't be read; -ESTALE: the source has changed; -ECANCELED: stopped.
 *
 * A deflated tensor is quick to read sequentially, one part at a time: the end of the last part is remembered for a few. Elsewhere
 * it is inflated from a mark left by an earlier pass, or from its beginning. If it isn't in C order either, it is inflated once,
 * into a staging buffer, if rq->priority gets enough memory for that; otherwise once for each part that there is memory for.
 */
int tfs_extract(struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_read_request *rq);

/*
 * The same for any bytes [at, at + len) of @t, to @dst, which needs no alignment, by way of @bounce: TFS_EXTRACT_SCRATCH bytes
 * aligned to TFS_IO_ALIGN, not rq->scratch if @t is encoded. Uses @rq's priority and scratch, and fills its results, except data.
 */
int tfs_extract_copy(struct tfs_extractor *x, const struct tfs_tensor *t, uint64_t at, size_t len, uint8_t *dst, void *bounce,
		     struct tfs_read_request *rq);

/* Is the source of @t still the file that was mounted, so that what was made of it earlier may be used? 0, or as tfs_extract(). */
int tfs_extract_check(struct tfs_extractor *x, const struct tfs_tensor *t, struct tfs_error *err);

#endif
