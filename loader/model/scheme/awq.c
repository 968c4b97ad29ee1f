/* SPDX-License-Identifier: MIT */
/*
 * AWQ, of 4 bits. GEMM: P`qweight` [in, out / 8], in each word 8 codes of a row, in an order of their own, P`qzeros` [groups, out / 8],
 * alike, and P`scales` [groups, out]; the weight is [out, in]. GEMV: P`qweight` [out, in / 8], P`qzeros` and P`scales` of each row, filled
 * up; in plain order. Either without P`qzeros` where the configuration says that zero is in the middle.
 * Sources: AutoAWQ, awq/modules/linear/gemm.py and gemv.py, awq/utils/packing_utils.py.
 */
#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "model/scheme/columns.h"

enum { MIDDLE = 8 };
/* Places in w->parts. */
enum { CODES, SCALES, ZEROS };

/* The column, of a word's 8, of its nibble @i: packing_utils.py AWQ_ORDER. */
static const uint8_t order[8] = { 0, 2, 4, 6, 1, 3, 5, 7 };

static uint32_t word(const uint8_t *words, uint64_t i)
{
	uint32_t x;

	memcpy(&x, words + i * sizeof x, sizeof x);
	return le32toh(x);
}

/* --- GEMV ------------------------------------------------------------------------------------------------------------ */

static int prepare_gemv(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			struct tfs_error *err)
{
	(void)err;
	tfs_floats_of(w->parts[SCALES], w->parts[SCALES]->dtype->name, parts[SCALES], ret->scale);
	/* There are 8 scales for each word of zero points, so both are in the same places. */
	for (uint64_t i = 0; i < w->n_scales; i++)
		ret->offset[i] = w->n_parts > ZEROS ? (float)(parts[ZEROS][i / 2] >> i % 2 * 4 & 15) : (float)MIDDLE;
	return 0;
}

/* --- GEMM ------------------------------------------------------------------------------------------------------------ */

static int prepare_gemm(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			struct tfs_error *err)
{
	const uint64_t n_groups = w->per_row;
	int r = tfs_columns_scales(w, parts[SCALES], ret->scale, err);

	if (r)
		return r;
	for (uint64_t g = 0; g < n_groups; g++)
		for (uint64_t k = 0; k < w->rows / 8; k++) {
			const uint32_t z = w->n_parts > ZEROS ? word(parts[ZEROS], g * (w->rows / 8) + k) : MIDDLE * 0x11111111u;

			for (unsigned i = 0; i < 8; i++)
				ret->offset[(k * 8 + order[i]) * n_groups + g] = (float)(z >> i * 4 & 15);
		}
	return 0;
}

/* 16 bytes at once, by what any CPU has for it. */
typedef uint8_t bytes __attribute__((vector_size(16)));

#if __has_builtin(__builtin_shufflevector)
#define shuffle(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else /* GCC before 12 */
#define shuffle(a, b, ...) __builtin_shuffle(a, b, (bytes){ __VA_ARGS__ })
#endif

