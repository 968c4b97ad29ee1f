/* SPDX-License-Identifier: MIT */
/* Which scale belongs to which value, for a tensor of scales of any shape (model/schemes.h). */
#include <stdio.h>
#include <string.h>

#include "convert/convert.h"
#include "model/schemes.h"

static uint64_t blocks(uint64_t n, uint64_t block)
{
	return n / block + !!(n % block);
}

/* The scales of shape @s are for blocks of @bm rows by @bn columns of @w, possibly short at the edges. */
static bool spread_blocks(struct tfs_scaled *w, const uint64_t *s, uint64_t bm, uint64_t bn)
{
	if (!bm || !bn || blocks(w->rows, bm) != s[0] || blocks(w->cols, bn) != s[1])
		return false;
	w->row_block = bm;
	w->col_block = bn;
	w->per_row = s[1];
	w->per_col = 1;
	w->per_expert = s[0] * s[1];
	return true;
}

/* "2x4" or [2, 4]: a block's rows and columns. */
static bool block_structure(const json_t *v, uint64_t *ret_rows, uint64_t *ret_cols)
{
	unsigned rows, cols;

	if (json_is_string(v) && sscanf(json_string_value(v), "%ux%u", &rows, &cols) == 2) {
		*ret_rows = rows;
		*ret_cols = cols;
		return true;
	}
	if (json_array_size(v) != 2 || !json_is_integer(json_array_get(v, 0)) || !json_is_integer(json_array_get(v, 1)))
		return false;
	*ret_rows = (uint64_t)json_integer_value(json_array_get(v, 0));
	*ret_cols = (uint64_t)json_integer_value(json_array_get(v, 1));
	return true;
}

/* In the blocks that the configuration gives. */
static bool spread_configured(struct tfs_schemes *s, struct tfs_scaled *w, const uint64_t *shape)
{
	const json_t *config = tfs_schemes_config(s);
	uint64_t bm, bn;
	const char *key;
	json_t *group;

	if (block_structure(json_object_get(config, "weight_block_size"), &bm, &bn) && spread_blocks(w, shape, bm, bn))
		return true;
	json_object_foreach((json_t *)(uintptr_t)json_object_get(config, "config_groups"), key,
			    group) if (block_structure(json_object_get(json_object_get(group, "weights"), "block_structure"), &bm,
						       &bn) &&
				       spread_blocks(w, shape, bm, bn)) return true;
	return false;
}

static void spread_one(struct tfs_scaled *w)
{
	w->row_block = w->col_block = 1;
	w->per_expert = w->per_row = w->per_col = 0;
}

bool tfs_schemes_spread(struct tfs_schemes *s, struct tfs_scaled *w, const uint64_t *shape, unsigned ndim,
			const struct tfs_tensor *scale)
{
	const uint64_t *sh = scale->shape;
	const unsigned n = scale->ndim;
	bool fbgemm;

	w->cols = ndim ? shape[ndim - 1] : 1;
	w->rows = ndim > 1 ? shape[ndim - 2] : 1;
	w->experts = 1;
	for (unsigned i = 0; i + 2 < ndim; i++)
		w->experts *= shape[i];
	w->n_scales = tfs_n_elems(scale);
	spread_one(w);
	if (w->n_scales == 1)
		return true;
	if (n == 1 && ndim == 2 && sh[0] == w->rows) {
		w->per_row = 1;
		return true;
	}
	if (n == 1 && ndim == 3 && sh[0] == w->experts) {
		w->per_expert = 1;
		return true;
	}
	/* Of experts: [E, R], or [E, C]; modelopt (to_quantized_weight()) doesn't know either which of them where R is C. */
	if (n == 2 && ndim == 3 && sh[0] == w->experts && w->rows != w->cols && (sh[1] == w->rows || sh[1] == w->cols)) {
		*(sh[1] == w->rows ? &w->per_row : &w->per_col) = 1;
		w->per_expert = sh[1];
		return true;
	}
	if (n != ndim || n < 2)
		return false;
	for (unsigned i = 0; i + 2 < n; i++)
		if (sh[i] != shape[i])
			return false;
	sh += n - 2;
	/* First of all: [experts, 32, 1] for blocks of [4096, 32] looks like Llama 4's. */
	if (spread_configured(s, w, sh))
		return true;
	fbgemm = ndim == 3 && sh[0] == w->cols && sh[1] == 1 &&
		 !strcmp(tfs_config_string(tfs_schemes_config(s), "quant_method"), "fbgemm_fp8");
	if (!fbgemm && sh[0] == w->rows && sh[1] == 1) {
		w->per_row = 1;
		w->per_expert = w->rows;
		return true;
	}
	/* [.., 1, C], and Llama 4's [E, C, 1], whose weights are transposed relative to their scales. */
	if ((sh[0] == 1 && sh[1] == w->cols) || (ndim == 3 && sh[0] == w->cols && sh[1] == 1)) {
		w->per_col = 1;
		w->per_expert = w->cols;
		return true;
	}
	/* As in all models whose configuration says nothing of blocks. */
	if (spread_blocks(w, sh, 128, 128))
		return true;
	spread_one(w);
	if (sh[0] == w->rows && sh[1] && !(w->cols % sh[1]))
		return spread_blocks(w, sh, 1, w->cols / sh[1]);
	return sh[0] && sh[1] && !(w->rows % sh[0]) && !(w->cols % sh[1]) && spread_blocks(w, sh, w->rows / sh[0], w->cols / sh[1]);
}

void tfs_floats_of(const struct tfs_tensor *t, const char *dtype, const uint8_t *bytes, float *ret_floats)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(dtype, strlen(dtype));

	tfs_convert_for(d)(bytes, ret_floats, t->nbytes / d->block_bytes * d->block_elems);
}

void tfs_scales_of(const struct tfs_tensor *t, const uint8_t *bytes, float *ret_floats)
{
	tfs_floats_of(t, tfs_is(t, "U8") ? "F8_E8M0" : t->dtype->name, bytes, ret_floats);
}

int tfs_prepare_plain(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
		      struct tfs_error *err)
{
	tfs_scales_of(w->parts[1], parts[1], ret->scale);
	if (ret->offset)
		tfs_floats_of(w->parts[2], w->parts[2]->dtype->name, parts[2], ret->offset);
	return 0;
}
