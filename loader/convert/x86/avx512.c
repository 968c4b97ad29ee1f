/* SPDX-License-Identifier: MIT */
/*
 * AVX-512: sixteen floats at a time, computed as in avx2.c. Tables of sixteen and thirty-two floats hold all magnitudes of the
 * types narrower than a byte, and there are instructions for 64-bit and unsigned integers.
 */
#include "convert/x86/levels.h"

#include <immintrin.h>
#include <string.h>

#define FEATURES "avx512f,avx512bw,avx512dq,avx512vl"
#define TARGET	 __attribute__((target(FEATURES)))
#define INLINE	 static inline __attribute__((always_inline, target(FEATURES)))

#define SIGN (1u << 31)

/* @bytes: of sixteen elements */
#define KERNEL(name, bytes)                                                                                  \
	static TARGET void name##_avx512(const uint8_t *src, float *dst, size_t n)                           \
	{                                                                                                    \
		for (; n >= 64; n -= 64, src += 4 * (bytes), dst += 64) {                                    \
			__m512 a = name##_sixteen(src), b = name##_sixteen(src + (bytes));                   \
			__m512 c = name##_sixteen(src + 2 * (bytes)), d = name##_sixteen(src + 3 * (bytes)); \
                                                                                                             \
			_mm512_storeu_ps(dst, a);                                                            \
			_mm512_storeu_ps(dst + 16, b);                                                       \
			_mm512_storeu_ps(dst + 32, c);                                                       \
			_mm512_storeu_ps(dst + 48, d);                                                       \
		}                                                                                            \
		for (; n >= 16; n -= 16, src += (bytes), dst += 16)                                          \
			_mm512_storeu_ps(dst, name##_sixteen(src));                                          \
		tfs_##name##_scalar(src, dst, n);                                                            \
	}

INLINE __m512i ints(uint32_t x)
{
	return _mm512_set1_epi32((int)x);
}

INLINE __m512 floats(uint32_t bits)
{
	return _mm512_castsi512_ps(ints(bits));
}

INLINE __m128i load16(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE __m256i load32(const void *p)
{
	return _mm256_loadu_si256(p);
}

INLINE __m512i load64(const void *p)
{
	return _mm512_loadu_si512(p);
}

INLINE __m512i bytes_at(const uint8_t *p)
{
	return _mm512_cvtepu8_epi32(load16(p));
}

INLINE __m512 both(__m256 lo, __m256 hi)
{
	return _mm512_insertf32x8(_mm512_castps256_ps512(lo), hi, 1);
}

/* @value with the sign bit at bit @bit of @x, which may have anything around it. @value isn't negative. */
INLINE __m512 signed_as(__m512 value, __m512i x, int bit)
{
	__m512i moved = _mm512_sllv_epi32(x, ints((uint32_t)(31 - bit)));

	/* value | (moved & SIGN) */
	return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(value), moved, ints(SIGN), 0xf8));
}

/* As in avx2.c. Shifts by vectors, as an unoptimised build doesn't see that the counts of others are constant. */
INLINE __m512 widen(__m512i x, int bits, int mbits, int bias)
{
	uint32_t one = (uint32_t)(1 - bias + 127) << 23;
	__m512i em = _mm512_sllv_epi32(_mm512_and_si512(x, ints((1u << (bits - 1)) - 1)), ints((uint32_t)(23 - mbits)));
	__m512i normal = _mm512_add_epi32(em, ints((uint32_t)(127 - bias) << 23));
	__m512 with_one = _mm512_castsi512_ps(_mm512_add_epi32(em, ints(one)));
	__mmask16 is_subnormal = _mm512_cmplt_epu32_mask(em, ints(1u << 23));

	return signed_as(_mm512_mask_sub_ps(_mm512_castsi512_ps(normal), is_subnormal, with_one, floats(one)), x, bits - 1);
}

INLINE __m512 bf16_sixteen(const uint8_t *p)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
}

INLINE __m512 f16_sixteen(const uint8_t *p)
{
	return _mm512_cvtph_ps(load32(p));
}

INLINE __m512 f64_sixteen(const uint8_t *p)
{
	return both(_mm512_cvtpd_ps(_mm512_castsi512_pd(load64(p))), _mm512_cvtpd_ps(_mm512_castsi512_pd(load64(p + 64))));
}

