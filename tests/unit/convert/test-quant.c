/* SPDX-License-Identifier: MIT */
/*
 * GGUF's block types: blocks whose elements were worked out by hand from the layouts, and every vector kernel against the
 * scalar one. That all of it agrees with ggml's own float32 is seen by test-convert-vectors.py.
 */
#include "support/convert-helpers.h"

#include <math.h>

#include "convert/grids.h"

/* A block of zeros but for these bytes (none is 0: that ends the list), and its elements; later ranges count. */
struct fixture {
	const char *dtype;
	struct {
		uint16_t at;
		uint8_t byte;
	} bytes[20];
	struct {
		uint16_t from, n;
		float value;
	} elements[16];
};

/* As f16: 0x3800 is 0.5, 0x3c00 is 1, 0x3e00 is 1.5, 0x4000 is 2, 0x4400 is 4, 0xbc00 is -1. */
/* clang-format off */
static const struct fixture fixtures[] = {
	/* d 0.5 */
	{ "Q4_0", { { 1, 0x38 }, { 2, 0x9f } },
	  { { 0, 32, -4 }, { 0, 1, 3.5f }, { 16, 1, 0.5f } } },
	/* d 2, m -1 */
	{ "Q4_1", { { 1, 0x40 }, { 3, 0xbc }, { 19, 0xa3 } },
	  { { 0, 32, -1 }, { 15, 1, 5 }, { 31, 1, 19 } } },
	/* d 1; fifth bits of 0, 16 and 31 */
	{ "Q5_0", { { 1, 0x3c }, { 2, 0x01 }, { 4, 0x01 }, { 5, 0x80 }, { 6, 0x21 } },
	  { { 0, 32, -16 }, { 0, 1, 1 }, { 16, 1, 2 }, { 31, 1, 0 } } },
	/* d 0.5, m 1; fifth bit of 9 */
	{ "Q5_1", { { 1, 0x38 }, { 3, 0x3c }, { 5, 0x02 }, { 17, 0x7f } },
	  { { 0, 32, 1 }, { 9, 1, 16.5f }, { 25, 1, 4.5f } } },
	/* d 2 */
	{ "Q8_0", { { 1, 0x40 }, { 2, 0x80 }, { 33, 0x7f } },
	  { { 0, 32, 0 }, { 0, 1, -256 }, { 31, 1, 254 } } },
	/* d 2; the sum, here infinite, has no part in it */
	{ "Q8_1", { { 1, 0x40 }, { 3, 0x7c }, { 4, 0xff }, { 35, 3 } },
	  { { 0, 32, 0 }, { 0, 1, -2 }, { 31, 1, 6 } } },
	/* d 1.5 */
	{ "Q1_0", { { 1, 0x3e }, { 2, 0x01 }, { 17, 0x80 } },
	  { { 0, 128, -1.5f }, { 0, 1, 1.5f }, { 127, 1, 1.5f } } },
	/* d 1; 3, 2, 1, 0 from the top */
	{ "Q2_0", { { 1, 0x3c }, { 2, 0xe4 }, { 17, 0xc0 } },
	  { { 0, 64, -1 }, { 1, 1, 0 }, { 2, 1, 1 }, { 3, 1, 2 }, { 63, 1, 2 } } },
	/* d 4; 207 is 21021 in base 3, as 196 × 256 / 243 rounded up; 129 is 11112; 187 is 20120 */
	{ "TQ1_0", { { 53, 0x44 }, { 0, 207 }, { 47, 129 }, { 51, 187 } },
	  { { 0, 256, -4 }, { 0, 1, 4 }, { 32, 1, 0 }, { 96, 1, 4 }, { 128, 1, 0 }, { 175, 1, 0 }, { 191, 1, 0 }, { 207, 1, 0 },
	    { 223, 1, 0 }, { 239, 1, 4 }, { 243, 1, 4 }, { 251, 1, 0 }, { 255, 1, 4 } } },
	/* d 1 */
	{ "TQ2_0", { { 65, 0x3c }, { 0, 0xe4 }, { 63, 0x40 } },
	  { { 0, 256, -1 }, { 32, 1, 0 }, { 64, 1, 1 }, { 96, 1, 2 }, { 255, 1, 0 } } },
	/* Twice what E2M1 has; no -0 */
	{ "MXFP4", { { 0, 128 }, { 1, 0x7f }, { 16, 0x81 } },
	  { { 0, 32, 0 }, { 0, 1, -12 }, { 16, 1, 12 }, { 15, 1, 1 } } },
	/* The least scale and the greatest, which is no NaN */
	{ "MXFP4", { { 1, 0x91 } },
	  { { 0, 32, 0 }, { 0, 1, 0x1p-128f }, { 16, 1, -0x1p-128f } } },
	{ "MXFP4", { { 0, 255 }, { 1, 0xa1 } },
	  { { 0, 32, 0 }, { 0, 1, 0x1p127f }, { 16, 1, -INFINITY } } },
	/* Half of 1, of what would be NaN, of the least, and of 1 with its sign ignored */
	{ "NVFP4", { { 0, 0x38 }, { 1, 0x7f }, { 2, 0x01 }, { 3, 0xb8 }, { 4, 0x97 }, { 12, 0xff }, { 20, 0x02 }, { 35, 0x30 } },
	  { { 0, 64, 0 }, { 0, 1, 6 }, { 8, 1, -0.5f }, { 16, 1, -0.0f }, { 24, 1, -0.0f }, { 32, 1, 0x1p-9f }, { 63, 1, 1.5f } } },
	/* d 1, dmin 0.5 */
	{ "Q2_K", { { 81, 0x3c }, { 83, 0x38 }, { 0, 0x23 }, { 7, 0x01 }, { 15, 0x10 }, { 16, 0x03 }, { 37, 0x80 } },
	  { { 0, 256, 0 }, { 0, 16, -1 }, { 0, 1, 8 }, { 117, 1, 2 }, { 240, 16, -0.5f } } },
	/* d 2; scale 0 is 1, the others -32 */
	{ "Q3_K", { { 109, 0x40 }, { 96, 0x01 }, { 104, 0x02 }, { 3, 0x01 }, { 35, 0x03 }, { 31, 0x80 }, { 95, 0x40 } },
	  { { 0, 256, 256 }, { 0, 16, -8 }, { 3, 1, 6 }, { 255, 1, -64 } } },
	/* d 1, dmin 0.5; scales 0: 5, 4: 49, 7: 32; minima 0: 2, 4: 19 */
	{ "Q4_K", { { 1, 0x3c }, { 3, 0x38 }, { 4, 0xc5 }, { 8, 0x42 }, { 12, 0x31 }, { 7, 0x80 }, { 16, 0xf2 }, { 80, 0x0f }, { 143, 0x10 } },
	  { { 0, 256, 0 }, { 0, 32, -1 }, { 0, 1, 9 }, { 128, 32, -9.5f }, { 128, 1, 725.5f }, { 255, 1, 32 } } },
	/* d 1, dmin 0.5; scales 1: 3, 7: 21; minimum 1: 4 */
	{ "Q5_K", { { 1, 0x3c }, { 3, 0x38 }, { 5, 0x03 }, { 9, 0x04 }, { 7, 0x40 }, { 15, 0x05 }, { 18, 0x02 }, { 50, 0xa0 }, { 47, 0x80 }, { 175, 0x70 } },
	  { { 0, 256, 0 }, { 32, 32, -2 }, { 34, 1, 76 }, { 255, 1, 483 } } },
	/* d 0.5; scales 0: 2, 15: -2; elsewhere 0 × -32 */
	{ "Q6_K", { { 209, 0x38 }, { 192, 0x02 }, { 0, 0x05 }, { 128, 0x03 }, { 207, 0xfe }, { 127, 0x90 }, { 191, 0x40 } },
	  { { 0, 256, -0.0f }, { 0, 16, -32 }, { 0, 1, 21 }, { 240, 16, 32 }, { 255, 1, 7 } } },
	/* d 1.5, as float32; the sums have no part in it */
	{ "Q8_K", { { 2, 0xc0 }, { 3, 0x3f }, { 4, 0x81 }, { 259, 0x02 }, { 291, 0xff } },
	  { { 0, 256, 0 }, { 0, 1, -190.5f }, { 255, 1, 3 } } },
	/* d 1 here and in all that follow */
	{ "IQ4_NL", { { 1, 0x3c }, { 2, 0x0f }, { 17, 0x87 } },
	  { { 0, 32, -127 }, { 0, 1, 113 }, { 15, 1, -10 }, { 31, 1, 1 } } },
	/* scales 0: 1, 7: 3, the others -32 */
	{ "IQ4_XS", { { 1, 0x3c }, { 2, 0x02 }, { 3, 0x80 }, { 4, 0x01 }, { 7, 0x30 }, { 8, 0x8f }, { 135, 0xd9 } },
	  { { 0, 256, 4064 }, { 0, 32, -127 }, { 0, 1, 113 }, { 16, 1, 1 }, { 224, 32, -381 }, { 239, 1, 39 }, { 255, 1, 207 } } },
	/* scale 0: (0.5 + 1) / 4; points 0: 43 8…, 31: 25 25 8…; one sign set, and so the eighth */
	{ "IQ2_XXS", { { 1, 0x3c }, { 2, 0x01 }, { 6, 0x01 }, { 9, 0x10 }, { 61, 0x02 }, { 64, 0x20 } },
	  { { 0, 256, 1 }, { 0, 32, 3 }, { 0, 1, -16.125f }, { 7, 1, -3 }, { 248, 2, 3.125f }, { 248, 1, -3.125f }, { 255, 1, -1 } } },
	/* scales 0: 1.5 / 4, 1: 3.5 / 4; points 0: 43 8…, 31: all 43 */
	{ "IQ2_XS", { { 1, 0x3c }, { 2, 0x01 }, { 3, 0x80 }, { 66, 0x31 }, { 64, 0xff }, { 65, 0x01 } },
	  { { 0, 256, 1 }, { 0, 16, 3 }, { 0, 1, 16.125f }, { 6, 2, -3 }, { 16, 16, 7 }, { 248, 8, 5.375f } } },
	/* scale 1: 1.5 / 4; point 31: all 43 */
	{ "IQ2_S", { { 1, 0x3c }, { 33, 0xff }, { 65, 0x81 }, { 73, 0xc0 }, { 74, 0x10 } },
	  { { 0, 256, 1 }, { 16, 16, 3 }, { 248, 8, 5.375f }, { 248, 1, -5.375f }, { 255, 1, -5.375f } } },
	/* scale 7: 1.5 / 2; points 0: 20 4 4 4, 63: 4 28 52 62 */
	{ "IQ3_XXS", { { 1, 0x3c }, { 2, 0x01 }, { 65, 0xff }, { 96, 0x20 }, { 97, 0x10 } },
	  { { 0, 256, 1 }, { 0, 1, 5 }, { 224, 32, 3 }, { 248, 1, -3 }, { 253, 1, 21 }, { 254, 1, 39 }, { 255, 1, -46.5f } } },
	/* scale 7: 5; point 63: 1 1 15 15 */
	{ "IQ3_S", { { 1, 0x3c }, { 65, 0xff }, { 73, 0x80 }, { 74, 0x12 }, { 105, 0x90 }, { 109, 0x20 } },
	  { { 0, 256, 1 }, { 1, 1, -1 }, { 4, 1, -1 }, { 224, 32, 5 }, { 252, 1, -5 }, { 254, 1, 75 }, { 255, 1, -75 } } },
	/* scale 7: 7, an eighth down; point 31: all 1, the others -1 */
	{ "IQ1_S", { { 1, 0x3c }, { 33, 0xff }, { 49, 0xbe } },
	  { { 0, 256, -0.875f }, { 224, 32, -7.875f }, { 248, 8, 6.125f } } },
	/* scale 15: 11; point 31: all 1, an eighth down, as is point 0 */
	{ "IQ1_M", { { 53, 0xc0 }, { 55, 0x3a }, { 31, 0xff }, { 32, 0x08 }, { 47, 0xf0 } },
	  { { 0, 256, -0.875f }, { 0, 8, -1.125f }, { 240, 8, -9.625f }, { 248, 8, 9.625f } } },
};

