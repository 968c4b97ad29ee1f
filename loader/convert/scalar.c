/* SPDX-License-Identifier: MIT */
/*
 * The reference: each kernel in plain C, one element at a time, from the definitions of
 * - IEEE 754-2019, 3.4 (F16, F32, F64),
 * - OCP 8-bit Floating Point Specification 1.0, 5.1 (F8_E4M3, F8_E5M2),
 * - OCP Microscaling Formats (MX) 1.0, 5.3 and 5.4 (F6_E2M3, F6_E3M2, F4, F8_E8M0),
 * - ml_dtypes 0.5.4, ml_dtypes/include (types with its names),
 * - Noune and others, 8-bit Numerical Formats for Deep Neural Networks, 2022 (arXiv:2206.02915) (the FNUZ types).
 * Vector kernels must give the same bits, and use these for less than a vector. GGUF's block types: quant.c.
 */
#include <stdbool.h>
#include <string.h>

#include "convert/scalar.h"

static float f16_at(const uint8_t *p)
{
	return tfs_f16_at(p);
}

static float bf16_at(const uint8_t *p)
{
	return tfs_float_of((uint32_t)tfs_le16(p) << 16);
}

/* No infinities, so 448 is a number, and one NaN for each sign. */
static float e4m3_at(const uint8_t *p)
{
	if ((*p & 0x7f) == 0x7f)
		return tfs_float_of((uint32_t)(*p & 0x80) << 24 | TFS_NAN_BITS);
	return tfs_widen(*p, 4, 3, 7);
}

/* The upper half of an F16, with all its rules. */
static float e5m2_at(const uint8_t *p)
{
	return tfs_f16((uint32_t)*p << 8);
}

/* No infinities, no -0: its pattern is the only NaN. */
static float e4m3fnuz_at(const uint8_t *p)
{
	return *p == 0x80 ? tfs_float_of(TFS_NAN_BITS) : tfs_widen(*p, 4, 3, 8);
}

static float e5m2fnuz_at(const uint8_t *p)
{
	return *p == 0x80 ? tfs_float_of(TFS_NAN_BITS) : tfs_widen(*p, 5, 2, 16);
}

/* Just a power of two: 2^(x - 127). The first is below float32's normal numbers. */
static float e8m0_at(const uint8_t *p)
{
	return tfs_float_of(*p == 0xff ? TFS_NAN_BITS : *p ? (uint32_t)*p << 23 : 1u << 22);
}

/* With infinities and NaNs of two signs and a payload, as in IEEE 754. */
static float ieee(uint32_t x, unsigned ebits, unsigned mbits, int bias)
{
	uint32_t sign = (x & 0x80) << 24, m = x & ((1u << mbits) - 1);

	if ((x >> mbits & ((1u << ebits) - 1)) != (1u << ebits) - 1)
		return tfs_widen(x, ebits, mbits, bias);
	return tfs_float_of(sign | (m ? TFS_NAN_BITS | m << (23 - mbits) : 0x7f800000));
}

static float ml_e3m4_at(const uint8_t *p)
{
	return ieee(*p, 3, 4, 3);
}

static float ml_e4m3_at(const uint8_t *p)
{
	return ieee(*p, 4, 3, 7);
}

static float ml_e4m3b11fnuz_at(const uint8_t *p)
{
	return *p == 0x80 ? tfs_float_of(TFS_NAN_BITS) : tfs_widen(*p, 4, 3, 11);
}

/* Narrower than their byte: any bit above the number is its sign, as in ml_dtypes. */
static float narrow(uint32_t x, unsigned ebits, unsigned mbits, int bias)
{
	uint32_t sign = 1u << (ebits + mbits);

	return tfs_widen((x & (sign - 1)) | (x >= sign ? sign : 0), ebits, mbits, bias);
}

static float ml_e2m3fn_at(const uint8_t *p)
{
	return narrow(*p, 2, 3, 1);
}

static float ml_e3m2fn_at(const uint8_t *p)
{
	return narrow(*p, 3, 2, 3);
}

static float ml_e2m1fn_at(const uint8_t *p)
{
	return narrow(*p, 2, 1, 1);
}

static float ml_int2_at(const uint8_t *p)
{
	return (float)((*p & 3) ^ 2) - 2;
}

static float ml_uint2_at(const uint8_t *p)
{
	return (float)(*p & 3);
}

static float ml_int4_at(const uint8_t *p)
{
	return (float)((*p & 15) ^ 8) - 8;
}

static float ml_uint4_at(const uint8_t *p)
{
	return (float)(*p & 15);
}

static float f64_at(const uint8_t *p)
{
	uint64_t bits = tfs_le64(p);
	double d;

	memcpy(&d, &bits, sizeof d);
	return (float)d;
}

static float boolean_at(const uint8_t *p)
{
	return *p ? 1 : 0;
}

static float u8_at(const uint8_t *p)
{
	return *p;
}

static float i8_at(const uint8_t *p)
{
	return (int8_t)*p;
}

static float u16_at(const uint8_t *p)
{
	return tfs_le16(p);
}

