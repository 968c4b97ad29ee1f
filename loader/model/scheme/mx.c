/* SPDX-License-Identifier: MIT */
#include "model/scheme/mx.h"

#include <endian.h>
#include <string.h>

#include "base/checked.h"
#include "convert/convert.h"

/* struct tfs_scaled.arg[]. Of one above the scales: each @PARTS_OF_EXPERT-th of the rows of an expert has one; 0: all have the same. */
enum { IS_E4M3, IS_TILED, DIVIDES, PARTS_OF_EXPERT };

enum { TILE_ROWS = 128, TILE_COLS = 4, TILE = TILE_ROWS * TILE_COLS };

bool tfs_mx_is_fp4(const struct tfs_tensor *t)
{
	return tfs_is(t, "U8") || tfs_is(t, "I8") || tfs_is(t, "F4");
}

bool tfs_mx_fp4_shape(const struct tfs_tensor *t, uint64_t *ret_shape)
{
	if (!t->ndim)
		return false;
	memcpy(ret_shape, t->shape, t->ndim * sizeof *ret_shape);
	uint64_t *last = &ret_shape[t->ndim - 1];
	return tfs_is(t, "F4") ? !(*last % 2) : !ckd_mul(last, *last, 2);
}

/* Tile after tile along a row of tiles; in it 32 times 4 rows that are 32 apart, of 4 scales each (cuBLAS, block scaling factors). */
static uint64_t tiled_place(uint64_t row, uint64_t col, uint64_t tiles_of_row)
{
	const uint64_t tile = row / TILE_ROWS * tiles_of_row + col / TILE_COLS;

	return TILE * tile + 16 * (row % 32) + 4 * (row % TILE_ROWS / 32) + col % TILE_COLS;
}

static float global_at(const uint8_t *bytes, uint64_t i)
{
	uint32_t bits;
	float x;

	memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
	bits = le32toh(bits);
	memcpy(&x, &bits, sizeof x);
	return x;
}

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	const char *type = w->arg[IS_E4M3] ? "F8_E4M3" : "F8_E8M0";
	const uint64_t groups = w->per_row, tiles = groups / TILE_COLS + !!(groups % TILE_COLS), rows = w->experts * w->rows;
	uint8_t bytes[256];
	float table[256], *scale = ret->scale;

	(void)err;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	tfs_convert_for(tfs_dtype_by_name(type, strlen(type)))(bytes, table, sizeof bytes);
	for (uint64_t row = 0; row < rows; row++) {
		const uint64_t per = w->arg[PARTS_OF_EXPERT] ? w->rows / w->arg[PARTS_OF_EXPERT] : rows;
		const float global = w->n_parts > 2 ? global_at(parts[2], row / per) : 1;

		for (uint64_t g = 0; g < groups; g++, scale++) {
			const float x = table[parts[1][w->arg[IS_TILED] ? tiled_place(row, g, tiles) : row * groups + g]];

			*scale = w->n_parts <= 2 ? x : w->arg[DIVIDES] ? x / global : x * global;
		}
	}
	return 0;
}

const struct tfs_scaled_ops tfs_mx_ops = { .prepare = prepare };

static bool round_up(uint64_t *n, uint64_t to)
{
	return !ckd_add(n, *n, to - 1) && ((*n -= *n % to), true);
}

static bool tiles_fit(const struct tfs_tensor *scale, uint64_t rows, uint64_t groups)
{
	uint64_t n;

	return round_up(&rows, TILE_ROWS) && round_up(&groups, TILE_COLS) && !ckd_mul(&n, rows, groups) && tfs_n_elems(scale) == n;
}

static bool scales_fit(const struct tfs_scaled *w, const uint64_t *shape, unsigned ndim, const struct tfs_mx *how)
{
	const struct tfs_tensor *scale = w->parts[1];
	uint64_t rows;

	if (strcmp(scale->dtype->name, how->e4m3 ? "F8_E4M3" : "F8_E8M0") != 0 && !tfs_is(scale, "U8"))
		return false;
	if (ckd_mul(&rows, w->experts, w->rows) || ckd_mul(&rows, rows, w->per_row))
		return false;
	if (how->tiled)
		return tiles_fit(scale, how->tile_rows ? how->tile_rows : w->experts * w->rows, w->per_row);
	/* modelopt drops a first axis of 1 from scales alone (export/quant_utils.py, _maybe_squeeze_scale()). */
	if (ndim == 3 && shape[0] == 1 && scale->ndim == 2) {
		shape++;
		ndim--;
	}
	return scale->ndim == ndim && !memcmp(scale->shape, shape, (ndim - 1) * sizeof *shape) &&
	       scale->shape[ndim - 1] == w->per_row;
}

static bool spread(struct tfs_scaled *w, const uint64_t *shape, unsigned ndim, const struct tfs_mx *how)
{
	if (ndim < 2 || !how->group || shape[ndim - 1] % how->group)
		return false;
	w->cols = shape[ndim - 1];
	w->rows = shape[ndim - 2];
	w->experts = 1;
	for (unsigned i = 0; i + 2 < ndim; i++)
		if (ckd_mul(&w->experts, w->experts, shape[i]))
			return false;
	w->row_block = 1;
	w->col_block = w->group_size = how->group;
	w->per_col = 1;
	w->per_row = w->cols / how->group;
	w->row_bytes = w->bits == 4 ? w->cols / 2 : w->cols;
	w->arg[IS_E4M3] = how->e4m3;
	w->arg[IS_TILED] = how->tiled;
	w->arg[DIVIDES] = how->divide;
	if (!scales_fit(w, shape, ndim, how))
		return false;
	w->per_expert = w->rows * w->per_row;
	w->n_scales = w->experts * w->per_expert;
	return true;
}

/* The scales above the others. A stack that is gate and up projection in one may have two for an expert (modelopt). */
static bool globals_fit(struct tfs_scaled *w, unsigned ndim)
{
	const struct tfs_tensor *global = w->parts[2];
	const uint64_t n = tfs_n_elems(global);

	if (!tfs_is(global, "F32"))
		return false;
	if (n == 1)
		return true;
	if (ndim < 3 || !global->ndim || global->shape[0] != w->experts)
		return false;
	if (n == w->experts)
		w->arg[PARTS_OF_EXPERT] = 1;
	else if (global->ndim == 2 && global->shape[1] == 2 && !(w->rows % 2))
		w->arg[PARTS_OF_EXPERT] = 2;
	return w->arg[PARTS_OF_EXPERT] && w->rows;
}

int tfs_mx_add(struct tfs_schemes *s, const char *name, size_t len, const uint64_t *shape, unsigned ndim, const struct tfs_mx *how,
	       struct tfs_scaled *w)
{
	const struct tfs_tensor *t = w->parts[0], *scale = w->parts[1];
	char codes[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];

	tfs_schemes_hide(s, scale);
	if (!spread(w, shape, ndim, how))
		return tfs_schemes_refuse(s, t, w->scheme, "scales of %s %s don't go with codes of %s %s", scale->dtype->name,
					  tfs_shape_of(scale, scales), t->dtype->name, tfs_shape_of(t, codes));
	if (w->n_parts > 2 && !globals_fit(w, ndim))
		return tfs_schemes_refuse(s, t, w->scheme, "a second scale of %s %s doesn't go with codes of %s %s",
					  w->parts[2]->dtype->name, tfs_shape_of(w->parts[2], scales), t->dtype->name,
					  tfs_shape_of(t, codes));
	return tfs_schemes_add(s, name, len, shape, ndim, w);
}
