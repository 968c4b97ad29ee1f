/* SPDX-License-Identifier: MIT */
/* What the scalar kernels share: numbers in memory, small floats, and the loop over blocks. */
#ifndef TFS_CONVERT_SCALAR_H
#define TFS_CONVERT_SCALAR_H

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "convert/kernels.h"

#define TFS_NAN_BITS 0x7fc00000u /* quiet, no payload */

static inline float tfs_float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

static inline uint16_t tfs_le16(const uint8_t *p)
{
	uint16_t x;

	memcpy(&x, p, sizeof x);
	return le16toh(x);
}

static inline uint32_t tfs_le32(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof x);
	return le32toh(x);
}

static inline uint64_t tfs_le64(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return le64toh(x);
}

/*
 * A float of one sign bit, @ebits bits of exponent with @bias and @mbits of mantissa, all of whose patterns are numbers:
 *	exponent E > 0: ±2^(E - bias) × 1.M
 *	exponent 0:     ±2^(1 - bias) × 0.M
 * It has fewer bits of both kinds than float32, where all such numbers are normal or zero.
 */
static inline float tfs_widen(uint32_t x, unsigned ebits, unsigned mbits, int bias)
{
	uint32_t sign = (x >> (ebits + mbits) & 1) << 31;
	uint32_t m = x & ((1u << mbits) - 1);
	int e = (int)(x >> mbits & ((1u << ebits) - 1));

	if (!e) {
		if (!m)
			return tfs_float_of(sign);
		/* 0.M × 2^1 as 1.M × 2^e */
		for (e = 1; !(m >> mbits); e--)
			m <<= 1;
		m &= (1u << mbits) - 1;
	}
	return tfs_float_of(sign | (uint32_t)(e - bias + 127) << 23 | m << (23 - mbits));
}

static inline float tfs_f16(uint32_t x)
{
	uint32_t sign = (x & 0x8000) << 16, m = x & 0x3ff;

	if ((x & 0x7c00) == 0x7c00)
		return tfs_float_of(sign | (m ? TFS_NAN_BITS | m << 13 : 0x7f800000));
	return tfs_widen(x, 5, 10, 15);
}

static inline float tfs_f16_at(const uint8_t *p)
{
	return tfs_f16(tfs_le16(p));
}

/*
 * Does a block with this scale have no NaN? Vector kernels of block types leave the others to the scalar one. What is finite
 * does not overflow either: 65504 × 63 × 63 does not.
 */
static inline bool tfs_f16_is_finite(const uint8_t *p)
{
	return (p[1] & 0x7c) != 0x7c;
}

/*
 * The kernel of a type whose blocks of @bytes bytes hold @elems elements, from a function that converts one. Which NaN comes
 * of computing with an infinite scale, or with two NaNs, differs between CPUs and compilers; so all of them become one.
 */
#define TFS_BLOCK_KERNEL(name, elems, bytes)                                                     \
	void tfs_##name##_scalar(const uint8_t *src, float *dst, size_t n)                       \
	{                                                                                        \
		for (; n; n -= (elems), src += (bytes), dst += (elems)) {                        \
			name##_block(src, dst);                                                  \
			for (size_t i = 0; i < (elems); i++)                                     \
				dst[i] = dst[i] == dst[i] ? dst[i] : tfs_float_of(TFS_NAN_BITS); \
		}                                                                                \
	}

/* MXFP4: the E8M0 scale, halved. Unlike in F8_E8M0, 255 is no NaN but the next power of two: ggml reads it so. */
static inline float tfs_mxfp4_scale(uint8_t x)
{
	return tfs_float_of(x < 2 ? 0x00200000u << x : (uint32_t)(x - 1) << 23);
}

/* Q4_K and Q5_K: the scale and the minimum of each of eight sub-blocks, a byte each, the first one's lowest. */
struct tfs_k_scales {
	uint64_t scale, min;
};

/*
 * They have six bits each, in twelve bytes: those of sub-blocks 0 to 3 are the low bits of bytes 0 to 3 (scales) and 4 to 7
 * (minima), whose upper two bits belong to sub-blocks 4 to 7. The other four of those are in bytes 8 to 11, the scale's low.
 */
static inline struct tfs_k_scales tfs_k_scales_at(const uint8_t *p)
{
	uint32_t a = tfs_le32(p), b = tfs_le32(p + 4), c = tfs_le32(p + 8);
	uint32_t scale = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
	uint32_t min = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);

	return (struct tfs_k_scales){ (uint64_t)scale << 32 | (a & 0x3f3f3f3f), (uint64_t)min << 32 | (b & 0x3f3f3f3f) };
}

#endif
