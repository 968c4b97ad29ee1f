/* SPDX-License-Identifier: MIT */
/* Elements of a tensor, chosen as NumPy's basic indexing does: NAME[3,:8], NAME[-1], NAME[..., ::2]. */
#ifndef TFS_CLI_SLICE_H
#define TFS_CLI_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/catalog.h"

/* For each dimension of the tensor: elements first, first + step, …, of which there are count. */
struct tfs_slice {
	unsigned ndim;
	struct tfs_slice_dim {
		uint64_t first, count;
		int64_t step;
		bool index; /* a number, which removes the dimension */
	} dims[TFS_MAX_DIMS];
};

/*
 * Where "[…]" of a "NAME[…]" begins, if it could be a choice of elements: consists of the characters of one. NULL: it has none.
 */
const char *tfs_slice_find(const char *name);

/*
 * Parse @text, "[…]" to its end, for a tensor of that shape. 0; -EINVAL: @why (of @size bytes) says what is wrong with it.
 */
int tfs_slice_parse(const char *text, const uint64_t *shape, unsigned ndim, struct tfs_slice *ret_slice, char *why, size_t size);

/* The number of elements chosen. */
uint64_t tfs_slice_count(const struct tfs_slice *s);

#endif
