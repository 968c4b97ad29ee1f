/* SPDX-License-Identifier: MIT */
/* Reading deflated tensors from wherever the last read of them ended, or came by. */
#ifndef TFS_INFLATE_H
#define TFS_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "content/source.h"
#include "tensor/catalog.h"

/* One way through a deflate stream. Whoever has taken it has it alone. */
struct tfs_inflater;

/* Those that wait for the next reader, and copies of those that came by: marks, from where others can begin. Thread-safe. */
struct tfs_inflaters;

struct tfs_inflaters *tfs_inflaters_create(void); /* NULL: out of memory */
/* From now on tfs_inflater_read() fails with -ECANCELED, soon where it is under way. */
void tfs_inflaters_stop(struct tfs_inflaters *pool);
void tfs_inflaters_destroy(struct tfs_inflaters *pool); /* takes NULL */

/*
 * One for @t that stands at decoded byte @at or before: the nearest that was given back, or a copy of a mark, or a new one at the
 * beginning. Tensors of one stream share them. NULL: out of memory. To be given back.
 */
struct tfs_inflater *tfs_inflater_take(struct tfs_inflaters *pool, const struct tfs_tensor *t, uint64_t at);
void tfs_inflater_give_back(struct tfs_inflaters *pool, struct tfs_inflater *f);

/*
 * Decoded bytes [at, at + len), counted from the beginning of the stream, into @dst; it stands at or before @at. @scratch:
 * TFS_EXTRACT_SCRATCH bytes, the same ones until it is given back, for what was read and not inflated yet stays in them. -EIO: the
 * stream is damaged or ends too early; then it is of no more use than to be given back. -ECANCELED.
 */
int tfs_inflater_read(struct tfs_inflater *f, struct tfs_source *source, uint64_t at, size_t len, uint8_t *dst, uint8_t *scratch,
		      enum tfs_read_how *ret_how, struct tfs_error *err);

/* The decoded byte that it stands at. */
uint64_t tfs_inflater_place(const struct tfs_inflater *f);

#endif
