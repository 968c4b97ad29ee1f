/* SPDX-License-Identifier: MIT */
/*
 * NEON, which every aarch64 has: eight floats at a time, made as in x86/avx2.c. For little-endian only: lanes are as in memory
 * there.
 */
#include "convert/arm/levels.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define SIGN (1u << 31)

/* @bytes: of eight elements */
#define KERNEL(name, bytes)                                                                   \
	static void name##_neon(const uint8_t *src, float *dst, size_t n)                     \
	{                                                                                     \
		for (; n >= 16; n -= 16, src += 2 * (bytes), dst += 16) {                     \
			float32x4x2_t a = name##_eight(src), b = name##_eight(src + (bytes)); \
                                                                                              \
			vst1q_f32(dst, a.val[0]);                                             \
			vst1q_f32(dst + 4, a.val[1]);                                         \
			vst1q_f32(dst + 8, b.val[0]);                                         \
			vst1q_f32(dst + 12, b.val[1]);                                        \
		}                                                                             \
		for (; n >= 8; n -= 8, src += (bytes), dst += 8) {                            \
			float32x4x2_t a = name##_eight(src);                                  \
                                                                                              \
			vst1q_f32(dst, a.val[0]);                                             \
			vst1q_f32(dst + 4, a.val[1]);                                         \
		}                                                                             \
		tfs_##name##_scalar(src, dst, n);                                             \
	}

/* By bytes, as @src has no alignment: vld1 of wider lanes takes a pointer that promises theirs. */
INLINE uint16x8_t u16s_at(const uint8_t *p)
{
	return vreinterpretq_u16_u8(vld1q_u8(p));
}

INLINE uint32x4_t u32s_at(const uint8_t *p)
{
	return vreinterpretq_u32_u8(vld1q_u8(p));
}

INLINE uint32x4x2_t widened(uint16x8_t x)
{
	return (uint32x4x2_t){ { vmovl_u16(vget_low_u16(x)), vmovl_high_u16(x) } };
}

INLINE uint32x4x2_t bytes_at(const uint8_t *p)
{
	return widened(vmovl_u8(vld1_u8(p)));
}

/* The upper halves of floats whose lower ones are 0. */
INLINE float32x4x2_t upper_halves(uint16x8_t x)
{
	uint32x4_t lo = vshll_n_u16(vget_low_u16(x), 16), hi = vshll_high_n_u16(x, 16);

	return (float32x4x2_t){ { vreinterpretq_f32_u32(lo), vreinterpretq_f32_u32(hi) } };
}

INLINE float32x4x2_t halves(uint16x8_t x)
{
	float16x8_t h = vreinterpretq_f16_u16(x);

	return (float32x4x2_t){ { vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h) } };
}

/* As in x86/avx2.c. */
INLINE float32x4_t widen(uint32x4_t x, int bits, int mbits, int bias)
{
	uint32x4_t one = vdupq_n_u32((uint32_t)(1 - bias + 127) << 23);
	uint32x4_t em = vshlq_u32(vandq_u32(x, vdupq_n_u32((1u << (bits - 1)) - 1)), vdupq_n_s32(23 - mbits));
	uint32x4_t normal = vaddq_u32(em, vdupq_n_u32((uint32_t)(127 - bias) << 23));
	float32x4_t subnormal = vsubq_f32(vreinterpretq_f32_u32(vaddq_u32(em, one)), vreinterpretq_f32_u32(one));
	uint32x4_t is_subnormal = vcltq_u32(em, vdupq_n_u32(1u << 23));
	uint32x4_t value = vbslq_u32(is_subnormal, vreinterpretq_u32_f32(subnormal), normal);
	uint32x4_t moved = vshlq_u32(x, vdupq_n_s32(32 - bits));

	return vreinterpretq_f32_u32(vbslq_u32(vdupq_n_u32(SIGN), moved, value));
}

INLINE float32x4_t widen_e4m3(uint32x4_t x)
{
	uint32x4_t is_nan = vceqq_u32(vandq_u32(x, vdupq_n_u32(0x7f)), vdupq_n_u32(0x7f));
	uint32x4_t change = vandq_u32(is_nan, vdupq_n_u32(0x43f00000 ^ 0x7fc00000));

	return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(widen(x, 8, 3, 7)), change));
}

INLINE float32x4_t widen_fnuz(uint32x4_t x, int mbits, int bias)
{
	uint32x4_t is_nan = vceqq_u32(x, vdupq_n_u32(0x80));

	return vbslq_f32(is_nan, vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000)), widen(x, 8, mbits, bias));
}

