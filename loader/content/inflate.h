/* SPDX-License-Identifier: MIT */
/* Reading deflated tensors from where an earlier read ended, or left a mark. */
#ifndef TFS_INFLATE_H
#define TFS_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "content/source.h"
#include "tensor/catalog.h"

/* A pass through a deflate stream. Exclusive to whoever has taken it. */
struct tfs_inflater;

/* Those waiting for the next reader, and copies of earlier states: marks, from which others can start. Thread-safe. */
struct tfs_inflaters;

struct tfs_inflaters *tfs_inflaters_create(void); /* NULL: out of memory */
/* From now on tfs_inflater_read() fails with -ECANCELED, and soon if it is running. */
void tfs_inflaters_stop(struct tfs_inflaters *pool);
void tfs_inflaters_destroy(struct tfs_inflaters *pool); /* takes NULL */

/*
 * One for @t that is at decoded byte @at or before: the nearest that was returned, or a copy of a mark, or a new one at the
 * beginning. Tensors of one stream share them. NULL: out of memory. Must be given back.
 */
struct tfs_inflater *tfs_inflater_take(struct tfs_inflaters *pool, const struct tfs_tensor *t, uint64_t at);
void tfs_inflater_give_back(struct tfs_inflaters *pool, struct tfs_inflater *f);

/*
 * Decoded bytes [at, at + len), counted from the beginning of the stream, into @dst; its position must be at or before @at.
 * @scratch: TFS_EXTRACT_SCRATCH bytes, the same ones until it is given back, as they hold what was read but not inflated yet. -EIO:
 * the stream is damaged or ends too early; then it can only be given back. -ECANCELED.
 */
int tfs_inflater_read(struct tfs_inflater *f, struct tfs_source *source, uint64_t at, size_t len, uint8_t *dst, uint8_t *scratch,
		      enum tfs_read_how *ret_how, struct tfs_error *err);

/* The decoded byte that it is at. */
uint64_t tfs_inflater_place(const struct tfs_inflater *f);

#endif
