/* SPDX-License-Identifier: MIT */
/*
 * AVX2 and F16C: eight floats at a time. Each kernel is a function from the bytes of eight elements to a vector, and reads
 * no byte more; KERNEL() makes a loop of it.
 */
#include "convert/x86/levels.h"

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,f16c")))
#define INLINE static inline __attribute__((always_inline, target("avx2,f16c")))

#define SIGN (1u << 31)

/*
 * @bytes: of eight elements. Four vectors per iteration keep the loads ahead of the stores, which are ordinary ones: the OS kernel
 * reads the chunk next, and finds it in the cache. Non-temporal stores made a chunk that is used again a quarter slower and copying
 * it into tmpfs no faster (tests/bench/convert.c on Zen 4); they would pay off, 1.4 times, for a destination that isn't read soon.
 */
#define KERNEL(name, bytes)                                                                              \
	static TARGET void name##_avx2(const uint8_t *src, float *dst, size_t n)                         \
	{                                                                                                \
		for (; n >= 32; n -= 32, src += 4 * (bytes), dst += 32) {                                \
			__m256 a = name##_eight(src), b = name##_eight(src + (bytes));                   \
			__m256 c = name##_eight(src + 2 * (bytes)), d = name##_eight(src + 3 * (bytes)); \
                                                                                                         \
			_mm256_storeu_ps(dst, a);                                                        \
			_mm256_storeu_ps(dst + 8, b);                                                    \
			_mm256_storeu_ps(dst + 16, c);                                                   \
			_mm256_storeu_ps(dst + 24, d);                                                   \
		}                                                                                        \
		for (; n >= 8; n -= 8, src += (bytes), dst += 8)                                         \
			_mm256_storeu_ps(dst, name##_eight(src));                                        \
		tfs_##name##_scalar(src, dst, n);                                                        \
	}

INLINE __m256i ints(uint32_t x)
{
	return _mm256_set1_epi32((int)x);
}

INLINE __m256 floats(uint32_t bits)
{
	return _mm256_castsi256_ps(ints(bits));
}

INLINE __m128i load8(const void *p)
{
	return _mm_loadl_epi64(p);
}

INLINE __m128i load16(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE __m256i load32(const void *p)
{
	return _mm256_loadu_si256(p);
}

/* Eight bytes, one in each lane. */
INLINE __m256i bytes_at(const uint8_t *p)
{
	return _mm256_cvtepu8_epi32(load8(p));
}

/*
 * The scalar widen() of a float of @bits bits in each lane. Normal numbers get the exponent moved to the new bias. Others get an
 * exponent of 1 and with it a wrong leading 1, which is then subtracted: exact, and without subnormal operands, which are slow on
 * some CPUs.
 */
INLINE __m256 widen(__m256i x, int bits, int mbits, int bias)
{
	uint32_t one = (uint32_t)(1 - bias + 127) << 23;
	__m256i sign = _mm256_and_si256(_mm256_slli_epi32(x, 32 - bits), ints(SIGN));
	__m256i em = _mm256_slli_epi32(_mm256_and_si256(x, ints((1u << (bits - 1)) - 1)), 23 - mbits);
	__m256i normal = _mm256_add_epi32(em, ints((uint32_t)(127 - bias) << 23));
	__m256 subnormal = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_add_epi32(em, ints(one))), floats(one));
	__m256i is_subnormal = _mm256_cmpgt_epi32(ints(1u << 23), em);
	__m256 value = _mm256_blendv_ps(_mm256_castsi256_ps(normal), subnormal, _mm256_castsi256_ps(is_subnormal));

	return _mm256_or_ps(value, _mm256_castsi256_ps(sign));
}

INLINE __m256 bf16_eight(const uint8_t *p)
{
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(p)), 16));
}

INLINE __m256 f16_eight(const uint8_t *p)
{
	return _mm256_cvtph_ps(load16(p));
}

INLINE __m256 f64_eight(const uint8_t *p)
{
	__m128 lo = _mm256_cvtpd_ps(_mm256_castsi256_pd(load32(p)));
	__m128 hi = _mm256_cvtpd_ps(_mm256_castsi256_pd(load32(p + 32)));

	return _mm256_insertf128_ps(_mm256_castps128_ps256(lo), hi, 1);
}

INLINE __m256 e4m3_eight(const uint8_t *p)
{
	__m256i x = bytes_at(p);
	__m256i is_nan = _mm256_cmpeq_epi32(_mm256_and_si256(x, ints(0x7f)), ints(0x7f));

	/* As a number that pattern is 480, 0x43f00000: these bits make it 0x7fc00000 and leave the sign. */
	return _mm256_xor_ps(widen(x, 8, 3, 7), _mm256_castsi256_ps(_mm256_and_si256(is_nan, ints(0x43f00000 ^ 0x7fc00000))));
}