INLINE __m512 e4m3_sixteen(const uint8_t *p)
{
	__m512i x = bytes_at(p);
	__mmask16 is_nan = _mm512_cmpeq_epi32_mask(_mm512_and_si512(x, ints(0x7f)), ints(0x7f));
	__m512 value = widen(x, 8, 3, 7);

	/* From 480, the pattern's value as a number, to NaN, as in avx2.c */
	return _mm512_mask_xor_ps(value, is_nan, value, floats(0x43f00000 ^ 0x7fc00000));
}

INLINE __m512 e5m2_sixteen(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(p)), 8));
}

INLINE __m512 fnuz(__m512i x, int mbits, int bias)
{
	return _mm512_mask_mov_ps(widen(x, 8, mbits, bias), _mm512_cmpeq_epi32_mask(x, ints(0x80)), floats(0x7fc00000));
}

INLINE __m512 e4m3fnuz_sixteen(const uint8_t *p)
{
	return fnuz(bytes_at(p), 3, 8);
}

INLINE __m512 e5m2fnuz_sixteen(const uint8_t *p)
{
	return fnuz(bytes_at(p), 2, 16);
}

INLINE __m512 e8m0_sixteen(const uint8_t *p)
{
	__m512i x = bytes_at(p);
	__m512i value = _mm512_max_epi32(_mm512_slli_epi32(x, 23), ints(1u << 22)); /* 2^-127 for 0 */
	__mmask16 is_nan = _mm512_cmpeq_epi32_mask(x, ints(0xff));

	return _mm512_castsi512_ps(_mm512_mask_mov_epi32(value, is_nan, ints(0x7fc00000)));
}

INLINE __m512 f4_sixteen(const uint8_t *p)
{
	const __m512 values = _mm512_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6);
	uint32_t lo, hi;
	__m512i x;

	/* As in avx2.c; the index is the low four bits, so the table has the sign, too. */
	memcpy(&lo, p, sizeof lo);
	memcpy(&hi, p + 4, sizeof hi);
	x = _mm512_inserti32x8(ints(lo), _mm256_set1_epi32((int)hi), 1);
	x = _mm512_srlv_epi32(x, _mm512_set_epi32(28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0));
	return _mm512_permutexvar_ps(x, values);
}

/* Sixteen six-bit values, lowest in each lane, with bits above them that are ignored. */
INLINE __m512i six_bits(const uint8_t *p)
{
	const __m512i spread = _mm512_set_epi32(0x0b0a09, 0x0b0a09, 0x0b0a09, 0x0b0a09, 0x080706, 0x080706, 0x080706, 0x080706,
						0x050403, 0x050403, 0x050403, 0x050403, 0x020100, 0x020100, 0x020100, 0x020100);
	uint64_t lo;
	uint32_t hi;
	__m512i x;

	memcpy(&lo, p, sizeof lo);
	memcpy(&hi, p + 8, sizeof hi);
	x = _mm512_broadcast_i32x4(_mm_set_epi64x(hi, (long long)lo));
	x = _mm512_shuffle_epi8(x, spread);
	return _mm512_srlv_epi32(x, _mm512_set_epi32(18, 12, 6, 0, 18, 12, 6, 0, 18, 12, 6, 0, 18, 12, 6, 0));
}

INLINE __m512 e2m3_sixteen(const uint8_t *p)
{
	const __m512 below_2 = _mm512_setr_ps(0, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f, 0.75f, 0.875f, /* subnormal */
					      1, 1.125f, 1.25f, 1.375f, 1.5f, 1.625f, 1.75f, 1.875f);
	const __m512 from_2 = _mm512_setr_ps(2, 2.25f, 2.5f, 2.75f, 3, 3.25f, 3.5f, 3.75f, 4, 4.5f, 5, 5.5f, 6, 6.5f, 7, 7.5f);
	__m512i x = six_bits(p);

	return signed_as(_mm512_permutex2var_ps(below_2, x, from_2), x, 5);
}

INLINE __m512 e3m2_sixteen(const uint8_t *p)
{
	const __m512 below_2 = _mm512_setr_ps(0, 0.0625f, 0.125f, 0.1875f, /* subnormal */
					      0.25f, 0.3125f, 0.375f, 0.4375f, 0.5f, 0.625f, 0.75f, 0.875f, 1, 1.25f, 1.5f, 1.75f);
	const __m512 from_2 = _mm512_setr_ps(2, 2.5f, 3, 3.5f, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28);
	__m512i x = six_bits(p);

	return signed_as(_mm512_permutex2var_ps(below_2, x, from_2), x, 5);
}

