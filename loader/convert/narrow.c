/* SPDX-License-Identifier: MIT */
#include "convert/narrow.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "convert/kernels.h"

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

size_t tfs_to_bf16_scalar(const float *src, uint8_t *dst, size_t n)
{
	const uint32_t infinity = 0x7f800000;
	size_t n_too_large = 0;

	for (size_t i = 0; i < n; i++) {
		const uint32_t x = bits_of(src[i]), a = x & 0x7fffffff;
		const uint32_t rounded = (x + 0x7fff + (x >> 16 & 1)) >> 16, nan = x >> 16 | 0x40;
		const uint16_t y = htole16((uint16_t)(a > infinity ? nan : rounded));

		n_too_large += a < infinity && (rounded & 0x7fff) == infinity >> 16;
		memcpy(dst + 2 * i, &y, sizeof y);
	}
	return n_too_large;
}

size_t tfs_to_f16_scalar(const float *src, uint8_t *dst, size_t n)
{
	/* Added to a number below 2^-14, it leaves that number's F16 in the lowest bits of the sum: the addition rounds. */
	static const uint32_t subnormal = (127 - 15 + 23 - 10 + 1) << 23;
	const uint32_t infinity = 0x7f800000, too_large = 0x477ff000; /* 65520 rounds up to 2^16 */
	float half;
	size_t n_too_large = 0;

	memcpy(&half, &subnormal, sizeof half);
	for (size_t i = 0; i < n; i++) {
		const uint32_t x = bits_of(src[i]), a = x & 0x7fffffff;
		float magnitude;

		memcpy(&magnitude, &a, sizeof magnitude);
		const uint32_t small = bits_of(magnitude + half) - subnormal;
		const uint32_t normal = (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13;
		const uint32_t nan = 0x7e00 | (a >> 13 & 0x3ff);
		const uint32_t y = a > infinity ? nan : a >= too_large ? 0x7c00 : a < 113u << 23 ? small : normal;
		const uint16_t out = htole16((uint16_t)(x >> 16 & 0x8000) | (uint16_t)y);

		n_too_large += a >= too_large && a < infinity;
		memcpy(dst + 2 * i, &out, sizeof out);
	}
	return n_too_large;
}

/* --- From what float32 would round ---------------------------------------------------------------------------------------- */

static float odd_float(double x)
{
	float f = (float)x;
	uint32_t bits = bits_of(f);

	if ((double)f == x || isnan(x))
		return f;
	bits -= fabs((double)f) > fabs(x);
	bits |= 1;
	memcpy(&f, &bits, sizeof f);
	return f;
}

/* To odd twice is to odd. @exact is the integer whose nearest double is @d. */
static double odd_double(double d, long double exact)
{
	uint64_t bits;

	if ((long double)d == exact)
		return d;
	memcpy(&bits, &d, sizeof bits);
	bits -= fabsl((long double)d) > fabsl(exact);
	bits |= 1;
	memcpy(&d, &bits, sizeof d);
	return d;
}

#define TO_ODD(name, type, value)                                  \
	static void name(const uint8_t *src, float *dst, size_t n) \
	{                                                          \
		for (size_t i = 0; i < n; i++) {                   \
			type x;                                    \
                                                                   \
			memcpy(&x, src + i * sizeof x, sizeof x);  \
			dst[i] = odd_float(value);                 \
		}                                                  \
	}

TO_ODD(f64_to_odd, double, x)
TO_ODD(i32_to_odd, int32_t, x)
TO_ODD(u32_to_odd, uint32_t, x)
TO_ODD(i64_to_odd, int64_t, odd_double((double)x, (long double)x))
TO_ODD(u64_to_odd, uint64_t, odd_double((double)x, (long double)x))

tfs_convert_fn *tfs_convert_to_odd(const struct tfs_dtype *dtype)
{
	static const struct {
		const char *dtype;
		tfs_convert_fn *convert;
	} all[] = {
		{ "F64", f64_to_odd }, { "I32", i32_to_odd }, { "U32", u32_to_odd }, { "I64", i64_to_odd }, { "U64", u64_to_odd },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (!strcmp(dtype->name, all[i].dtype))
			return all[i].convert;
	return NULL;
}

size_t tfs_f64_too_large(const uint8_t *src, size_t n)
{
	size_t too_large = 0;

	for (size_t i = 0; i < n; i++) {
		double x;

		memcpy(&x, src + i * sizeof x, sizeof x);
		too_large += isfinite(x) && isinf((float)x);
	}
	return too_large;
}