INLINE __m256 e5m2_eight(const uint8_t *p)
{
	return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), load8(p)));
}

INLINE __m256 fnuz(__m256i x, int mbits, int bias)
{
	__m256i is_nan = _mm256_cmpeq_epi32(x, ints(0x80));

	return _mm256_blendv_ps(widen(x, 8, mbits, bias), floats(0x7fc00000), _mm256_castsi256_ps(is_nan));
}

INLINE __m256 e4m3fnuz_eight(const uint8_t *p)
{
	return fnuz(bytes_at(p), 3, 8);
}

INLINE __m256 e5m2fnuz_eight(const uint8_t *p)
{
	return fnuz(bytes_at(p), 2, 16);
}

INLINE __m256 e8m0_eight(const uint8_t *p)
{
	__m256i x = _mm256_slli_epi32(bytes_at(p), 23);
	__m256i is_nan = _mm256_cmpeq_epi32(x, ints(0x7f800000));

	x = _mm256_max_epi32(x, ints(1u << 22)); /* 2^-127 for 0 */
	return _mm256_castsi256_ps(_mm256_or_si256(x, _mm256_and_si256(is_nan, ints(1u << 22))));
}

INLINE __m256 f4_eight(const uint8_t *p)
{
	const __m256 magnitudes = _mm256_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6);
	uint32_t all;
	__m256i x;

	/* All eight in each lane, its own lowest; the table's index is its low three bits, and the rest is ignored. */
	memcpy(&all, p, sizeof all);
	x = _mm256_srlv_epi32(ints(all), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
	return _mm256_or_ps(_mm256_permutevar8x32_ps(magnitudes, x),
			    _mm256_castsi256_ps(_mm256_and_si256(_mm256_slli_epi32(x, 28), ints(SIGN))));
}

/* Eight six-bit values, one in each lane: the three bytes of its four in every lane, shifted down. */
INLINE __m256i six_bits(const uint8_t *p)
{
	const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, /* and the upper four: */
						3, 4, 5, -1, 3, 4, 5, -1, 3, 4, 5, -1, 3, 4, 5, -1);
	uint32_t lo;
	uint16_t hi;
	__m256i x;

	memcpy(&lo, p, sizeof lo);
	memcpy(&hi, p + 4, sizeof hi);
	x = _mm256_shuffle_epi8(_mm256_set1_epi64x((long long)((uint64_t)hi << 32 | lo)), spread);
	x = _mm256_srlv_epi32(x, _mm256_setr_epi32(0, 6, 12, 18, 0, 6, 12, 18));
	return _mm256_and_si256(x, ints(63));
}

INLINE __m256 e2m3_eight(const uint8_t *p)
{
	return widen(six_bits(p), 6, 3, 1);
}

INLINE __m256 e3m2_eight(const uint8_t *p)
{
	return widen(six_bits(p), 6, 2, 3);
}

INLINE __m256 boolean_eight(const uint8_t *p)
{
	__m256i is_zero = _mm256_cmpeq_epi32(bytes_at(p), ints(0));

	return _mm256_andnot_ps(_mm256_castsi256_ps(is_zero), _mm256_set1_ps(1));
}

INLINE __m256 u8_eight(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(bytes_at(p));
}

INLINE __m256 i8_eight(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(p)));
}

INLINE __m256 u16_eight(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(load16(p)));
}

INLINE __m256 i16_eight(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(load16(p)));
}

/* There is an instruction only for signed integers. Each half is exact, so only the sum rounds, once. */
INLINE __m256 u32_eight(const uint8_t *p)
{
	__m256i x = load32(p);
	__m256 hi = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
	__m256 lo = _mm256_cvtepi32_ps(_mm256_and_si256(x, ints(0xffff)));

	return _mm256_add_ps(_mm256_mul_ps(hi, _mm256_set1_ps(65536)), lo);
}

INLINE __m256 i32_eight(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(load32(p));
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

static bool supported(void)
{
	unsigned a, b, c, d;

	/* clang's __builtin_cpu_supports() has no f16c before 19. avx2 implies that the system saves the registers. */
	return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

/* --- Codes of 4 bits --------------------------------------------------------------------------------------------------- */

static TARGET size_t nibbles_avx2(const uint8_t *src, size_t n, const struct tfs_code_pairs *pairs, float *dst)
{
	const __m256 below_8 = _mm256_loadu_ps(pairs->table), from_8 = _mm256_loadu_ps(pairs->table + 8);
	const __m128i mask = _mm_set1_epi8(15);
	size_t i = 0;

	for (; i + 8 <= n; i += 8, dst += 16) {
		const __m128i x = load8(src + i), low = _mm_and_si128(x, mask), high = _mm_and_si128(_mm_srli_epi16(x, 4), mask);
		const __m128i codes = pairs->high_first ? _mm_unpacklo_epi8(high, low) : _mm_unpacklo_epi8(low, high);

		for (int k = 0; k < 2; k++) {
			const __m256i at = _mm256_cvtepu8_epi32(k ? _mm_srli_si128(codes, 8) : codes);
			const __m256 is_from_8 = _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)); /* bit 3 becomes the sign */

			_mm256_storeu_ps(dst + 8 * k, _mm256_blendv_ps(_mm256_permutevar8x32_ps(below_8, at),
								       _mm256_permutevar8x32_ps(from_8, at), is_from_8));
		}
	}
	return i;
}

