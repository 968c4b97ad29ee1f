/* SPDX-License-Identifier: MIT */
/* The values of tensors: as f32/ shows them, or rounded to another type. */
#ifndef TFS_CONTENT_VALUES_H
#define TFS_CONTENT_VALUES_H

#include <stdbool.h>

#include "content/extract.h"

/*
 * Must a model that anything can load have the tensor's values instead of its bytes? True if it is scaled, or has a type that
 * requires the library that wrote it: FP8, FP4, FP6, GGUF's blocks.
 */
bool tfs_valued(const struct tfs_tensor *t);

/* Does it have values? Codes don't, nor does what float32 can't represent. */
bool tfs_has_values(const struct tfs_tensor *t);

/*
 * Dimension @d of these values in a model that isn't quantised: that of @t, except that gpt-oss' experts have the last two axes swapped there
 * (tfs_scaled.other_way_round).
 */
uint64_t tfs_values_dim(const struct tfs_tensor *t, unsigned d);

/*
 * Bytes [at, at + len) of @t as an array of @as (F32, F16 or BF16) with dimensions tfs_values_dim(), to @dst. Uses @rq's priority and scratch, and fills its
 * results, except data. *@ret_too_large: how many values became infinite. 0 or as tfs_extract().
 */
int tfs_values_copy(struct tfs_extractor *x, const struct tfs_tensor *t, const struct tfs_dtype *as, uint64_t at, size_t len,
		    uint8_t *dst, struct tfs_read_request *rq, size_t *ret_too_large);

#endif
