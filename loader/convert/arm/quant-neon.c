/* SPDX-License-Identifier: MIT */
/* NEON for GGUF's most common block types: the steps of x86/quant-avx2.c, sixteen bytes at a time. */
#include "convert/arm/levels.h"

#include <arm_neon.h>

#include "convert/scalar.h"

#define INLINE static inline __attribute__((always_inline))

/* @finite: of the scales of the block at src. */
#define KERNEL(name, elems, bytes, finite)                                \
	static void name##_neon(const uint8_t *src, float *dst, size_t n) \
	{                                                                 \
		for (; n; n -= (elems), src += (bytes), dst += (elems))   \
			if (finite)                                       \
				name##_block(src, dst);                   \
			else                                              \
				tfs_##name##_scalar(src, dst, elems);     \
	}

INLINE uint8x16_t low(uint8x16_t x)
{
	return vandq_u8(x, vdupq_n_u8(15));
}

INLINE uint8x16_t high(uint8x16_t x)
{
	return vshrq_n_u8(x, 4);
}

/* @x, of which none is above 127, less @by */
INLINE int8x16_t less(uint8x16_t x, int8_t by)
{
	return vsubq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(by));
}

/* Four 16-bit numbers as floats, times @scale */
INLINE float32x4_t scaled(int16x4_t x, float scale)
{
	return vmulq_f32(vcvtq_f32_s32(vmovl_s16(x)), vdupq_n_f32(scale));
}

/* 16 signed bytes, times @scale */
INLINE void put16(float *y, int8x16_t x, float scale)
{
	int16x8_t a = vmovl_s8(vget_low_s8(x)), b = vmovl_high_s8(x);

	vst1q_f32(y, scaled(vget_low_s16(a), scale));
	vst1q_f32(y + 4, scaled(vget_high_s16(a), scale));
	vst1q_f32(y + 8, scaled(vget_low_s16(b), scale));
	vst1q_f32(y + 12, scaled(vget_high_s16(b), scale));
}

/* 16 bytes, none above 127, times @scale, less @min */
INLINE void put16_less(float *y, uint8x16_t x, float scale, float min)
{
	int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x)));
	int16x8_t b = vreinterpretq_s16_u16(vmovl_high_u8(x));
	float32x4_t m = vdupq_n_f32(min);

	vst1q_f32(y, vsubq_f32(scaled(vget_low_s16(a), scale), m));
	vst1q_f32(y + 4, vsubq_f32(scaled(vget_high_s16(a), scale), m));
	vst1q_f32(y + 8, vsubq_f32(scaled(vget_low_s16(b), scale), m));
	vst1q_f32(y + 12, vsubq_f32(scaled(vget_high_s16(b), scale), m));
}

INLINE void q4_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);
	uint8x16_t q = vld1q_u8(b + 2);

	put16(y, less(low(q), 8), d);
	put16(y + 16, less(high(q), 8), d);
}

INLINE void q8_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);

	put16(y, vreinterpretq_s8_u8(vld1q_u8(b + 2)), d);
	put16(y + 16, vreinterpretq_s8_u8(vld1q_u8(b + 18)), d);
}

INLINE void q4_k_block(const uint8_t *b, float *y)
{
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);
	float d = tfs_f16_at(b), dmin = tfs_f16_at(b + 2);

	for (int k = 0; k < 8; k += 2, y += 64) {
		uint8x16_t q0 = vld1q_u8(b + 16 + 16 * k), q1 = vld1q_u8(b + 32 + 16 * k);
		float scale = d * (float)(s.scale >> 8 * k & 63), min = dmin * (float)(s.min >> 8 * k & 63);

		put16_less(y, low(q0), scale, min);
		put16_less(y + 16, low(q1), scale, min);
		scale = d * (float)(s.scale >> (8 * k + 8) & 63);
		min = dmin * (float)(s.min >> (8 * k + 8) & 63);
		put16_less(y + 32, high(q0), scale, min);
		put16_less(y + 48, high(q1), scale, min);
	}
}