static float i16_at(const uint8_t *p)
{
	return (int16_t)tfs_le16(p);
}

static float u32_at(const uint8_t *p)
{
	return (float)tfs_le32(p);
}

static float i32_at(const uint8_t *p)
{
	return (float)(int32_t)tfs_le32(p);
}

static float u64_at(const uint8_t *p)
{
	return (float)tfs_le64(p);
}

static float i64_at(const uint8_t *p)
{
	return (float)(int64_t)tfs_le64(p);
}

#define KERNEL(name, bytes)                                                \
	void tfs_##name##_scalar(const uint8_t *src, float *dst, size_t n) \
	{                                                                  \
		for (size_t i = 0; i < n; i++)                             \
			dst[i] = name##_at(src + i * (bytes));             \
	}

KERNEL(boolean, 1)
KERNEL(u8, 1)
KERNEL(i8, 1)
KERNEL(u16, 2)
KERNEL(i16, 2)
KERNEL(u32, 4)
KERNEL(i32, 4)
KERNEL(u64, 8)
KERNEL(i64, 8)
KERNEL(f64, 8)
KERNEL(f16, 2)
KERNEL(bf16, 2)
KERNEL(e4m3, 1)
KERNEL(e5m2, 1)
KERNEL(e8m0, 1)
KERNEL(e4m3fnuz, 1)
KERNEL(e5m2fnuz, 1)
KERNEL(ml_e3m4, 1)
KERNEL(ml_e4m3, 1)
KERNEL(ml_e4m3b11fnuz, 1)
KERNEL(ml_e2m3fn, 1)
KERNEL(ml_e3m2fn, 1)
KERNEL(ml_e2m1fn, 1)
KERNEL(ml_int2, 1)
KERNEL(ml_uint2, 1)
KERNEL(ml_int4, 1)
KERNEL(ml_uint4, 1)

void tfs_f32_scalar(const uint8_t *src, float *dst, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(dst, src, n * sizeof *dst);
#else
	for (size_t i = 0; i < n; i++)
		dst[i] = tfs_float_of(tfs_le32(src + i * 4));
#endif
}

/* E2M1, two in a byte, the first in the low half. No infinities or NaN, here and in F6. */
void tfs_f4_scalar(const uint8_t *src, float *dst, size_t n)
{
	for (size_t i = 0; i + 2 <= n; i += 2, src++) {
		dst[i] = tfs_widen(*src & 15, 2, 1, 1);
		dst[i + 1] = tfs_widen(*src >> 4, 2, 1, 1);
	}
}

/* Four in three bytes, from the low bits of a little-endian number up. */
static inline void six_bits(const uint8_t *src, float *dst, size_t n, unsigned ebits, unsigned mbits, int bias)
{
	for (size_t i = 0; i + 4 <= n; i += 4, src += 3) {
		uint32_t x = src[0] | (uint32_t)src[1] << 8 | (uint32_t)src[2] << 16;

		for (unsigned k = 0; k < 4; k++)
			dst[i + k] = tfs_widen(x >> 6 * k & 63, ebits, mbits, bias);
	}
}

void tfs_e2m3_scalar(const uint8_t *src, float *dst, size_t n)
{
	six_bits(src, dst, n, 2, 3, 1);
}

void tfs_e3m2_scalar(const uint8_t *src, float *dst, size_t n)
{
	six_bits(src, dst, n, 3, 2, 3);
}

/* Several in a byte, from the low bits up; two's complement if signed. */
static inline void packed_ints(const uint8_t *src, float *dst, size_t n, unsigned bits, bool is_signed)
{
	size_t in_byte = 8 / bits;

	for (size_t i = 0; i < n; i++) {
		/* up to the byte's upper end, where the sign is, and down again */
		uint8_t x = (uint8_t)(src[i / in_byte] << (8 - bits - i % in_byte * bits));

		dst[i] = (float)(is_signed ? (int8_t)x >> (8 - bits) : x >> (8 - bits));
	}
}

void tfs_i4_scalar(const uint8_t *src, float *dst, size_t n)
{
	packed_ints(src, dst, n, 4, true);
}

void tfs_u4_scalar(const uint8_t *src, float *dst, size_t n)
{
	packed_ints(src, dst, n, 4, false);
}

void tfs_i2_scalar(const uint8_t *src, float *dst, size_t n)
{
	packed_ints(src, dst, n, 2, true);
}

void tfs_u2_scalar(const uint8_t *src, float *dst, size_t n)
{
	packed_ints(src, dst, n, 2, false);
}