static inline bytes interleave_first(bytes a, bytes b)
{
	return shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline bytes interleave_last(bytes a, bytes b)
{
	return shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/* Turn 16 rows of 16 bytes to their columns: each step is half of a perfect shuffle of all 256, and four such are a transposition. */
static inline void turn(bytes x[16])
{
	bytes y[16];

	for (unsigned step = 0; step < 4; step++) {
		for (unsigned i = 0; i < 8; i++) {
			y[2 * i] = interleave_first(x[i], x[i + 8]);
			y[2 * i + 1] = interleave_last(x[i], x[i + 8]);
		}
		memcpy(x, y, sizeof y);
	}
}

/*
 * So many words of a row are read at a time, for so many inputs, whose codes fill a line of the cache: few lines that are a power of two
 * apart, as rows often are, can be in the cache at once. The copy has its rows elsewhere.
 */
enum { TILE_WORDS = 128, TILE_IN = 128, BLOCK_IN = 32, TURN_WORDS = 4, NEAR_BYTES = TILE_WORDS * sizeof(uint32_t) + 64 };

/* As memcpy(), which compilers make slow for few bytes of a number that they don't know. */
static inline void copy(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t i = 0;

	for (; i + sizeof(bytes) <= n; i += sizeof(bytes))
		memcpy(to + i, from + i, sizeof(bytes));
	for (; i < n; i++)
		to[i] = from[i];
}

/* TURN_WORDS words of each of 32 inputs, in rows of @near: 32 rows of @tile have their codes, two per byte, the first one low. */
static void unpack_block(uint8_t near[][NEAR_BYTES], size_t word, uint8_t tile[][TILE_IN / 2])
{
	bytes low[16], high[16];

	for (size_t i = 0; i < 16; i++) {
		bytes even, odd;

		memcpy(&even, &near[2 * i][word * sizeof(uint32_t)], sizeof even);
		memcpy(&odd, &near[2 * i + 1][word * sizeof(uint32_t)], sizeof odd);
		low[i] = (even & 15) | odd << 4;
		high[i] = even >> 4 | (odd & 0xf0);
	}
	turn(low);
	turn(high);
	for (size_t i = 0; i < 16; i++) {
		memcpy(tile[i / 4 * 8 + order[i % 4 * 2]], &low[i], sizeof low[i]);
		memcpy(tile[i / 4 * 8 + order[i % 4 * 2 + 1]], &high[i], sizeof high[i]);
	}
}

static void unpack_gemm(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes)
{
	const uint64_t n_words = w->rows / 8, stride = n_words * sizeof(uint32_t);
	uint8_t tile[TURN_WORDS * 8][TILE_IN / 2], near[TILE_IN][NEAR_BYTES] = { { 0 } };

	for (uint64_t k = 0; k < n_words; k += TILE_WORDS)
		for (uint64_t i = 0; i < w->cols; i += TILE_IN) {
			const size_t n = n_words - k < TILE_WORDS ? n_words - k : TILE_WORDS;
			const size_t n_in = w->cols - i < TILE_IN ? w->cols - i : TILE_IN;

			for (size_t j = 0; j < n_in; j++)
				copy(near[j], stored + (i + j) * stride + k * sizeof(uint32_t), n * sizeof(uint32_t));
			for (size_t word = 0; word < n; word += TURN_WORDS) {
				const size_t n_out = (n - word < TURN_WORDS ? n - word : TURN_WORDS) * 8;

				for (size_t j = 0; j < n_in; j += BLOCK_IN)
					unpack_block(&near[j], word, (uint8_t(*)[TILE_IN / 2])(tile[0] + j / 2));
				for (size_t o = 0; o < n_out; o++)
					copy(ret_codes + ((k + word) * 8 + o) * w->row_bytes + i / 2, tile[o], (n_in + 1) / 2);
			}
		}
}

/* --- A weight -------------------------------------------------------------------------------------------------------- */

static const struct tfs_scaled_ops ops_gemm = { .prepare = prepare_gemm, .unpack = unpack_gemm };
static const struct tfs_scaled_ops ops_gemv = { .prepare = prepare_gemv };

/* Zero points are as many, and packed, as the scales and the layout ask for. */
static bool zeros_fit(const struct tfs_columns *c)
{
	const struct tfs_tensor *z = c->zeros;

	return (tfs_is(z, "I32") || tfs_is(z, "U32")) && z->ndim == 2 && z->shape[0] == c->scales->shape[0] &&
	       z->shape[1] == c->scales->shape[1] / 8;
}

static int add_gemm(struct tfs_schemes *s, const struct tfs_columns *c, struct tfs_scaled *w)
{
	const uint64_t in = c->codes->shape[0], n_groups = c->scales->shape[0];
	const uint64_t group_size = tfs_columns_group_size(s, in, n_groups);

	if (!group_size)
		return tfs_columns_refuse(s, c, w->scheme, "%" PRIu64 " inputs in %" PRIu64 " groups, of a size that isn't given",
					  in, n_groups);
	w->ops = &ops_gemm;
	w->packing = TFS_PACKED_OTHERWISE;
	tfs_columns_spread(w, c, in, group_size);
	w->row_bytes = in / 2 + in % 2;
	return tfs_columns_add(s, c, w);
}

static int add_gemv(struct tfs_schemes *s, const struct tfs_columns *c, struct tfs_scaled *w)
{
	w->ops = &ops_gemv;
	w->packing = TFS_PACKED_ROWS;
	w->experts = 1;
	w->rows = c->codes->shape[0];
	w->cols = c->codes->shape[1] * 8;
	w->row_bytes = c->codes->shape[1] * sizeof(uint32_t);
	w->row_block = 1;
	w->col_block = w->group_size = c->group_size;
	w->per_row = c->scales->shape[1];
	w->per_col = 1;
	w->n_scales = tfs_n_elems(c->scales);
	return tfs_columns_add(s, c, w);
}

/* What fits neither this nor GPTQ, by the name that its configuration has. */
static int refuse_shapes(struct tfs_schemes *s, const struct tfs_columns *c)
{
	const bool gptq = strstr(tfs_config_string(tfs_schemes_config(s), "quant_method"), "gptq") || c->groups;
	char codes[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];

	if (!c->scales)
		return tfs_columns_refuse(s, c, gptq ? "gptq" : "awq", "there are no scales");
	tfs_shape_of(c->codes, codes);
	tfs_shape_of(c->scales, scales);
	if (c->layout == TFS_COLUMNS_SEVERAL)
		return tfs_columns_refuse(s, c, gptq ? "gptq" : "awq",
					  "codes of %s and scales of %s fit several layouts, and the configuration names none",
					  codes, scales);
	return tfs_columns_refuse(s, c, gptq ? "gptq" : "awq", "codes of %s and scales of %s don't go together", codes, scales);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	char zeros[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = { .scheme = "awq",
				.formula = "(code - zero_point) * scale",
				.n_parts = 2,
				.bits = 4,
				.form = TFS_SCALED_MINUS_TIMES,
				.factor = 1 };
	struct tfs_columns c;

	if (!tfs_columns_of(s, t, &c) || c.layout == TFS_COLUMNS_GPTQ)
		return 0;
	/* AutoAWQ, modules/linear/marlin.py: [in / 16, 2 · out]; or so named. */
	if (!strcasecmp(tfs_columns_version(s), "marlin"))
		return tfs_columns_refuse(s, &c, w.scheme, "the layout \"marlin\" isn't supported");
	if (c.layout != TFS_COLUMNS_GEMM && c.layout != TFS_COLUMNS_GEMV)
		return refuse_shapes(s, &c);
	if (!c.zeros && !json_is_false(json_object_get(tfs_schemes_config(s), "zero_point")))
		return tfs_columns_refuse(s, &c, w.scheme, "there are no zero points (qzeros)");
	if (c.zeros && !zeros_fit(&c))
		return tfs_columns_refuse(s, &c, w.scheme, "zero points of %s %s don't go with scales of %s", c.zeros->dtype->name,
					  tfs_shape_of(c.zeros, zeros), tfs_shape_of(c.scales, scales));
	w.parts[CODES] = c.codes;
	w.parts[SCALES] = c.scales;
	if (c.zeros)
		w.parts[w.n_parts++] = c.zeros;
	return c.layout == TFS_COLUMNS_GEMM ? add_gemm(s, &c, &w) : add_gemv(s, &c, &w);
}

const struct tfs_scheme tfs_scheme_awq = { "awq", find };
