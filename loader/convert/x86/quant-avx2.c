/* SPDX-License-Identifier: MIT */
/*
 * AVX2 for GGUF's most common block types: the steps of ../quant.c and ../kquant.c, where the layouts are, for eight elements at a
 * time. A compiler may fuse multiplying with subtracting; that rounds as the two do, as their product is exact.
 */
#include "convert/x86/levels.h"

#include <immintrin.h>

#include "convert/scalar.h"

#define TARGET __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline, target("avx2,f16c")))

/* @finite: of the scales of the block at src. */
#define KERNEL(name, elems, bytes, finite)                                       \
	static TARGET void name##_avx2(const uint8_t *src, float *dst, size_t n) \
	{                                                                        \
		for (; n; n -= (elems), src += (bytes), dst += (elems))          \
			if (finite)                                              \
				name##_block(src, dst);                          \
			else                                                     \
				tfs_##name##_scalar(src, dst, elems);            \
	}

INLINE __m128i load16(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE __m256i load32(const void *p)
{
	return _mm256_loadu_si256(p);
}

INLINE __m256i bytes(int x)
{
	return _mm256_set1_epi8((char)x);
}

/* The low four bits of each byte, and the high four. */
INLINE __m256i low(__m256i x)
{
	return _mm256_and_si256(x, bytes(15));
}

INLINE __m256i high(__m256i x)
{
	return low(_mm256_srli_epi16(x, 4));
}

INLINE __m256 f16_at(const uint8_t *p)
{
	return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(tfs_le16(p))));
}

/* Eight signed bytes, the lower half of @x, as floats. */
INLINE __m256 eight(__m128i x)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
}

INLINE __m128i upper(__m128i x)
{
	return _mm_unpackhi_epi64(x, x);
}

/* 16 signed bytes, times @scale */
INLINE void put16(float *y, __m128i x, __m256 scale)
{
	_mm256_storeu_ps(y, _mm256_mul_ps(eight(x), scale));
	_mm256_storeu_ps(y + 8, _mm256_mul_ps(eight(upper(x)), scale));
}

INLINE void put32(float *y, __m256i x, __m256 scale)
{
	put16(y, _mm256_castsi256_si128(x), scale);
	put16(y + 16, _mm256_extracti128_si256(x, 1), scale);
}

/* 32 signed bytes, times @scale, less @min */
INLINE void put32_less(float *y, __m256i x, __m256 scale, __m256 min)
{
	__m128i a = _mm256_castsi256_si128(x), b = _mm256_extracti128_si256(x, 1);

	_mm256_storeu_ps(y, _mm256_sub_ps(_mm256_mul_ps(eight(a), scale), min));
	_mm256_storeu_ps(y + 8, _mm256_sub_ps(_mm256_mul_ps(eight(upper(a)), scale), min));
	_mm256_storeu_ps(y + 16, _mm256_sub_ps(_mm256_mul_ps(eight(b), scale), min));
	_mm256_storeu_ps(y + 24, _mm256_sub_ps(_mm256_mul_ps(eight(upper(b)), scale), min));
}

INLINE void q4_0_block(const uint8_t *b, float *y)
{
	__m128i q = load16(b + 2);
	/* low ones in the lower half, high ones in the upper */
	__m256i x = low(_mm256_inserti128_si256(_mm256_castsi128_si256(q), _mm_srli_epi16(q, 4), 1));

	put32(y, _mm256_sub_epi8(x, bytes(8)), f16_at(b));
}

INLINE void q8_0_block(const uint8_t *b, float *y)
{
	put32(y, load32(b + 2), f16_at(b));
}

/* The scales and minima of the eight sub-blocks, as factors of their elements. */
INLINE void k_scales(const uint8_t *b, float scale[8], float min[8])
{
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);

	_mm256_storeu_ps(scale, _mm256_mul_ps(f16_at(b), eight(_mm_cvtsi64_si128((long long)s.scale))));
	_mm256_storeu_ps(min, _mm256_mul_ps(f16_at(b + 2), eight(_mm_cvtsi64_si128((long long)s.min))));
}

