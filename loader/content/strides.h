/* SPDX-License-Identifier: MIT */
/* Arrays as dimensions with strides, and reordering their bytes in memory. Pure functions. */
#ifndef TFS_STRIDES_H
#define TFS_STRIDES_H

#include <stdint.h>

#include "tensor/catalog.h"

/* One dimension of an array: its source and destination strides. */
struct tfs_dim {
	uint64_t n;
	uint64_t from; /* decoded bytes from one to the next */
	uint64_t to;   /* bytes in the destination */
};

/* A tensor's dimensions, those that form one run of bytes joined, in C order. The innermost one may be the bytes of an element. */
struct tfs_strided {
	struct tfs_dim dims[TFS_MAX_DIMS + 1];
	unsigned n;
};

/* The tensor @t, which has strides and at least one byte. */
void tfs_strided_describe(const struct tfs_tensor *t, struct tfs_strided *ret);

/*
 * The whole of dimensions [level, …) of the array, the first of them cut to @count, densest first: those with stride 0, which need
 * no reading, come last. Returns how many there are.
 */
unsigned tfs_strided_box(const struct tfs_strided *a, unsigned level, uint64_t count, struct tfs_dim d[TFS_MAX_DIMS + 1]);

/* Copy the box @d of @n dimensions, densest first, from @src to its destination. */
void tfs_strided_copy(const struct tfs_dim *d, unsigned n, const uint8_t *src, uint8_t *dst);

/*
 * A part of an array that is read in one pass over its source, and kept in the source's order, without what doesn't belong to it or
 * is repeated.
 */
struct tfs_strided_part {
	uint64_t at, end;	  /* bytes of the array, in C order */
	uint64_t from;		  /* decoded byte where its first element is */
	uint64_t bytes;		  /* that it needs */
	struct tfs_strided array; /* of the part; from: in the kept bytes */
	/* How to read it: a box that begins at @from; to: in the kept bytes. */
	struct tfs_dim fill[TFS_MAX_DIMS + 1];
	unsigned n_fill;
};

/* Bytes that the whole array requires as one part. */
uint64_t tfs_strided_size(const struct tfs_strided *a);

/* The largest part with byte @at of the array that needs no more than @room bytes, which is at least 1. */
void tfs_strided_part(const struct tfs_strided *a, uint64_t at, uint64_t room, struct tfs_strided_part *ret);

#endif
