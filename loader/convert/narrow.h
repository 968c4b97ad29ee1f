/* SPDX-License-Identifier: MIT */
/*
 * Float32 to 16 bits, little-endian, rounded once to nearest, ties to even (IEEE 754, 4.3.1). A NaN stays one, with its sign and
 * the high bits of its payload, and becomes quiet. Functions without state.
 */
#ifndef TFS_CONVERT_NARROW_H
#define TFS_CONVERT_NARROW_H

#include <stddef.h>
#include <stdint.h>

#include "convert/convert.h"

/*
 * Convert @n floats at @src to 2 bytes each at @dst, which they don't overlap; neither need be aligned. Returns how many of them were
 * finite and too large: they are infinities then.
 */
typedef size_t tfs_narrow_fn(const float *src, uint8_t *dst, size_t n);

/* The best kernels on this CPU. */
tfs_narrow_fn *tfs_to_bf16(void);
tfs_narrow_fn *tfs_to_f16(void);

/*
 * What float32 would round, F64 and integers of 32 and 64 bits, to float32 for a tfs_narrow_fn: rounded to the neighbour whose last bit is 1
 * ("to odd") and never to infinity, so that the second rounding is as if it were the only one (Boldo and Melquiond: Emulation of FMA and
 * Correctly Rounded Sums, 2008). NULL for other types, whose tfs_convert_for() is exact.
 */
tfs_convert_fn *tfs_convert_to_odd(const struct tfs_dtype *dtype);

/* Of @n F64 at @src, how many are finite, but infinite as float32. */
size_t tfs_f64_too_large(const uint8_t *src, size_t n);

/* The same for a CPU without levels above @level; NULL if this CPU lacks it. For tests and benchmarks. */
tfs_narrow_fn *tfs_to_bf16_for_level(unsigned level);
tfs_narrow_fn *tfs_to_f16_for_level(unsigned level);

#endif