/* --- To 16 bits ------------------------------------------------------------------------------------------------------ */

/* The low halves of the eight words of @x, which are below 2^16. */
INLINE __m128i low_halves(__m256i x)
{
	return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/* How many of the eight elements of @mask are all ones. */
INLINE size_t count(__m256i mask)
{
	return (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
}

static TARGET size_t to_bf16_avx2(const float *src, uint8_t *dst, size_t n)
{
	const __m256i infinity = ints(0x7f800000);
	size_t too_large = 0;

	for (; n >= 8; n -= 8, src += 8, dst += 16) {
		const __m256i x = load32(src), a = _mm256_andnot_si256(ints(SIGN), x);
		const __m256i even = _mm256_and_si256(_mm256_srli_epi32(x, 16), ints(1));
		const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(x, _mm256_add_epi32(even, ints(0x7fff))), 16);
		const __m256i nan = _mm256_or_si256(_mm256_srli_epi32(x, 16), ints(0x40));
		const __m256i is_inf = _mm256_cmpeq_epi32(_mm256_and_si256(rounded, ints(0x7fff)), ints(0x7f80));

		too_large += count(_mm256_and_si256(is_inf, _mm256_cmpgt_epi32(infinity, a)));
		_mm_storeu_si128((void *)dst, low_halves(_mm256_blendv_epi8(rounded, nan, _mm256_cmpgt_epi32(a, infinity))));
	}
	return too_large + tfs_to_bf16_scalar(src, dst, n);
}

static TARGET size_t to_f16_avx2(const float *src, uint8_t *dst, size_t n)
{
	/* What is 65520 or more rounds to 2^16. */
	const __m256i infinity = ints(0x7f800000), largest = ints(0x477fefff);
	size_t too_large = 0;

	for (; n >= 8; n -= 8, src += 8, dst += 16) {
		const __m256i a = _mm256_andnot_si256(ints(SIGN), load32(src));

		too_large += count(_mm256_and_si256(_mm256_cmpgt_epi32(a, largest), _mm256_cmpgt_epi32(infinity, a)));
		_mm_storeu_si128((void *)dst, _mm256_cvtps_ph(_mm256_loadu_ps(src), _MM_FROUND_TO_NEAREST_INT));
	}
	return too_large + tfs_to_f16_scalar(src, dst, n);
}

static void override(struct tfs_kernels *k)
{
	k->nibbles = nibbles_avx2;
	k->to_bf16 = to_bf16_avx2;
	k->to_f16 = to_f16_avx2;
	tfs_kernels_put(k, "BF16", bf16_avx2);
	tfs_kernels_put(k, "F16", f16_avx2);
	tfs_kernels_put(k, "F64", f64_avx2);
	tfs_kernels_put(k, "F8_E4M3", e4m3_avx2);
	tfs_kernels_put(k, "F8_E5M2", e5m2_avx2);
	tfs_kernels_put(k, "F8_E8M0", e8m0_avx2);
	tfs_kernels_put(k, "F8_E4M3FNUZ", e4m3fnuz_avx2);
	tfs_kernels_put(k, "F8_E5M2FNUZ", e5m2fnuz_avx2);
	tfs_kernels_put(k, "F4", f4_avx2);
	tfs_kernels_put(k, "F6_E2M3", e2m3_avx2);
	tfs_kernels_put(k, "F6_E3M2", e3m2_avx2);
	tfs_kernels_put(k, "BOOL", boolean_avx2);
	tfs_kernels_put(k, "U8", u8_avx2);
	tfs_kernels_put(k, "I8", i8_avx2);
	tfs_kernels_put(k, "U16", u16_avx2);
	tfs_kernels_put(k, "I16", i16_avx2);
	tfs_kernels_put(k, "U32", u32_avx2);
	tfs_kernels_put(k, "I32", i32_avx2);
	tfs_quant_avx2(k);
}

const struct tfs_level tfs_level_avx2 = { .name = "avx2", .supported = supported, .override = override };
