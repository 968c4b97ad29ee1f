/* SPDX-License-Identifier: MIT */
/*
 * GGUF's single-level types: a block is a scale, in some types an offset, and a few bits for each element. Layouts are those of
 * ggml (ggml-common.h, ggml-quants.c) and of its Python package (gguf, quants.py). This file, kquant.c and iquant.c are the
 * reference that vector kernels must match.
 */
#include "convert/scalar.h"

/* Two elements a byte: the first half of a block is in the low four bits, the second in the high ones. */
static int low(uint8_t x)
{
	return x & 15;
}

static int high(uint8_t x)
{
	return x >> 4;
}

/* f16 scale, 16 bytes */
static void q4_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)(low(b[2 + j]) - 8);
		y[j + 16] = d * (float)(high(b[2 + j]) - 8);
	}
}

/* f16 scale, f16 offset, 16 bytes */
static void q4_1_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), m = tfs_f16_at(b + 2);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)low(b[4 + j]) + m;
		y[j + 16] = d * (float)high(b[4 + j]) + m;
	}
}

/* The fifth bit of element j is bit j of @fifth. */
static int fifth_bit(uint32_t fifth, int j)
{
	return (int)(fifth >> j & 1) << 4;
}

/* f16 scale, 32 fifth bits, 16 bytes */
static void q5_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);
	uint32_t fifth = tfs_le32(b + 2);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)((low(b[6 + j]) | fifth_bit(fifth, j)) - 16);
		y[j + 16] = d * (float)((high(b[6 + j]) | fifth_bit(fifth, j + 16)) - 16);
	}
}

/* f16 scale, f16 offset, 32 fifth bits, 16 bytes */
static void q5_1_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), m = tfs_f16_at(b + 2);
	uint32_t fifth = tfs_le32(b + 4);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)(low(b[8 + j]) | fifth_bit(fifth, j)) + m;
		y[j + 16] = d * (float)(high(b[8 + j]) | fifth_bit(fifth, j + 16)) + m;
	}
}

/* f16 scale, 32 signed bytes */
static void q8_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);

	for (int j = 0; j < 32; j++)
		y[j] = d * (float)(int8_t)b[2 + j];
}

/* The same, with d × the sum of the bytes, which is only used in products, in between. */
static void q8_1_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);

	for (int j = 0; j < 32; j++)
		y[j] = d * (float)(int8_t)b[4 + j];
}

/* f16 scale, 128 signs from the low bits up; a set bit means plus */
static void q1_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);
	const float values[2] = { -d, d };

	for (int j = 0; j < 128; j++)
		y[j] = values[b[2 + j / 8] >> j % 8 & 1];
}

/* f16 scale, 64 times two bits from the low ones up, of -1 to 2 */
static void q2_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);

	for (int j = 0; j < 64; j++)
		y[j] = d * (float)((b[2 + j / 4] >> j % 4 * 2 & 3) - 1);
}

/*
 * The @n-th ternary digit of @x, highest first, less 1. A byte has five of them as a fraction of 256: the one before the point
 * after multiplying by 3, once those before it have been multiplied away.
 */
static int trit(uint8_t x, int n)
{
	static const uint8_t powers[] = { 1, 3, 9, 27, 81 };

	return ((uint8_t)(x * powers[n]) * 3 >> 8) - 1;
}

/* 32 bytes of 5 digits, 16 of 5, 4 of 4, f16 scale; all first digits of such a run of bytes, then all second, … */
static void tq1_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b + 52);

	for (int n = 0; n < 5; n++)
		for (int j = 0; j < 32; j++)
			y[32 * n + j] = d * (float)trit(b[j], n);
	for (int n = 0; n < 5; n++)
		for (int j = 0; j < 16; j++)
			y[160 + 16 * n + j] = d * (float)trit(b[32 + j], n);
	for (int n = 0; n < 4; n++)
		for (int j = 0; j < 4; j++)
			y[240 + 4 * n + j] = d * (float)trit(b[48 + j], n);
}

/* Two runs of 32 bytes of four times two bits, of -1 to 2, the lowest of all 32 first; f16 scale */
static void tq2_0_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b + 64);

	for (int j = 0; j < 256; j++)
		y[j] = d * (float)((b[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3) - 1);
}

/* E2M1, doubled, and without -0. Both types below halve the scale instead. */
static const float e2m1[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* E8M0 scale, 16 bytes */
static void mxfp4_block(const uint8_t *b, float *y)
{
	float d = tfs_mxfp4_scale(b[0]);

	for (int j = 0; j < 16; j++) {
		y[j] = d * e2m1[low(b[1 + j])];
		y[j + 16] = d * e2m1[high(b[1 + j])];
	}
}

/*
 * Four scales, four times 8 bytes. A scale is E4M3 without a sign, where only 0x7f is 0; otherwise its highest bit is ignored. The
 * factor for the whole tensor is a tensor of its own.
 */
static void nvfp4_block(const uint8_t *b, float *y)
{
	for (int k = 0; k < 4; k++) {
		float d = b[k] == 0x7f ? 0 : tfs_widen(b[k] & 0x7f, 4, 3, 8); /* a bias of 7 is half of it */

		for (int j = 0; j < 8; j++) {
			y[16 * k + j] = d * e2m1[low(b[4 + 8 * k + j])];
			y[16 * k + j + 8] = d * e2m1[high(b[4 + 8 * k + j])];
		}
	}
}

TFS_BLOCK_KERNEL(q4_0, 32, 18)
TFS_BLOCK_KERNEL(q4_1, 32, 20)
TFS_BLOCK_KERNEL(q5_0, 32, 22)
TFS_BLOCK_KERNEL(q5_1, 32, 24)
TFS_BLOCK_KERNEL(q8_0, 32, 34)
TFS_BLOCK_KERNEL(q8_1, 32, 36)
TFS_BLOCK_KERNEL(q1_0, 128, 18)
TFS_BLOCK_KERNEL(q2_0, 64, 18)
TFS_BLOCK_KERNEL(tq1_0, 256, 54)
TFS_BLOCK_KERNEL(tq2_0, 256, 66)
TFS_BLOCK_KERNEL(mxfp4, 32, 17)
TFS_BLOCK_KERNEL(nvfp4, 64, 36)
