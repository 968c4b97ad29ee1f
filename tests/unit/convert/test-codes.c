/* SPDX-License-Identifier: MIT */
/* Codes of less than a byte against a reader of single bits, and what is done with their values against a plain loop. */
#include "support/convert-helpers.h"

#include <stdlib.h>

#include "convert/codes.h"

enum { MOST = 150 };

static uint64_t seed;

/* The code that is the @n-th of @bits in a stream, with @per of them in each 32 bits; 0: no bits are left over. */
static unsigned code_at(const uint8_t *src, size_t n, unsigned bits, unsigned per)
{
	size_t bit = per ? n / per * 32 + n % per * bits : n * bits;
	unsigned code = 0;

	for (unsigned i = 0; i < bits; i++, bit++)
		code |= (src[bit / 8] >> bit % 8 & 1u) << i;
	return code;
}

/* Bytes that end where the memory does, so that AddressSanitizer sees one that is read beyond them. */
static uint8_t *random_bytes(size_t n)
{
	uint8_t *bytes = malloc(n);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)next(&seed);
	return bytes;
}

static void fill_table(float table[256])
{
	for (int i = 0; i < 256; i++)
		table[i] = (float)(i * 7 % 256) - 100;
}

static void streams_of_bits(void **state)
{
	float table[256], got[MOST + 1];

	fill_table(table);
	for (unsigned bits = 1; bits <= 8; bits++) {
		for (size_t first = 0; first < 20; first++) {
			for (size_t n = 0; n <= MOST - 20; n++) {
				uint8_t *src = random_bytes(((first + n) * bits + 7) / 8 + !(first + n));

				got[n] = 1234;
				tfs_codes_by_bits(src, first, n, bits, table, got);
				for (size_t i = 0; i < n; i++)
					assert_true(got[i] == table[code_at(src, first + i, bits, 0)]);
				assert_true(got[n] == 1234);
				free(src);
			}
		}
	}
}

static void whole_words(void **state)
{
	float table[256], got[MOST + 1];

	fill_table(table);
	for (unsigned bits = 1; bits <= 8; bits++) {
		const unsigned per = 32 / bits;

		for (size_t first = 0; first < 40; first++) {
			for (size_t n = 0; n <= MOST - 40; n++) {
				uint8_t *src = random_bytes((first + n + per) / per * 4);

				got[n] = 1234;
				tfs_codes_by_words(src, first, n, bits, table, got);
				for (size_t i = 0; i < n; i++)
					assert_true(got[i] == table[code_at(src, first + i, bits, per)]);
				assert_true(got[n] == 1234);
				free(src);
			}
		}
	}
}

static void pairs_and_bytes(void **state)
{
	struct tfs_code_pairs pairs;
	float table[256], got[MOST];

	fill_table(table);
	for (int high_first = 0; high_first < 2; high_first++) {
		tfs_code_pairs_make(table, high_first, &pairs);
		for (size_t first = 0; first < 5; first++) {
			for (size_t n = 0; n < 20; n++) {
				uint8_t *src = random_bytes((first + n + 2) / 2);

				tfs_codes_by_pairs(src, first, n, &pairs, got);
				for (size_t i = 0; i < n; i++)
					assert_true(got[i] == table[code_at(src, (first + i) ^ (unsigned)high_first, 4, 0)]);
				free(src);
			}
		}
	}
	uint8_t *src = random_bytes(MOST);
	tfs_codes_by_bytes(src, MOST, table, got);
	for (size_t i = 0; i < MOST; i++)
		assert_true(got[i] == table[src[i]]);
	free(src);
}

static float rounded(double x)
{
	volatile float f = (float)x;

	return f;
}

/* Each with one scale for all and with one for each, for numbers of values that fill vectors and don't. */
static void scales(void **state)
{
	float x[MOST], s[MOST], z[MOST], got[MOST];

	for (size_t i = 0; i < MOST; i++) {
		x[i] = (float)(next(&seed) % 1000000) / 1000;
		s[i] = (float)(next(&seed) % 1000000) / 3e5f - 1.0000017f;
		z[i] = (float)(next(&seed) % 1000000) / 7e3f;
	}
	for (size_t n = 0; n < MOST; n++) {
		for (int form = 0; form < 8; form++) {
			const bool each = form >= 4;

			memcpy(got, x, sizeof got);
			if (form == 0)
				tfs_scale_times(got, n, s[0]);
			else if (form == 1)
				tfs_scale_minus_times(got, n, z[0], s[0]);
			else if (form == 2)
				tfs_scale_times_plus(got, n, s[0], z[0]);
			else if (form == 3)
				tfs_scale_divided(got, n, s[0]);
			else if (form == 4)
				tfs_scale_each_times(got, n, s);
			else if (form == 5)
				tfs_scale_each_minus_times(got, n, z, s);
			else if (form == 6)
				tfs_scale_each_times_plus(got, n, s, z);
			else
				tfs_scale_each_divided(got, n, s);
			for (size_t i = 0; i < MOST; i++) {
				const double a = x[i], b = s[each ? i : 0], c = z[each ? i : 0];
				const float want = form % 4 == 0 ? rounded(a * b) :
						   form % 4 == 1 ? rounded(rounded(a - c) * b) :
						   form % 4 == 2 ? rounded(rounded(a * b) + c) :
								   rounded(a / b);

				assert_memory_equal(&got[i], i < n ? &want : &x[i], sizeof want);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_of_bits),
		cmocka_unit_test(whole_words),
		cmocka_unit_test(pairs_and_bytes),
		cmocka_unit_test(scales),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
