/* SPDX-License-Identifier: MIT */
#include "convert/codes.h"

#include <endian.h>
#include <string.h>

#include "convert/kernels.h"

void tfs_code_pairs_make(const float table[16], int high_first, struct tfs_code_pairs *pairs)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		pairs->of[byte][high_first ? 1 : 0] = table[byte & 15];
		pairs->of[byte][high_first ? 0 : 1] = table[byte >> 4];
	}
	memcpy(pairs->table, table, sizeof pairs->table);
	pairs->high_first = high_first;
	pairs->nibbles = tfs_kernels_best()->nibbles;
}

void tfs_codes_by_pairs(const uint8_t *src, uint64_t first, size_t n, const struct tfs_code_pairs *pairs, float *dst)
{
	src += first / 2;
	if (n && first % 2) {
		*dst++ = pairs->of[*src++][1];
		n--;
	}
	for (size_t i = pairs->nibbles ? pairs->nibbles(src, n / 2, pairs, dst) : 0; i < n / 2; i++)
		memcpy(dst + 2 * i, pairs->of[src[i]], sizeof pairs->of[0]);
	if (n % 2)
		dst[n - 1] = pairs->of[src[n / 2]][0];
}

static void bit_by_bit(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst)
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

/* Most of @n codes, from the first bit of @src on: 8 of them, which fill whole bytes, from 8 bytes, while there are so many. */
static inline __attribute__((always_inline)) size_t by_eight(const uint8_t *src, size_t n, unsigned bits, const float *table,
							     float *dst)
{
	const unsigned mask = (1u << bits) - 1;
	size_t i = 0;

	for (; n - i >= 8 && (n - i) * bits > 56; i += 8, src += bits) {
		uint64_t x;

		memcpy(&x, src, sizeof x);
		x = le64toh(x);
		for (unsigned k = 0; k < 8; k++)
			dst[i + k] = table[x >> (k * bits) & mask];
	}
	return i;
}

void tfs_codes_by_bits(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst)
{
	const size_t before = -first % 8 < n ? -first % 8 : n;
	size_t done;

	bit_by_bit(src, first, before, bits, table, dst);
	first += before;
	n -= before;
	dst += before;
	src += first / 8 * bits;
	first %= 8;
	switch (bits) { /* so that shifts are constants */
	case 1:
		done = by_eight(src, n, 1, table, dst);
		break;
	case 2:
		done = by_eight(src, n, 2, table, dst);
		break;
	case 3:
		done = by_eight(src, n, 3, table, dst);
		break;
	case 5:
		done = by_eight(src, n, 5, table, dst);
		break;
	case 6:
		done = by_eight(src, n, 6, table, dst);
		break;
	default:
		done = by_eight(src, n, bits, table, dst);
	}
	/* Where @n was used up before the first whole 8, nothing is left. */
	bit_by_bit(src, first + done, n - done, bits, table, dst + done);
}

void tfs_codes_by_words(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst)
{
	const uint32_t mask = (1u << bits) - 1, each = 32 / bits;
	uint32_t at = first % each, word;

	for (src += first / each * sizeof word; n; src += sizeof word, at = 0) {
		const uint32_t m = each - at < n ? each - at : (uint32_t)n;

		memcpy(&word, src, sizeof word);
		word = le32toh(word) >> at * bits;
		for (uint32_t k = 0; k < m; k++, word >>= bits)
			dst[k] = table[word & mask];
		dst += m;
		n -= m;
	}
}

void tfs_codes_by_bytes(const uint8_t *src, size_t n, const float *table, float *dst)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = table[src[i]];
}

/* @one for each i below @n, 8 of them at a time: so GCC makes vectors of them at -O2 too. */
#define IN_EIGHTS(n, one)                               \
	do {                                            \
		size_t i = 0, k_;                       \
		while ((n)-i >= 8)                      \
			for (k_ = 0; k_ < 8; k_++, i++) \
				one;                    \
		for (; i < (n); i++)                    \
			one;                            \
	} while (0)

void tfs_scale_times(float *x, size_t n, float s)
{
	IN_EIGHTS(n, x[i] *= s);
}

void tfs_scale_minus_times(float *x, size_t n, float z, float s)
{
	IN_EIGHTS(n, x[i] = (x[i] - z) * s);
}

void tfs_scale_times_plus(float *x, size_t n, float s, float z)
{
	IN_EIGHTS(n, x[i] = x[i] * s + z);
}

void tfs_scale_divided(float *x, size_t n, float s)
{
	IN_EIGHTS(n, x[i] /= s);
}

void tfs_scale_each_times(float *restrict x, size_t n, const float *restrict s)
{
	IN_EIGHTS(n, x[i] *= s[i]);
}

void tfs_scale_each_minus_times(float *restrict x, size_t n, const float *restrict z, const float *restrict s)
{
	IN_EIGHTS(n, x[i] = (x[i] - z[i]) * s[i]);
}

void tfs_scale_each_times_plus(float *restrict x, size_t n, const float *restrict s, const float *restrict z)
{
	IN_EIGHTS(n, x[i] = x[i] * s[i] + z[i]);
}

void tfs_scale_each_divided(float *restrict x, size_t n, const float *restrict s)
{
	IN_EIGHTS(n, x[i] /= s[i]);
}