/* Where the f16 scales of a block are. */
static const struct type {
	const char *name;
	int scales[2]; /* -1: it has none there */
} types[] = {
	{ "Q4_0", { 0, -1 } }, { "Q4_1", { 0, 2 } }, { "Q5_0", { 0, -1 } }, { "Q5_1", { 0, 2 } }, { "Q8_0", { 0, -1 } },
	{ "Q8_1", { 0, -1 } }, { "Q1_0", { 0, -1 } }, { "Q2_0", { 0, -1 } }, { "TQ1_0", { 52, -1 } }, { "TQ2_0", { 64, -1 } },
	{ "Q2_K", { 80, 82 } }, { "Q3_K", { 108, -1 } }, { "Q4_K", { 0, 2 } }, { "Q5_K", { 0, 2 } }, { "Q6_K", { 208, -1 } },
	{ "IQ2_XXS", { 0, -1 } }, { "IQ2_XS", { 0, -1 } }, { "IQ2_S", { 0, -1 } }, { "IQ3_XXS", { 0, -1 } }, { "IQ3_S", { 0, -1 } },
	{ "IQ1_S", { 0, -1 } }, { "IQ4_NL", { 0, -1 } }, { "IQ4_XS", { 0, -1 } },
	{ "IQ1_M", { -1, -1 } }, /* a scale in four parts */
	{ "Q8_K", { -1, -1 } },  /* a float32 */
	{ "MXFP4", { -1, -1 } }, { "NVFP4", { -1, -1 } }, /* a byte each */
};
/* clang-format on */

