/* SPDX-License-Identifier: MIT */
/*
 * GGUF's IQ types: blocks like the K types', with values from a table, or whole points of a grid (grids.h) and signs. See quant.c
 * for sources.
 */
#include <stdbool.h>

#include "convert/grids.h"
#include "convert/scalar.h"

/* --- Points of a grid ------------------------------------------------------------------------------------------------ */

/* @value, or its negative where bit @j of @signs is set. */
static inline float with_sign(float value, uint32_t signs, unsigned j)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return tfs_float_of(bits ^ (signs >> j & 1) << 31);
}

/* The coordinates of a point of eight are indices into @values. */
static inline void put_eight(float *y, uint16_t point, const float *values, uint32_t signs)
{
	for (unsigned j = 0; j < 8; j++)
		y[j] = with_sign(values[point >> 2 * j & 3], signs, j);
}

/* The same for a point of four. */
static inline void put_four(float *y, uint16_t point, const float *values, uint32_t signs)
{
	for (unsigned j = 0; j < 4; j++)
		y[j] = with_sign(values[point >> 4 * j & 7], signs, j);
}

/* Eight signs are stored as seven: the number of negative ones is even. */
static inline uint32_t eighth_sign(uint32_t seven)
{
	return seven | (uint32_t)__builtin_parity(seven) << 7;
}

/* Values of the coordinates of the IQ2 types. */
static inline void iq2_values(float scale, float values[4])
{
	values[0] = scale * 8;
	values[1] = scale * 25;
	values[2] = scale * 43;
	values[3] = 0; /* not used by any point */
}

/* f16 scale; for each 32 elements: 4 bytes, the points; 32 bits: four times 7 signs, 4 bits of scale */
static void iq2_xxs_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), values[4];

	for (unsigned k = 0; k < 8; k++) {
		const uint8_t *points = b + 2 + 8 * k;
		uint32_t rest = tfs_le32(points + 4);

		iq2_values(d * (0.5f + (float)(rest >> 28)) * 0.25f, values);
		for (unsigned i = 0; i < 4; i++)
			put_eight(y + 32 * k + 8 * i, tfs_grid_iq2_xxs[points[i]], values, eighth_sign(rest >> 7 * i & 127));
	}
}

/* f16 scale; 32 times 16 bits: 9 of the point, 7 signs; 8 bytes, two scales of 16 elements each */
static void iq2_xs_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), values[4];

	for (unsigned k = 0; k < 16; k++) {
		iq2_values(d * (0.5f + (float)(b[66 + k / 2] >> k % 2 * 4 & 15)) * 0.25f, values);
		for (unsigned i = 2 * k; i < 2 * k + 2; i++) {
			uint32_t x = tfs_le16(b + 2 + 2 * i);

			put_eight(y + 8 * i, tfs_grid_iq2_xs[x & 511], values, eighth_sign(x >> 9));
		}
	}
}

/* f16 scale; 32 bytes: the points' low 8 bits; 32 of signs; 8 bytes: their upper 2 bits, four each; 8 of scales as in IQ2_XS */
static void iq2_s_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), values[4];

	for (unsigned k = 0; k < 16; k++) {
		iq2_values(d * (0.5f + (float)(b[74 + k / 2] >> k % 2 * 4 & 15)) * 0.25f, values);
		for (unsigned i = 2 * k; i < 2 * k + 2; i++) {
			unsigned x = b[2 + i] | (b[66 + i / 4] >> i % 4 * 2 & 3u) << 8;

			put_eight(y + 8 * i, tfs_grid_iq2_s[x], values, b[34 + i]);
		}
	}
}

/* f16 scale; 64 bytes: the points; 8 times 32 bits for 32 elements, as in IQ2_XXS */
static void iq3_xxs_block(const uint8_t *b, float *y)
{
	static const float levels[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
	float d = tfs_f16_at(b), values[8];

	for (unsigned k = 0; k < 8; k++) {
		uint32_t rest = tfs_le32(b + 66 + 4 * k);
		float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;

		for (unsigned i = 0; i < 8; i++)
			values[i] = scale * levels[i];
		for (unsigned i = 0; i < 8; i++)
			put_four(y + 32 * k + 4 * i, tfs_grid_iq3_xxs[b[2 + 8 * k + i]], values,
				 eighth_sign(rest >> i / 2 * 7 & 127) >> i % 2 * 4);
	}
}

/* f16 scale; 64 bytes: the points' low 8 bits; 8 bytes: their ninth, eight each; 32 of signs; 4 bytes, two scales of 32 each */
static void iq3_s_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), values[8];

	for (unsigned k = 0; k < 8; k++) {
		float scale = d * (float)(1 + 2 * (b[106 + k / 2] >> k % 2 * 4 & 15));

		for (unsigned i = 0; i < 8; i++)
			values[i] = scale * (float)(2 * i + 1);
		for (unsigned i = 0; i < 8; i++) {
			unsigned point = b[2 + 8 * k + i] | (b[66 + k] >> i & 1u) << 8;

			put_four(y + 32 * k + 4 * i, tfs_grid_iq3_s[point], values, b[74 + 4 * k + i / 2] >> i % 2 * 4u);
		}
	}
}

