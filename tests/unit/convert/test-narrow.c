/* SPDX-License-Identifier: MIT */
/* Float32 to 16 bits: every value that has such a neighbour, against a plain search for the nearest; each level against plain C. */
#include "support/convert-helpers.h"

#include <math.h>
#include <stdlib.h>

#include "convert/narrow.h"

/* The value of 16 bits, as float32. */
static float value_of(uint16_t bits, bool bf16)
{
	uint32_t x = (uint32_t)bits << 16;
	float f;

	if (!bf16) {
		const int e = bits >> 10 & 31, m = bits & 1023;
		const float a = e == 31 ? m ? NAN : INFINITY : e ? ldexpf((float)(1024 + m), e - 25) : ldexpf((float)m, -24);
		return bits & 0x8000 ? -a : a;
	}
	memcpy(&f, &x, sizeof f);
	return f;
}

static uint16_t narrow(tfs_narrow_fn *fn, float x, size_t *ret_too_large)
{
	uint8_t out[2];

	*ret_too_large = fn(&x, out, 1);
	return (uint16_t)(out[0] | out[1] << 8);
}

/* Between two neighbours of 16 bits: the nearer one, and of two that are as near the even one. */
static void rounds_once(bool bf16)
{
	tfs_narrow_fn *fn = bf16 ? tfs_to_bf16_for_level(TFS_SIMD_SCALAR) : tfs_to_f16_for_level(TFS_SIMD_SCALAR);
	const uint16_t infinity = bf16 ? 0x7f80 : 0x7c00;
	size_t n;

	for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
		for (unsigned b = 0; b + 1 < infinity; b++) {
			const double low = (double)value_of((uint16_t)(b | sign), bf16);
			const double high = (double)value_of((uint16_t)((b + 1) | sign), bf16);
			const float half = (float)((low + high) / 2); /* exact */
			const float away = sign ? -INFINITY : INFINITY;

			assert_int_equal(narrow(fn, (float)low, &n), b | sign);
			assert_int_equal(narrow(fn, half, &n), (b + (b & 1)) | sign);
			assert_int_equal(narrow(fn, nextafterf(half, away), &n), (b + 1) | sign);
			assert_int_equal(narrow(fn, nextafterf(half, -away), &n), b | sign);
			assert_int_equal(n, 0);
		}
	}
	/* Beyond the largest one: half a step is the limit. */
	const double largest = (double)value_of((uint16_t)(infinity - 1), bf16),
		     before = (double)value_of((uint16_t)(infinity - 2), bf16);
	const float limit = (float)(largest + (largest - before) / 2);
	assert_int_equal(narrow(fn, nextafterf(limit, 0), &n), infinity - 1);
	assert_int_equal(n, 0);
	assert_int_equal(narrow(fn, limit, &n), infinity);
	assert_int_equal(n, 1);
	assert_int_equal(narrow(fn, INFINITY, &n), infinity);
	assert_int_equal(n, 0);
	assert_int_equal(narrow(fn, -INFINITY, &n), infinity | 0x8000);
	assert_true(isnan(value_of(narrow(fn, NAN, &n), bf16)));
	assert_int_equal(n, 0);
}

static void to_bf16(void **state)
{
	rounds_once(true);
}

static void to_f16(void **state)
{
	rounds_once(false);
}

/* A quarter of all float32, and all kinds of them; odd lengths. */
static void levels(void **state)
{
	enum { MOST = 1 << 16 };
	float *src = malloc(MOST * sizeof *src);
	uint8_t *want = malloc(2 * MOST + 1), *got = malloc(2 * MOST + 1);

	assert_true(src && want && got);
	for (uint32_t high = 0; high < 1 << 14; high++) {
		const size_t n = MOST / 16 - high % 9;

		for (uint32_t i = 0; i < n; i++) {
			const uint32_t bits = high << 18 | (i * 2654435761u) >> 14;
			memcpy(&src[i], &bits, sizeof bits);
		}
		for (unsigned level = 1; level < tfs_simd_levels(); level++) {
			for (int bf16 = 0; bf16 < 2; bf16++) {
				tfs_narrow_fn *fn = bf16 ? tfs_to_bf16_for_level(level) : tfs_to_f16_for_level(level);
				tfs_narrow_fn *plain = bf16 ? tfs_to_bf16_for_level(TFS_SIMD_SCALAR) :
							      tfs_to_f16_for_level(TFS_SIMD_SCALAR);

				if (!fn || fn == plain)
					continue;
				got[2 * n] = 0x5a;
				assert_int_equal(plain(src, want, n), fn(src, got, n));
				assert_memory_equal(want, got, 2 * n);
				assert_int_equal(got[2 * n], 0x5a);
			}
		}
	}
	free(src);
	free(want);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_bf16),
		cmocka_unit_test(to_f16),
		cmocka_unit_test(levels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
