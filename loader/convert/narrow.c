/* SPDX-License-Identifier: MIT */
#include "convert/narrow.h"

#include <endian.h>
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