INLINE void q4_k_block(const uint8_t *b, float *y)
{
	float scale[8], min[8];

	k_scales(b, scale, min);
	for (int k = 0; k < 8; k += 2) {
		__m256i q = load32(b + 16 + 16 * k);

		put32_less(y + 32 * k, low(q), _mm256_set1_ps(scale[k]), _mm256_set1_ps(min[k]));
		put32_less(y + 32 * k + 32, high(q), _mm256_set1_ps(scale[k + 1]), _mm256_set1_ps(min[k + 1]));
	}
}

/* 16 where bit @k is set */
INLINE __m256i fifth_bit(__m256i x, int k)
{
	__m256i bit = bytes(1 << k);

	return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit), bytes(16));
}

INLINE void q5_k_block(const uint8_t *b, float *y)
{
	__m256i fifth = load32(b + 16);
	float scale[8], min[8];

	k_scales(b, scale, min);
	for (int k = 0; k < 8; k += 2) {
		__m256i q = load32(b + 48 + 16 * k);

		put32_less(y + 32 * k, _mm256_or_si256(low(q), fifth_bit(fifth, k)), _mm256_set1_ps(scale[k]),
			   _mm256_set1_ps(min[k]));
		put32_less(y + 32 * k + 32, _mm256_or_si256(high(q), fifth_bit(fifth, k + 1)), _mm256_set1_ps(scale[k + 1]),
			   _mm256_set1_ps(min[k + 1]));
	}
}

/* A row of 32: two sub-blocks. */
INLINE void q6_k_row(float *y, __m256i four, __m256i two, const float *scale)
{
	__m256i x = _mm256_sub_epi8(_mm256_or_si256(four, _mm256_and_si256(two, bytes(3 << 4))), bytes(32));

	put16(y, _mm256_castsi256_si128(x), _mm256_set1_ps(scale[0]));
	put16(y + 16, _mm256_extracti128_si256(x, 1), _mm256_set1_ps(scale[1]));
}

INLINE void q6_k_block(const uint8_t *b, float *y)
{
	float scale[16];

	put16(scale, load16(b + 192), f16_at(b + 208));
	for (int half = 0; half < 2; half++, y += 128) {
		__m256i q0 = load32(b + 64 * half), q1 = load32(b + 64 * half + 32), upper = load32(b + 128 + 32 * half);

		q6_k_row(y, low(q0), _mm256_slli_epi16(upper, 4), scale + 8 * half);
		q6_k_row(y + 32, low(q1), _mm256_slli_epi16(upper, 2), scale + 8 * half + 2);
		q6_k_row(y + 64, high(q0), upper, scale + 8 * half + 4);
		q6_k_row(y + 96, high(q1), _mm256_srli_epi16(upper, 2), scale + 8 * half + 6);
	}
}

INLINE void mxfp4_block(const uint8_t *b, float *y)
{
	const __m128i e2m1 = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
	__m128i q = load16(b + 1);
	__m256 scale = _mm256_set1_ps(tfs_mxfp4_scale(*b));

	put16(y, _mm_shuffle_epi8(e2m1, _mm_and_si128(q, _mm_set1_epi8(15))), scale);
	put16(y + 16, _mm_shuffle_epi8(e2m1, _mm_and_si128(_mm_srli_epi16(q, 4), _mm_set1_epi8(15))), scale);
}

KERNEL(q4_0, 32, 18, tfs_f16_is_finite(src))
KERNEL(q8_0, 32, 34, tfs_f16_is_finite(src))
KERNEL(q4_k, 256, 144, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q5_k, 256, 176, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q6_k, 256, 210, tfs_f16_is_finite(src + 208))
KERNEL(mxfp4, 32, 17, true) /* no scale is a NaN, and an infinite product as good as another */

void tfs_quant_avx2(struct tfs_kernels *k)
{
	tfs_kernels_put(k, "Q4_0", q4_0_avx2);
	tfs_kernels_put(k, "Q8_0", q8_0_avx2);
	tfs_kernels_put(k, "Q4_K", q4_k_avx2);
	tfs_kernels_put(k, "Q5_K", q5_k_avx2);
	tfs_kernels_put(k, "Q6_K", q6_k_avx2);
	tfs_kernels_put(k, "MXFP4", mxfp4_avx2);
}
