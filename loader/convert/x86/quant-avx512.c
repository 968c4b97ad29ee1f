/* SPDX-License-Identifier: MIT */
/* AVX-512 for GGUF's most common block types: as quant-avx2.c, for sixteen elements at a time. */
#include "convert/x86/levels.h"

#include <immintrin.h>

#include "convert/scalar.h"

#define FEATURES "avx512f,avx512bw,avx512dq,avx512vl"
#define TARGET	 __attribute__((target(FEATURES)))
#define INLINE	 static inline __attribute__((always_inline, target(FEATURES)))

/* @finite: of the scales of the block at src. */
#define KERNEL(name, elems, bytes, finite)                                         \
	static TARGET void name##_avx512(const uint8_t *src, float *dst, size_t n) \
	{                                                                          \
		for (; n; n -= (elems), src += (bytes), dst += (elems))            \
			if (finite)                                                \
				name##_block(src, dst);                            \
			else                                                       \
				tfs_##name##_scalar(src, dst, elems);              \
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

INLINE __m256i low(__m256i x)
{
	return _mm256_and_si256(x, bytes(15));
}

INLINE __m256i high(__m256i x)
{
	return low(_mm256_srli_epi16(x, 4));
}

/* 16 bytes of two elements each: the low ones, then the high ones. */
INLINE __m256i low_high(__m128i q)
{
	return low(_mm256_inserti128_si256(_mm256_castsi128_si256(q), _mm_srli_epi16(q, 4), 1));
}

INLINE float f16_at(const uint8_t *p)
{
	return _mm_cvtss_f32(_mm_maskz_cvtph_ps(1, _mm_cvtsi32_si128(tfs_le16(p))));
}

/* 16 signed bytes, times @scale */
INLINE __m512 scaled(__m128i x, float scale)
{
	return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)), _mm512_set1_ps(scale));
}

INLINE void put32(float *y, __m256i x, float scale0, float scale1)
{
	_mm512_storeu_ps(y, scaled(_mm256_castsi256_si128(x), scale0));
	_mm512_storeu_ps(y + 16, scaled(_mm256_extracti128_si256(x, 1), scale1));
}

INLINE void put32_less(float *y, __m256i x, float scale, float min)
{
	__m512 a = scaled(_mm256_castsi256_si128(x), scale), b = scaled(_mm256_extracti128_si256(x, 1), scale);

	_mm512_storeu_ps(y, _mm512_sub_ps(a, _mm512_set1_ps(min)));
	_mm512_storeu_ps(y + 16, _mm512_sub_ps(b, _mm512_set1_ps(min)));
}

INLINE void q4_0_block(const uint8_t *b, float *y)
{
	float d = f16_at(b);

	put32(y, _mm256_sub_epi8(low_high(load16(b + 2)), bytes(8)), d, d);
}

INLINE void q8_0_block(const uint8_t *b, float *y)
{
	float d = f16_at(b);

	put32(y, load32(b + 2), d, d);
}

/* The scales and minima of the eight sub-blocks, as factors of their elements. */
INLINE void k_scales(const uint8_t *b, float scale[8], float min[8])
{
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);
	__m256i six = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)s.scale));
	__m256i other_six = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)s.min));

	_mm256_storeu_ps(scale, _mm256_mul_ps(_mm256_set1_ps(f16_at(b)), _mm256_cvtepi32_ps(six)));
	_mm256_storeu_ps(min, _mm256_mul_ps(_mm256_set1_ps(f16_at(b + 2)), _mm256_cvtepi32_ps(other_six)));
}

INLINE void q4_k_block(const uint8_t *b, float *y)
{
	float scale[8], min[8];

	k_scales(b, scale, min);
	for (int k = 0; k < 8; k += 2) {
		__m256i q = load32(b + 16 + 16 * k);

		put32_less(y + 32 * k, low(q), scale[k], min[k]);
		put32_less(y + 32 * k + 32, high(q), scale[k + 1], min[k + 1]);
	}
}

/* 16 where bit @k is set */
INLINE __m256i fifth_bit(__m256i x, int k)
{
	return _mm256_maskz_mov_epi8(_mm256_test_epi8_mask(x, bytes(1 << k)), bytes(16));
}

INLINE void q5_k_block(const uint8_t *b, float *y)
{
	__m256i fifth = load32(b + 16);
	float scale[8], min[8];

	k_scales(b, scale, min);
	for (int k = 0; k < 8; k += 2) {
		__m256i q = load32(b + 48 + 16 * k);

		put32_less(y + 32 * k, _mm256_or_si256(low(q), fifth_bit(fifth, k)), scale[k], min[k]);
		put32_less(y + 32 * k + 32, _mm256_or_si256(high(q), fifth_bit(fifth, k + 1)), scale[k + 1], min[k + 1]);
	}
}

/* A row of 32: two sub-blocks. */
INLINE void q6_k_row(float *y, __m256i four, __m256i two, const float *scale)
{
	__m256i x = _mm256_or_si256(four, _mm256_and_si256(two, bytes(3 << 4)));

	put32(y, _mm256_sub_epi8(x, bytes(32)), scale[0], scale[1]);
}

INLINE void q6_k_block(const uint8_t *b, float *y)
{
	float scale[16];

	_mm512_storeu_ps(scale, scaled(load16(b + 192), f16_at(b + 208)));
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
	float scale = tfs_mxfp4_scale(*b);

	put32(y, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(e2m1), low_high(load16(b + 1))), scale, scale);
}

KERNEL(q4_0, 32, 18, tfs_f16_is_finite(src))
KERNEL(q8_0, 32, 34, tfs_f16_is_finite(src))
KERNEL(q4_k, 256, 144, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q5_k, 256, 176, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q6_k, 256, 210, tfs_f16_is_finite(src + 208))
KERNEL(mxfp4, 32, 17, true) /* no scale is a NaN, and an infinite product as good as another */

void tfs_quant_avx512(struct tfs_kernels *k)
{
	tfs_kernels_put(k, "Q4_0", q4_0_avx512);
	tfs_kernels_put(k, "Q8_0", q8_0_avx512);
	tfs_kernels_put(k, "Q4_K", q4_k_avx512);
	tfs_kernels_put(k, "Q5_K", q5_k_avx512);
	tfs_kernels_put(k, "Q6_K", q6_k_avx512);
	tfs_kernels_put(k, "MXFP4", mxfp4_avx512);
}
