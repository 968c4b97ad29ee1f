/* SPDX-License-Identifier: MIT */
/*
 * Encoded little-endian elements to float32: what the f32/ view shows. A kernel is a plain function without state, so
 * everything here may be called from any thread.
 *
 * Every kernel of a dtype gives the same bits, whatever the CPU:
 * - Values are exact where float32 has them, else rounded once, to nearest, ties to even (IEEE 754, 4.3.1): integers above
 *   2^24, and F64, which overflows to an infinity and underflows to subnormals. Signs are kept, of zeros too.
 * - BF16 and F32 are moved, not computed with: a NaN keeps all its bits, a signalling one stays one.
 * - F16, F8_E5M2 and F64 are converted as IEEE 754 (6.2.3) has it and CPUs do: a NaN keeps its sign and the high bits of
 *   its payload, and becomes quiet.
 * - The NaN of the other 8-bit types has no payload: 0x7fc00000, and the sign where the type has two of them (F8_E4M3).
 * - BOOL is 1 for every byte but 0.
 * - GGUF's block types have the values that ggml computes. A scale times small integers is exact (fewer than 24 bits), so what
 *   rounds, once, is only the difference or sum that some types have, and Q8_K's product. Every NaN that a block's scales lead
 *   to is 0x7fc00000.
 *
 * The rounding is that of the thread's floating-point environment, so leave that as C starts with it.
 */
#ifndef TFS_CONVERT_CONVERT_H
#define TFS_CONVERT_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

/*
 * Convert the @n elements at @src, a multiple of the dtype's block_elems, to @n floats at @dst. @src need not be aligned,
 * @dst to 4 bytes only; 64 is faster. They do not overlap. Not a byte beyond either is touched. Cannot fail.
 */
typedef void tfs_convert_fn(const uint8_t *src, float *dst, size_t n);

/*
 * Levels of vector instructions that there are kernels for on this architecture, numbered from 0, which is plain C. A level's name
 * is "scalar", "neon", "avx2" or "avx512".
 */
enum { TFS_SIMD_SCALAR };
unsigned tfs_simd_levels(void);
const char *tfs_simd_name(unsigned level);

/* The highest level that this CPU has. */
unsigned tfs_simd_best(void);

/* The best kernel for @dtype on this CPU; NULL where it has no numeric meaning as float32 (C64). */
tfs_convert_fn *tfs_convert_for(const struct tfs_dtype *dtype);

/*
 * The same for a CPU with nothing above @level: where a dtype has no kernel of that level, that of the next one below.
 * NULL also where this CPU lacks @level. For tests and measurements.
 */
tfs_convert_fn *tfs_convert_for_level(const struct tfs_dtype *dtype, unsigned level);

#endif