INLINE float32x4_t widen_e8m0(uint32x4_t x)
{
	uint32x4_t value = vmaxq_u32(vshlq_n_u32(x, 23), vdupq_n_u32(1u << 22)); /* 2^-127 for 0 */
	uint32x4_t is_nan = vceqq_u32(x, vdupq_n_u32(0xff));

	return vreinterpretq_f32_u32(vorrq_u32(value, vandq_u32(is_nan, vdupq_n_u32(1u << 22))));
}

/* Eight times six bits, one in each lane. */
INLINE uint32x4x2_t six_bits(const uint8_t *p)
{
	/* The two bytes in which each begins and ends; where it lies in one, any other. */
	static const uint8_t spread[16] = { 0, 1, 0, 1, 1, 2, 2, 2, 3, 4, 3, 4, 4, 5, 5, 5 };
	static const int16_t down[8] = { 0, -6, -4, -2, 0, -6, -4, -2 };
	uint32_t lo;
	uint16_t hi;
	uint8x16_t all;
	uint16x8_t x;

	memcpy(&lo, p, sizeof lo);
	memcpy(&hi, p + 4, sizeof hi);
	all = vreinterpretq_u8_u64(vdupq_n_u64((uint64_t)hi << 32 | lo));
	x = vreinterpretq_u16_u8(vqtbl1q_u8(all, vld1q_u8(spread)));
	return widened(vandq_u16(vshlq_u16(x, vld1q_s16(down)), vdupq_n_u16(63)));
}

INLINE float32x4x2_t bf16_eight(const uint8_t *p)
{
	return upper_halves(u16s_at(p));
}

INLINE float32x4x2_t f16_eight(const uint8_t *p)
{
	return halves(u16s_at(p));
}

INLINE float32x4_t f64_four(const uint8_t *p)
{
	float64x2_t lo = vreinterpretq_f64_u8(vld1q_u8(p)), hi = vreinterpretq_f64_u8(vld1q_u8(p + 16));

	return vcvt_high_f32_f64(vcvt_f32_f64(lo), hi);
}

INLINE float32x4x2_t f64_eight(const uint8_t *p)
{
	return (float32x4x2_t){ { f64_four(p), f64_four(p + 32) } };
}

INLINE float32x4x2_t e4m3_eight(const uint8_t *p)
{
	uint32x4x2_t x = bytes_at(p);

	return (float32x4x2_t){ { widen_e4m3(x.val[0]), widen_e4m3(x.val[1]) } };
}

INLINE float32x4x2_t e5m2_eight(const uint8_t *p)
{
	return halves(vshll_n_u8(vld1_u8(p), 8));
}

INLINE float32x4x2_t e8m0_eight(const uint8_t *p)
{
	uint32x4x2_t x = bytes_at(p);

	return (float32x4x2_t){ { widen_e8m0(x.val[0]), widen_e8m0(x.val[1]) } };
}

INLINE float32x4x2_t e4m3fnuz_eight(const uint8_t *p)
{
	uint32x4x2_t x = bytes_at(p);

	return (float32x4x2_t){ { widen_fnuz(x.val[0], 3, 8), widen_fnuz(x.val[1], 3, 8) } };
}

INLINE float32x4x2_t e5m2fnuz_eight(const uint8_t *p)
{
	uint32x4x2_t x = bytes_at(p);

	return (float32x4x2_t){ { widen_fnuz(x.val[0], 2, 16), widen_fnuz(x.val[1], 2, 16) } };
}

INLINE float32x4x2_t f4_eight(const uint8_t *p)
{
	/* The upper two bytes of 0, 0.5, 1, 1.5, 2, 3, 4 and 6, and of their negatives; the other two are 0. */
	static const uint8_t first[16] = { 0,	 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
					   0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0 };
	static const uint8_t second[16] = {
		0, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0, 0, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0
	};
	uint8x8_t all, x;
	uint32_t four;

	memcpy(&four, p, sizeof four);
	all = vreinterpret_u8_u32(vdup_n_u32(four));
	x = vzip1_u8(vand_u8(all, vdup_n_u8(15)), vshr_n_u8(all, 4));
	return upper_halves(vorrq_u16(vshll_n_u8(vqtbl1_u8(vld1q_u8(first), x), 8), vmovl_u8(vqtbl1_u8(vld1q_u8(second), x))));
}