static void blocks_by_hand(void **state)
{
	enum { MOST_BYTES = 292, MOST = 256 };

	(void)state;
	for (size_t k = 0; k < LENGTH(fixtures); k++) {
		const struct fixture *f = &fixtures[k];
		const struct tfs_dtype *d = dtype_named(f->dtype);
		uint8_t block[MOST_BYTES] = { 0 };
		float want[MOST], out[MOST];

		assert_true(d->block_bytes <= MOST_BYTES && d->block_elems <= MOST);
		for (size_t i = 0; i < LENGTH(f->bytes) && f->bytes[i].byte; i++) {
			assert_true(f->bytes[i].at < d->block_bytes);
			block[f->bytes[i].at] = f->bytes[i].byte;
		}
		assert_int_equal(f->elements[0].n, d->block_elems);
		for (size_t i = 0; i < LENGTH(f->elements) && f->elements[i].n; i++)
			for (unsigned j = 0; j < f->elements[i].n; j++)
				want[f->elements[i].from + j] = f->elements[i].value;
		for (unsigned level = 0; level < tfs_simd_levels(); level++) {
			tfs_convert_fn *fn = tfs_convert_for_level(d, level);

			if (!fn)
				continue;
			fn(block, out, d->block_elems);
			for (unsigned i = 0; i < d->block_elems; i++)
				if (bits_of(out[i]) != bits_of(want[i]))
					fail_msg("%s, %s: element %u is %a, should be %a", f->dtype, tfs_simd_name(level), i,
						 (double)out[i], (double)want[i]);
		}
	}
}

