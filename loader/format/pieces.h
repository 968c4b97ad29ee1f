/* SPDX-License-Identifier: MIT */
/*
 * A tensor whose file has it in several pieces, each of them a box of its elements in C order: chunks, slices, parts. Collected in any
 * order, they become the segments of an encoding. Embedded; all zero is empty. Not thread-safe.
 */
#ifndef TFS_FORMAT_PIECES_H
#define TFS_FORMAT_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/catalog.h"

/* Runs of bytes that are adjacent in the file and in the tensor: 24 MiB of table. */
#define TFS_MAX_PIECES (1u << 20)

struct tfs_piece {
	uint64_t at, offset, len; /* bytes: in the tensor, in the file, and their number */
};

struct tfs_pieces {
	struct tfs_piece *all;
	size_t n, room;
	struct tfs_segment *segments; /* of the last tfs_pieces_encode() */
};

/* A box of a tensor with @ndim dimensions. All in elements. */
struct tfs_box {
	const uint64_t *start;	/* its first element; NULL: at 0 in every dimension */
	const uint64_t *count;	/* elements in each dimension, within the tensor's shape */
	const uint64_t *stored; /* the dimensions of the array in the file that it is the beginning of; not less than @count */
};

/* Forget the pieces of the tensor before. */
void tfs_pieces_clear(struct tfs_pieces *p);
void tfs_pieces_fini(struct tfs_pieces *p);

/* @len bytes of the tensor from @at on are at @offset of the file. 0; -ENOMEM; -E2BIG: more than TFS_MAX_PIECES. */
int tfs_pieces_add(struct tfs_pieces *p, uint64_t at, uint64_t offset, uint64_t len);

/*
 * The box @b of the tensor of @shape, whose bytes fit in 64 bits, with elements of @size bytes, is at @offset of the file. Results as
 * above.
 */
int tfs_pieces_add_box(struct tfs_pieces *p, const uint64_t *shape, unsigned ndim, uint32_t size, const struct tfs_box *b,
		       uint64_t offset);

/*
 * All are added, and lie within the file: how to read the tensor of @nbytes bytes. *@ret_offset is where in the file it begins, and
 * *@ret is filled, except for what isn't about pieces, with segments that are valid until the next call; without any if it is one
 * piece. 0; -ENOMEM; -EINVAL: two pieces overlap, or something is missing, from byte *@ret_offset of the tensor on.
 */
int tfs_pieces_encode(struct tfs_pieces *p, uint64_t nbytes, uint64_t *ret_offset, struct tfs_encoding *ret);

#endif