INLINE float32x4x2_t e2m3_eight(const uint8_t *p)
{
	uint32x4x2_t x = six_bits(p);

	return (float32x4x2_t){ { widen(x.val[0], 6, 3, 1), widen(x.val[1], 6, 3, 1) } };
}

INLINE float32x4x2_t e3m2_eight(const uint8_t *p)
{
	uint32x4x2_t x = six_bits(p);

	return (float32x4x2_t){ { widen(x.val[0], 6, 2, 3), widen(x.val[1], 6, 2, 3) } };
}

INLINE float32x4x2_t unsigned_ints(uint32x4_t lo, uint32x4_t hi)
{
	return (float32x4x2_t){ { vcvtq_f32_u32(lo), vcvtq_f32_u32(hi) } };
}

INLINE float32x4x2_t signed_ints(int32x4_t lo, int32x4_t hi)
{
	return (float32x4x2_t){ { vcvtq_f32_s32(lo), vcvtq_f32_s32(hi) } };
}

INLINE float32x4x2_t boolean_eight(const uint8_t *p)
{
	uint32x4x2_t x = widened(vmovl_u8(vmin_u8(vld1_u8(p), vdup_n_u8(1))));

	return unsigned_ints(x.val[0], x.val[1]);
}

INLINE float32x4x2_t u8_eight(const uint8_t *p)
{
	uint32x4x2_t x = bytes_at(p);

	return unsigned_ints(x.val[0], x.val[1]);
}

INLINE float32x4x2_t i8_eight(const uint8_t *p)
{
	int16x8_t x = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p)));

	return signed_ints(vmovl_s16(vget_low_s16(x)), vmovl_high_s16(x));
}

INLINE float32x4x2_t u16_eight(const uint8_t *p)
{
	uint32x4x2_t x = widened(u16s_at(p));

	return unsigned_ints(x.val[0], x.val[1]);
}

INLINE float32x4x2_t i16_eight(const uint8_t *p)
{
	int16x8_t x = vreinterpretq_s16_u16(u16s_at(p));

	return signed_ints(vmovl_s16(vget_low_s16(x)), vmovl_high_s16(x));
}

INLINE float32x4x2_t u32_eight(const uint8_t *p)
{
	return unsigned_ints(u32s_at(p), u32s_at(p + 16));
}

INLINE float32x4x2_t i32_eight(const uint8_t *p)
{
	return signed_ints(vreinterpretq_s32_u32(u32s_at(p)), vreinterpretq_s32_u32(u32s_at(p + 16)));
}

KERNEL(boolean, 8)
KERNEL(u8, 8)
KERNEL(i8, 8)
KERNEL(u16, 16)
KERNEL(i16, 16)
KERNEL(u32, 32)
KERNEL(i32, 32)
KERNEL(f64, 64)
KERNEL(f16, 16)
KERNEL(bf16, 16)
KERNEL(e4m3, 8)
KERNEL(e5m2, 8)
KERNEL(e8m0, 8)
KERNEL(e4m3fnuz, 8)
KERNEL(e5m2fnuz, 8)
KERNEL(f4, 4)
KERNEL(e2m3, 6)
KERNEL(e3m2, 6)

static void override(struct tfs_kernels *k)
{
	tfs_kernels_put(k, "BF16", bf16_neon);
	tfs_kernels_put(k, "F16", f16_neon);
	tfs_kernels_put(k, "F64", f64_neon);
	tfs_kernels_put(k, "F8_E4M3", e4m3_neon);
	tfs_kernels_put(k, "F8_E5M2", e5m2_neon);
	tfs_kernels_put(k, "F8_E8M0", e8m0_neon);
	tfs_kernels_put(k, "F8_E4M3FNUZ", e4m3fnuz_neon);
	tfs_kernels_put(k, "F8_E5M2FNUZ", e5m2fnuz_neon);
	tfs_kernels_put(k, "F4", f4_neon);
	tfs_kernels_put(k, "F6_E2M3", e2m3_neon);
	tfs_kernels_put(k, "F6_E3M2", e3m2_neon);
	tfs_kernels_put(k, "BOOL", boolean_neon);
	tfs_kernels_put(k, "U8", u8_neon);
	tfs_kernels_put(k, "I8", i8_neon);
	tfs_kernels_put(k, "U16", u16_neon);
	tfs_kernels_put(k, "I16", i16_neon);
	tfs_kernels_put(k, "U32", u32_neon);
	tfs_kernels_put(k, "I32", i32_neon);
	tfs_quant_neon(k);
}

const struct tfs_level tfs_level_neon = { .name = "neon", .override = override };