static void every_type_has_a_fixture(void **state)
{
	(void)state;
	for (size_t k = 0; k < LENGTH(types); k++) {
		bool found = false;

		assert_non_null(tfs_convert_for(dtype_named(types[k].name)));
		for (size_t i = 0; i < LENGTH(fixtures); i++)
			found |= !strcmp(fixtures[i].dtype, types[k].name);
		if (!found)
			fail_msg("%s has no block made by hand", types[k].name);
	}
}

static void put_f16(uint8_t *p, uint32_t x)
{
	p[0] = (uint8_t)x;
	p[1] = (uint8_t)(x >> 8);
}

/* Random blocks, with all f16 there are as the first scale, and as the second one in another order. */
static void levels_agree_for_every_scale(void **state)
{
	enum { SCALES = 65536, TURN = 1024 };

	(void)state;
	for (size_t k = 0; k < LENGTH(types); k++) {
		const struct type *t = &types[k];
		const struct tfs_dtype *d = dtype_named(t->name);
		tfs_convert_fn *scalar = tfs_convert_for_level(d, TFS_SIMD_SCALAR);
		size_t n = (size_t)TURN * d->block_elems, len = (size_t)TURN * d->block_bytes;
		uint8_t *src = malloc(len);
		float *want = malloc(n * sizeof *want), *out = malloc(n * sizeof *out);
		uint64_t seed = k;

		assert_true(src && want && out);
		for (uint32_t x = 0; x < SCALES;) {
			for (size_t i = 0; i < len; i++)
				src[i] = (uint8_t)next(&seed);
			for (size_t i = 0; i < TURN; i++, x++) {
				uint8_t *block = src + i * d->block_bytes;

				if (t->scales[0] >= 0)
					put_f16(block + t->scales[0], x);
				if (t->scales[1] >= 0)
					put_f16(block + t->scales[1], x * 0x9e37 + 0x7c00);
			}
			scalar(src, want, n);
			for (unsigned level = TFS_SIMD_SCALAR + 1; level < tfs_simd_levels(); level++) {
				tfs_convert_fn *fn = tfs_convert_for_level(d, level);

				if (!fn || fn == scalar)
					continue;
				memset(out, 0xa5, n * sizeof *out);
				fn(src, out, n);
				if (!memcmp(out, want, n * sizeof *out))
					continue;
				for (size_t i = 0; i < n; i++)
					if (bits_of(out[i]) != bits_of(want[i]))
						fail_msg("%s, %s: scale %#zx, element %zu: is %#010x, should be %#010x", t->name,
							 tfs_simd_name(level), x - TURN + i / d->block_elems, i % d->block_elems,
							 bits_of(out[i]), bits_of(want[i]));
			}
		}
		free(src);
		free(want);
		free(out);
	}
}