/* Values of the coordinates of the IQ1 types: -1, 0 and 1, all shifted up or down by an eighth. */
static inline void iq1_values(float scale, bool down, float values[4])
{
	float delta = down ? -0.125f : 0.125f;

	values[0] = scale * (-1 + delta);
	values[1] = scale * delta;
	values[2] = scale * (1 + delta);
	values[3] = 0; /* not used by any point */
}

/*
 * f16 scale; 32 bytes: the points' low 8 bits; 8 times 16 bits for 32 elements: four times the points' upper 3 bits, 3 of
 * scale, one for an eighth down
 */
static void iq1_s_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b), values[4];

	for (unsigned k = 0; k < 8; k++) {
		uint32_t x = tfs_le16(b + 34 + 2 * k);

		iq1_values(d * (float)(2 * (x >> 12 & 7) + 1), x >> 15, values);
		for (unsigned i = 0; i < 4; i++) {
			unsigned point = b[2 + 4 * k + i] | (x >> 3 * i & 7) << 8;

			put_eight(y + 32 * k + 8 * i, tfs_grid_iq1[point], values, 0);
		}
	}
}

/*
 * 32 bytes: the points' low 8 bits; 16 bytes: their upper 3 bits and one for an eighth down, two each; 4 times 16 bits: 3 of
 * scale for each 16 elements, and in the upper 4 a quarter of the f16 scale, its lowest first
 */
static void iq1_m_block(const uint8_t *b, float *y)
{
	float d, values[4];
	uint32_t f16 = 0;

	for (unsigned k = 0; k < 4; k++)
		f16 |= (uint32_t)tfs_le16(b + 48 + 2 * k) >> 12 << 4 * k;
	d = tfs_f16(f16);
	for (unsigned i = 0; i < 32; i++) {
		uint32_t x = b[32 + i / 2] >> i % 2 * 4 & 15;
		uint32_t scale = tfs_le16(b + 48 + i / 8 * 2) >> i / 2 % 4 * 3 & 7;

		iq1_values(d * (float)(2 * scale + 1), x >> 3, values);
		put_eight(y + 8 * i, tfs_grid_iq1[b[i] | (x & 7) << 8], values, 0);
	}
}

/* --- Values of a table ----------------------------------------------------------------------------------------------- */

static const float iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

/* 32 elements, those of the first half low */
static inline void put_iq4(float *y, const uint8_t *q, float scale)
{
	for (unsigned j = 0; j < 16; j++) {
		y[j] = scale * iq4[q[j] & 15];
		y[j + 16] = scale * iq4[q[j] >> 4];
	}
}

/* f16 scale, 16 bytes */
static void iq4_nl_block(const uint8_t *b, float *y)
{
	put_iq4(y, b + 2, tfs_f16_at(b));
}

/* f16 scale; 16 bits: the upper 2 of the scales of 32 elements each; 4 bytes: their low 4; 8 times 16 bytes as in IQ4_NL */
static void iq4_xs_block(const uint8_t *b, float *y)
{
	float d = tfs_f16_at(b);
	int upper = tfs_le16(b + 2);

	for (unsigned k = 0; k < 8; k++) {
		int scale = (b[4 + k / 2] >> k % 2 * 4 & 15) | (upper >> 2 * k & 3) << 4;

		put_iq4(y + 32 * k, b + 8 + 16 * k, d * (float)(scale - 32));
	}
}

TFS_BLOCK_KERNEL(iq2_xxs, 256, 66)
TFS_BLOCK_KERNEL(iq2_xs, 256, 74)
TFS_BLOCK_KERNEL(iq2_s, 256, 82)
TFS_BLOCK_KERNEL(iq3_xxs, 256, 98)
TFS_BLOCK_KERNEL(iq3_s, 256, 110)
TFS_BLOCK_KERNEL(iq1_s, 256, 50)
TFS_BLOCK_KERNEL(iq1_m, 256, 56)
TFS_BLOCK_KERNEL(iq4_nl, 32, 18)
TFS_BLOCK_KERNEL(iq4_xs, 256, 136)