INLINE __m512 boolean_sixteen(const uint8_t *p)
{
	return _mm512_maskz_mov_ps(_mm_test_epi8_mask(load16(p), load16(p)), _mm512_set1_ps(1));
}

INLINE __m512 u8_sixteen(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(bytes_at(p));
}

INLINE __m512 i8_sixteen(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p)));
}

INLINE __m512 u16_sixteen(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(load32(p)));
}

INLINE __m512 i16_sixteen(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(load32(p)));
}

INLINE __m512 u32_sixteen(const uint8_t *p)
{
	return _mm512_cvtepu32_ps(load64(p));
}

INLINE __m512 i32_sixteen(const uint8_t *p)
{
	return _mm512_cvtepi32_ps(load64(p));
}

INLINE __m512 u64_sixteen(const uint8_t *p)
{
	return both(_mm512_cvtepu64_ps(load64(p)), _mm512_cvtepu64_ps(load64(p + 64)));
}

INLINE __m512 i64_sixteen(const uint8_t *p)
{
	return both(_mm512_cvtepi64_ps(load64(p)), _mm512_cvtepi64_ps(load64(p + 64)));
}

KERNEL(boolean, 16)
KERNEL(u8, 16)
KERNEL(i8, 16)
KERNEL(u16, 32)
KERNEL(i16, 32)
KERNEL(u32, 64)
KERNEL(i32, 64)
KERNEL(u64, 128)
KERNEL(i64, 128)
KERNEL(f64, 128)
KERNEL(f16, 32)
KERNEL(bf16, 32)
KERNEL(e4m3, 16)
KERNEL(e5m2, 16)
KERNEL(e8m0, 16)
KERNEL(e4m3fnuz, 16)
KERNEL(e5m2fnuz, 16)
KERNEL(f4, 8)
KERNEL(e2m3, 12)
KERNEL(e3m2, 12)

static bool supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

static TARGET size_t nibbles_avx512(const uint8_t *src, size_t n, const struct tfs_code_pairs *pairs, float *dst)
{
	const __m512 table = _mm512_loadu_ps(pairs->table);
	const __m128i mask = _mm_set1_epi8(15);
	size_t i = 0;

	for (; i + 8 <= n; i += 8, dst += 16) {
		const __m128i x = _mm_loadl_epi64((const void *)(src + i));
		const __m128i low = _mm_and_si128(x, mask), high = _mm_and_si128(_mm_srli_epi16(x, 4), mask);
		const __m128i codes = pairs->high_first ? _mm_unpacklo_epi8(high, low) : _mm_unpacklo_epi8(low, high);

		_mm512_storeu_ps(dst, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), table));
	}
	return i;
}

static void override(struct tfs_kernels *k)
{
	k->nibbles = nibbles_avx512;
	tfs_kernels_put(k, "BF16", bf16_avx512);
	tfs_kernels_put(k, "F16", f16_avx512);
	tfs_kernels_put(k, "F64", f64_avx512);
	tfs_kernels_put(k, "F8_E4M3", e4m3_avx512);
	tfs_kernels_put(k, "F8_E5M2", e5m2_avx512);
	tfs_kernels_put(k, "F8_E8M0", e8m0_avx512);
	tfs_kernels_put(k, "F8_E4M3FNUZ", e4m3fnuz_avx512);
	tfs_kernels_put(k, "F8_E5M2FNUZ", e5m2fnuz_avx512);
	tfs_kernels_put(k, "F4", f4_avx512);
	tfs_kernels_put(k, "F6_E2M3", e2m3_avx512);
	tfs_kernels_put(k, "F6_E3M2", e3m2_avx512);
	tfs_kernels_put(k, "BOOL", boolean_avx512);
	tfs_kernels_put(k, "U8", u8_avx512);
	tfs_kernels_put(k, "I8", i8_avx512);
	tfs_kernels_put(k, "U16", u16_avx512);
	tfs_kernels_put(k, "I16", i16_avx512);
	tfs_kernels_put(k, "U32", u32_avx512);
	tfs_kernels_put(k, "I32", i32_avx512);
	tfs_kernels_put(k, "U64", u64_avx512);
	tfs_kernels_put(k, "I64", i64_avx512);
	tfs_quant_avx512(k);
}

const struct tfs_level tfs_level_avx512 = { .name = "avx512", .supported = supported, .override = override };