/* Of a scale that is NaN, with a sign and a payload, and of one that is infinite, times 0 or less another one. */
static void there_is_one_nan(void **state)
{
	static const uint32_t scales[] = { 0xfe01, 0x7c01, 0x7c00, 0xfc00 };
	uint8_t block[292];
	float out[256];
	size_t nans = 0;

	(void)state;
	for (size_t k = 0; k < LENGTH(types) * LENGTH(scales); k++) {
		const struct type *t = &types[k / LENGTH(scales)];
		const struct tfs_dtype *d = dtype_named(t->name);
		uint32_t x = scales[k % LENGTH(scales)];

		if (t->scales[0] < 0)
			continue;
		for (int fill = 0; fill < 256; fill += 85) {
			memset(block, fill, sizeof block);
			for (int i = 0; i < 2; i++)
				if (t->scales[i] >= 0)
					put_f16(block + t->scales[i], x);
			for (unsigned level = 0; level < tfs_simd_levels(); level++) {
				tfs_convert_fn *fn = tfs_convert_for_level(d, level);

				if (!fn)
					continue;
				fn(block, out, d->block_elems);
				for (unsigned i = 0; i < d->block_elems; i++) {
					if (!isnan(out[i])) {
						assert_true((x & 0x3ff) == 0); /* a NaN leaves nothing else */
						continue;
					}
					assert_int_equal(bits_of(out[i]), 0x7fc00000);
					nans++;
				}
			}
		}
	}
	assert_true(nans > 0);
}

static void nothing_beyond_is_touched(void **state)
{
	(void)state;
	for (size_t k = 0; k < LENGTH(types); k++) {
		const struct tfs_dtype *d = dtype_named(types[k].name);

		check_reach(d, 7 * (size_t)d->block_elems);
	}
}

/* In order, all different, and of coordinates that the types know; FNV-1a of their bytes as ggml's tables have them. */
static void grids_are_whole(void **state)
{
	static const struct {
		const uint16_t *points;
		size_t n;
		unsigned bits, most; /* of a coordinate */
		uint64_t hash;
	} grids[] = {
		{ tfs_grid_iq2_xxs, LENGTH(tfs_grid_iq2_xxs), 2, 2, 0x6fca17f5c451905d },
		{ tfs_grid_iq2_xs, LENGTH(tfs_grid_iq2_xs), 2, 2, 0x29d6ac8e0e6b14e3 },
		{ tfs_grid_iq2_s, LENGTH(tfs_grid_iq2_s), 2, 2, 0x641f9aa3fbd98694 },
		{ tfs_grid_iq1, LENGTH(tfs_grid_iq1), 2, 2, 0x03f1880817eeffa4 },
		{ tfs_grid_iq3_xxs, LENGTH(tfs_grid_iq3_xxs), 4, 7, 0xa3a695908a710942 },
		{ tfs_grid_iq3_s, LENGTH(tfs_grid_iq3_s), 4, 7, 0xde38cc0714d23202 },
	};

	(void)state;
	for (size_t k = 0; k < LENGTH(grids); k++) {
		uint64_t hash = 0xcbf29ce484222325;

		for (size_t i = 0; i < grids[k].n; i++) {
			uint16_t point = grids[k].points[i];

			assert_true(!i || point > grids[k].points[i - 1]);
			for (unsigned at = 0; at < 16; at += grids[k].bits)
				assert_true((point >> at & ((1u << grids[k].bits) - 1)) <= grids[k].most);
			hash = (hash ^ (point & 255)) * 0x100000001b3;
			hash = (hash ^ point >> 8) * 0x100000001b3;
		}
		if (hash != grids[k].hash)
			fail_msg("grid %zu: is %#llx, should be %#llx", k, (unsigned long long)hash,
				 (unsigned long long)grids[k].hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_by_hand),
		cmocka_unit_test(every_type_has_a_fixture),
		cmocka_unit_test(levels_agree_for_every_scale),
		cmocka_unit_test(there_is_one_nan),
		cmocka_unit_test(nothing_beyond_is_touched),
		cmocka_unit_test(grids_are_whole),
	};

	print_levels();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
