/* SPDX-License-Identifier: MIT */
/* Reading deflated tensors from wherever the last read of them ended. */
#ifndef TFS_INFLATE_H
#define TFS_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog.h"
#include "source.h"

/* One way through the deflate stream of a tensor. Whoever has taken it has it alone. */
struct tfs_inflater;

/* Those that wait for the next reader. Thread-safe. */
struct tfs_inflaters;

struct tfs_inflaters *tfs_inflaters_create(void); /* NULL: out of memory */
void tfs_inflaters_destroy(struct tfs_inflaters *pool); /* takes NULL */

/*
 * One for @t that stands at decoded byte @at or before: one that was given back, or a new one at the beginning. NULL: out of
 * memory. To be given back.
 */
struct tfs_inflater *tfs_inflater_take(struct tfs_inflaters *pool, const struct tfs_tensor *t, uint64_t at);
void tfs_inflater_give_back(struct tfs_inflaters *pool, struct tfs_inflater *f);

/*
 * Decoded bytes [at, at + len), counted from the beginning of the stream, into @dst; it stands at or before @at. @scratch:
 * TFS_EXTRACT_SCRATCH bytes, the same ones until it is given back, for what was read and not inflated yet stays in them. -EIO: the
 * stream is damaged or ends too early; then it is of no more use than to be given back.
 */
int tfs_inflater_read(struct tfs_inflater *f, struct tfs_source *source, uint64_t at, size_t len, uint8_t *dst,
		      uint8_t *scratch, enum tfs_read_how *ret_how, struct tfs_error *err);

/* The decoded byte that it stands at. */
uint64_t tfs_inflater_place(const struct tfs_inflater *f);

#endif