/* Every type that has numeric values. Types that aren't here have no f32 view. */
static void override(struct tfs_kernels *k)
{
	k->to_bf16 = tfs_to_bf16_scalar;
	k->to_f16 = tfs_to_f16_scalar;
	tfs_kernels_put(k, "BF16", tfs_bf16_scalar);
	tfs_kernels_put(k, "F16", tfs_f16_scalar);
	tfs_kernels_put(k, "F32", tfs_f32_scalar);
	tfs_kernels_put(k, "F64", tfs_f64_scalar);
	tfs_kernels_put(k, "F8_E4M3", tfs_e4m3_scalar);
	tfs_kernels_put(k, "F8_E5M2", tfs_e5m2_scalar);
	tfs_kernels_put(k, "F8_E8M0", tfs_e8m0_scalar);
	tfs_kernels_put(k, "F8_E4M3FNUZ", tfs_e4m3fnuz_scalar);
	tfs_kernels_put(k, "F8_E5M2FNUZ", tfs_e5m2fnuz_scalar);
	tfs_kernels_put(k, "F4", tfs_f4_scalar);
	tfs_kernels_put(k, "F6_E2M3", tfs_e2m3_scalar);
	tfs_kernels_put(k, "F6_E3M2", tfs_e3m2_scalar);
	tfs_kernels_put(k, "BOOL", tfs_boolean_scalar);
	tfs_kernels_put(k, "U8", tfs_u8_scalar);
	tfs_kernels_put(k, "I8", tfs_i8_scalar);
	tfs_kernels_put(k, "U16", tfs_u16_scalar);
	tfs_kernels_put(k, "I16", tfs_i16_scalar);
	tfs_kernels_put(k, "U32", tfs_u32_scalar);
	tfs_kernels_put(k, "I32", tfs_i32_scalar);
	tfs_kernels_put(k, "U64", tfs_u64_scalar);
	tfs_kernels_put(k, "I64", tfs_i64_scalar);
	tfs_kernels_put(k, "I4", tfs_i4_scalar);
	tfs_kernels_put(k, "U4", tfs_u4_scalar);
	tfs_kernels_put(k, "I2", tfs_i2_scalar);
	tfs_kernels_put(k, "U2", tfs_u2_scalar);
	tfs_kernels_put(k, "float8_e3m4", tfs_ml_e3m4_scalar);
	tfs_kernels_put(k, "float8_e4m3", tfs_ml_e4m3_scalar);
	tfs_kernels_put(k, "float8_e4m3b11fnuz", tfs_ml_e4m3b11fnuz_scalar);
	tfs_kernels_put(k, "float6_e2m3fn", tfs_ml_e2m3fn_scalar);
	tfs_kernels_put(k, "float6_e3m2fn", tfs_ml_e3m2fn_scalar);
	tfs_kernels_put(k, "float4_e2m1fn", tfs_ml_e2m1fn_scalar);
	tfs_kernels_put(k, "int2", tfs_ml_int2_scalar);
	tfs_kernels_put(k, "uint2", tfs_ml_uint2_scalar);
	tfs_kernels_put(k, "int4", tfs_ml_int4_scalar);
	tfs_kernels_put(k, "uint4", tfs_ml_uint4_scalar);
	tfs_kernels_put(k, "Q4_0", tfs_q4_0_scalar);
	tfs_kernels_put(k, "Q4_1", tfs_q4_1_scalar);
	tfs_kernels_put(k, "Q5_0", tfs_q5_0_scalar);
	tfs_kernels_put(k, "Q5_1", tfs_q5_1_scalar);
	tfs_kernels_put(k, "Q8_0", tfs_q8_0_scalar);
	tfs_kernels_put(k, "Q8_1", tfs_q8_1_scalar);
	tfs_kernels_put(k, "Q2_K", tfs_q2_k_scalar);
	tfs_kernels_put(k, "Q3_K", tfs_q3_k_scalar);
	tfs_kernels_put(k, "Q4_K", tfs_q4_k_scalar);
	tfs_kernels_put(k, "Q5_K", tfs_q5_k_scalar);
	tfs_kernels_put(k, "Q6_K", tfs_q6_k_scalar);
	tfs_kernels_put(k, "Q8_K", tfs_q8_k_scalar);
	tfs_kernels_put(k, "IQ2_XXS", tfs_iq2_xxs_scalar);
	tfs_kernels_put(k, "IQ2_XS", tfs_iq2_xs_scalar);
	tfs_kernels_put(k, "IQ2_S", tfs_iq2_s_scalar);
	tfs_kernels_put(k, "IQ3_XXS", tfs_iq3_xxs_scalar);
	tfs_kernels_put(k, "IQ3_S", tfs_iq3_s_scalar);
	tfs_kernels_put(k, "IQ1_S", tfs_iq1_s_scalar);
	tfs_kernels_put(k, "IQ1_M", tfs_iq1_m_scalar);
	tfs_kernels_put(k, "IQ4_NL", tfs_iq4_nl_scalar);
	tfs_kernels_put(k, "IQ4_XS", tfs_iq4_xs_scalar);
	tfs_kernels_put(k, "TQ1_0", tfs_tq1_0_scalar);
	tfs_kernels_put(k, "TQ2_0", tfs_tq2_0_scalar);
	tfs_kernels_put(k, "MXFP4", tfs_mxfp4_scalar);
	tfs_kernels_put(k, "NVFP4", tfs_nvfp4_scalar);
	tfs_kernels_put(k, "Q1_0", tfs_q1_0_scalar);
	tfs_kernels_put(k, "Q2_0", tfs_q2_0_scalar);
}

const struct tfs_level tfs_level_scalar = { .name = "scalar", .override = override };