/* @q with the fifth bit that bit @k of @fifth is */
INLINE uint8x16_t five_bits(uint8x16_t q, uint8x16_t fifth, int k)
{
	return vorrq_u8(q, vandq_u8(vtstq_u8(fifth, vdupq_n_u8((uint8_t)(1 << k))), vdupq_n_u8(16)));
}

INLINE void q5_k_block(const uint8_t *b, float *y)
{
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);
	float d = tfs_f16_at(b), dmin = tfs_f16_at(b + 2);
	uint8x16_t fifth0 = vld1q_u8(b + 16), fifth1 = vld1q_u8(b + 32);

	for (int k = 0; k < 8; k += 2, y += 64) {
		uint8x16_t q0 = vld1q_u8(b + 48 + 16 * k), q1 = vld1q_u8(b + 64 + 16 * k);
		float scale = d * (float)(s.scale >> 8 * k & 63), min = dmin * (float)(s.min >> 8 * k & 63);

		put16_less(y, five_bits(low(q0), fifth0, k), scale, min);
		put16_less(y + 16, five_bits(low(q1), fifth1, k), scale, min);
		scale = d * (float)(s.scale >> (8 * k + 8) & 63);
		min = dmin * (float)(s.min >> (8 * k + 8) & 63);
		put16_less(y + 32, five_bits(high(q0), fifth0, k + 1), scale, min);
		put16_less(y + 48, five_bits(high(q1), fifth1, k + 1), scale, min);
	}
}

/* Half a row: a sub-block. */
INLINE void q6_k_half_row(float *y, uint8x16_t four, uint8x16_t two, float scale)
{
	put16(y, less(vorrq_u8(four, vandq_u8(two, vdupq_n_u8(3 << 4))), 32), scale);
}

INLINE void q6_k_block(const uint8_t *b, float *y)
{
	const int8_t *scales = (const int8_t *)b + 192;
	float d = tfs_f16_at(b + 208);

	/* All of either half's rows but for one half, then the other: b, y and scales move by half a row. */
	for (int i = 0; i < 4; i++) {
		const uint8_t *q = b + i / 2 * 64 + i % 2 * 16;
		const int8_t *s = scales + i / 2 * 8 + i % 2;
		float *to = y + i / 2 * 128 + i % 2 * 16;
		uint8x16_t q0 = vld1q_u8(q), q1 = vld1q_u8(q + 32), upper = vld1q_u8(b + 128 + 16 * i);

		q6_k_half_row(to, low(q0), vshlq_n_u8(upper, 4), d * (float)s[0]);
		q6_k_half_row(to + 32, low(q1), vshlq_n_u8(upper, 2), d * (float)s[2]);
		q6_k_half_row(to + 64, high(q0), upper, d * (float)s[4]);
		q6_k_half_row(to + 96, high(q1), vshrq_n_u8(upper, 2), d * (float)s[6]);
	}
}

INLINE void mxfp4_block(const uint8_t *b, float *y)
{
	static const int8_t e2m1[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
	int8x16_t values = vld1q_s8(e2m1);
	uint8x16_t q = vld1q_u8(b + 1);
	float scale = tfs_mxfp4_scale(*b);

	put16(y, vqtbl1q_s8(values, low(q)), scale);
	put16(y + 16, vqtbl1q_s8(values, high(q)), scale);
}

KERNEL(q4_0, 32, 18, tfs_f16_is_finite(src))
KERNEL(q8_0, 32, 34, tfs_f16_is_finite(src))
KERNEL(q4_k, 256, 144, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q5_k, 256, 176, tfs_f16_is_finite(src) && tfs_f16_is_finite(src + 2))
KERNEL(q6_k, 256, 210, tfs_f16_is_finite(src + 208))
KERNEL(mxfp4, 32, 17, true) /* no scale is a NaN, and an infinite product as good as another */

void tfs_quant_neon(struct tfs_kernels *k)
{
	tfs_kernels_put(k, "Q4_0", q4_0_neon);
	tfs_kernels_put(k, "Q8_0", q8_0_neon);
	tfs_kernels_put(k, "Q4_K", q4_k_neon);
	tfs_kernels_put(k, "Q5_K", q5_k_neon);
	tfs_kernels_put(k, "Q6_K", q6_k_neon);
	tfs_kernels_put(k, "MXFP4", mxfp4_neon);
}
