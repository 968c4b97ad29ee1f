/* SPDX-License-Identifier: MIT */
/* The values of tensors: what f32/ shows of them, and the same rounded to another type. */
#ifndef TFS_CONTENT_VALUES_H
#define TFS_CONTENT_VALUES_H

#include <stdbool.h>

#include "content/extract.h"

/*
 * Is a tensor of a model that anything loads to be had by its values only: one that is scaled, or of a type that needs the library
 * that made it: FP8, FP4, FP6, GGUF's blocks?
 */
bool tfs_valued(const struct tfs_tensor *t);

/* Has it values? Not codes, nor what float32 can't say. */
bool tfs_has_values(const struct tfs_tensor *t);

/*
 * The bytes [at, at + len) of @t as an array of @as: F32, F16 or BF16, to @dst. Of @rq the priority and the scratch count, and its
 * answer is filled, but for data. *@ret_too_large: how many values became infinite. 0 or as tfs_extract().
 */
int tfs_values_copy(struct tfs_extractor *x, const struct tfs_tensor *t, const struct tfs_dtype *as, uint64_t at, size_t len,
		    uint8_t *dst, struct tfs_read_request *rq, size_t *ret_too_large);

#endif
