/* SPDX-License-Identifier: MIT */
/*
 * Float32 to 16 bits, little-endian, rounded once to nearest, ties to even (IEEE 754, 4.3.1). A NaN stays one, with its sign and
 * the high bits of its payload, and becomes quiet. Functions without state.
 */
#ifndef TFS_CONVERT_NARROW_H
#define TFS_CONVERT_NARROW_H

#include <stddef.h>
#include <stdint.h>

void tfs_to_bf16(const float *src, uint8_t *dst, size_t n);

/* Returns how many were finite but too large: they became infinities. */
size_t tfs_to_f16(const float *src, uint8_t *dst, size_t n);

#endif
