/* SPDX-License-Identifier: MIT */
#include "convert/codes.h"

#include <endian.h>
#include <string.h>

void tfs_code_pairs_make(const float table[16], int high_first, struct tfs_code_pairs *pairs)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		pairs->of[byte][high_first ? 1 : 0] = table[byte & 15];
		pairs->of[byte][high_first ? 0 : 1] = table[byte >> 4];
	}
}

void tfs_codes_by_pairs(const uint8_t *src, uint64_t first, size_t n, const struct tfs_code_pairs *pairs, float *dst)
{
	src += first / 2;
	if (n && first % 2) {
		*dst++ = pairs->of[*src++][1];
		n--;
	}
	for (size_t i = 0; i < n / 2; i++)
		memcpy(dst + 2 * i, pairs->of[src[i]], sizeof pairs->of[0]);
	if (n % 2)
		dst[n - 1] = pairs->of[src[n / 2]][0];
}

void tfs_codes_by_bits(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst)
{
	const unsigned mask = (1u << bits) - 1;
	uint64_t bit = first * bits;

	for (size_t i = 0; i < n; i++, bit += bits) {
		const uint8_t *p = src + bit / 8;
		unsigned shift = bit % 8, x = *p;

		if (shift + bits > 8)
			x |= (unsigned)p[1] << 8;
		dst[i] = table[x >> shift & mask];
	}
}

void tfs_codes_by_words(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst)
{
	const uint32_t mask = (1u << bits) - 1, each = 32 / bits;

	for (size_t i = 0; i < n; i++) {
		const uint64_t at = first + i;
		uint32_t word;

		memcpy(&word, src + at / each * sizeof word, sizeof word);
		dst[i] = table[le32toh(word) >> (at % each * bits) & mask];
	}
}

void tfs_codes_by_bytes(const uint8_t *src, size_t n, const float *table, float *dst)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = table[src[i]];
}

void tfs_scale_times(float *x, size_t n, float s)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= s;
}

void tfs_scale_minus_times(float *x, size_t n, float z, float s)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (x[i] - z) * s;
}

void tfs_scale_times_plus(float *x, size_t n, float s, float z)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] * s + z;
}

void tfs_scale_divided(float *x, size_t n, float s)
{
	for (size_t i = 0; i < n; i++)
		x[i] /= s;
}

void tfs_scale_each_times(float *x, size_t n, const float *s)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= s[i];
}

void tfs_scale_each_minus_times(float *x, size_t n, const float *z, const float *s)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (x[i] - z[i]) * s[i];
}

void tfs_scale_each_times_plus(float *x, size_t n, const float *s, const float *z)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] * s[i] + z[i];
}

void tfs_scale_each_divided(float *x, size_t n, const float *s)
{
	for (size_t i = 0; i < n; i++)
		x[i] /= s[i];
}
