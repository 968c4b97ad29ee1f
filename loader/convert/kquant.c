/* SPDX-License-Identifier: MIT */
/*
 * GGUF's K types: a block of 256 elements is one f16 scale, in some types one for minima, and sub-blocks with small integers
 * to multiply those by. See quant.c for sources.
 */
#include "convert/scalar.h"

/* 16 bytes, scale and minimum of 16 elements each, low and high; 64 bytes as in TQ2_0; f16 for scales, f16 for minima */
static void q2_k_block(const uint8_t *b, float *y)
{
	const uint8_t *q = b + 16;
	float d = tfs_f16_at(b + 80), dmin = tfs_f16_at(b + 82);

	for (int k = 0; k < 16; k++) {
		float scale = d * (float)(b[k] & 15), min = dmin * (float)(b[k] >> 4);

		for (int j = 0; j < 16; j++)
			y[16 * k + j] = scale * (float)(q[k / 8 * 32 + k % 2 * 16 + j] >> k / 2 % 4 * 2 & 3) - min;
	}
}

/*
 * 32 bytes of third bits, clear where 4 must be subtracted; 64 bytes as in TQ2_0; 12 bytes of scales; f16. A scale is four bits of
 * the first 8 bytes, low ones first, and two above them of the other 4, four lowest ones first.
 */
static void q3_k_block(const uint8_t *b, float *y)
{
	const uint8_t *q = b + 32, *s = b + 96;
	float d = tfs_f16_at(b + 108);

	for (int k = 0; k < 16; k++) {
		int six = (s[k % 8] >> k / 8 * 4 & 15) | (s[8 + k % 4] >> k / 4 * 2 & 3) << 4;
		float scale = d * (float)(six - 32);

		for (int j = 0; j < 16; j++) {
			int at = k % 2 * 16 + j;
			int third = b[at] >> k / 2 & 1;

			y[16 * k + j] = scale * (float)((q[k / 8 * 32 + at] >> k / 2 % 4 * 2 & 3) - (third ? 0 : 4));
		}
	}
}

/* f16 for scales, f16 for minima, 12 bytes of both, 128 bytes: two sub-blocks of 32 in each 32, low and high */
static void q4_k_block(const uint8_t *b, float *y)
{
	const uint8_t *q = b + 16;
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);
	float d = tfs_f16_at(b), dmin = tfs_f16_at(b + 2);

	for (int k = 0; k < 8; k++) {
		float scale = d * (float)(s.scale >> 8 * k & 63), min = dmin * (float)(s.min >> 8 * k & 63);

		for (int j = 0; j < 32; j++)
			y[32 * k + j] = scale * (float)(q[k / 2 * 32 + j] >> k % 2 * 4 & 15) - min;
	}
}

/* As Q4_K, with 32 bytes of fifth bits before the 128: bit k of byte j is of element j of sub-block k. */
static void q5_k_block(const uint8_t *b, float *y)
{
	const uint8_t *fifth = b + 16, *q = b + 48;
	struct tfs_k_scales s = tfs_k_scales_at(b + 4);
	float d = tfs_f16_at(b), dmin = tfs_f16_at(b + 2);

	for (int k = 0; k < 8; k++) {
		float scale = d * (float)(s.scale >> 8 * k & 63), min = dmin * (float)(s.min >> 8 * k & 63);

		for (int j = 0; j < 32; j++)
			y[32 * k + j] = scale * (float)((q[k / 2 * 32 + j] >> k % 2 * 4 & 15) | (fifth[j] >> k & 1) << 4) - min;
	}
}

/*
 * 128 bytes of low four bits, 64 of upper two, 16 signed bytes of scales, f16. Either half of 128 elements has 64 and 32 bytes:
 * of its four rows of 32, the first two are low in the 64, the others high, and their upper bits lie from low to high.
 */
static void q6_k_block(const uint8_t *b, float *y)
{
	const int8_t *scales = (const int8_t *)b + 192;
	float d = tfs_f16_at(b + 208);

	for (int half = 0; half < 2; half++, y += 128) {
		const uint8_t *q = b + 64 * half, *upper = b + 128 + 32 * half;

		for (int row = 0; row < 4; row++)
			for (int j = 0; j < 32; j++) {
				int scale = scales[8 * half + 2 * row + j / 16];
				int x = (q[row % 2 * 32 + j] >> row / 2 * 4 & 15) | (upper[j] >> 2 * row & 3) << 4;

				y[32 * row + j] = d * (float)scale * (float)(x - 32);
			}
	}
}

/* float32 scale, 256 signed bytes, and 16 sums of them, which are only used in products */
static void q8_k_block(const uint8_t *b, float *y)
{
	float d = tfs_float_of(tfs_le32(b));

	for (int j = 0; j < 256; j++)
		y[j] = d * (float)(int8_t)b[4 + j];
}

TFS_BLOCK_KERNEL(q2_k, 256, 84)
TFS_BLOCK_KERNEL(q3_k, 256, 110)
TFS_BLOCK_KERNEL(q4_k, 256, 144)
TFS_BLOCK_KERNEL(q5_k, 256, 176)
TFS_BLOCK_KERNEL(q6_k, 256, 210)
TFS_BLOCK_KERNEL(q8_k, 256, 292)
