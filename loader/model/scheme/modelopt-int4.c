/* SPDX-License-Identifier: MIT */
/*
 * modelopt's W4A16_AWQ and W4A8_AWQ: signed 4 bits, two rows a byte, the even one in its low half, with a scale for each group of a row
 * (Model-Optimizer, export/quant_utils.py, pack_int4_in_uint8()). The last to be asked of bytes that have a scale, so it
 * refuses those that nobody knows: they are codes, whatever they are worth.
 */
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes)
{
	for (uint64_t pair = 0; pair < w->experts * w->rows / 2; pair++) {
		uint8_t *even = ret_codes + 2 * pair * w->cols, *odd = even + w->cols;

		for (uint64_t c = 0; c < w->cols; c++) {
			const uint8_t both = stored[pair * w->cols + c];

			even[c] = both & 15;
			odd[c] = both >> 4;
		}
	}
}

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain, .unpack = unpack };

/* Scales [.., rows, groups] of codes [.., rows / 2, cols]. */
static bool spread(struct tfs_scaled *w, const uint64_t *shape, unsigned ndim, const struct tfs_tensor *scale)
{
	if (ndim < 2 || scale->ndim != ndim || memcmp(scale->shape, shape, (ndim - 1) * sizeof *shape) != 0 || !tfs_is_float(scale))
		return false;
	w->experts = 1;
	for (unsigned i = 0; i + 2 < ndim; i++)
		if (ckd_mul(&w->experts, w->experts, shape[i]))
			return false;
	w->rows = shape[ndim - 2];
	w->cols = shape[ndim - 1];
	w->per_row = scale->shape[ndim - 1];
	if (!w->per_row || !w->cols || w->cols % w->per_row)
		return false;
	w->row_block = w->per_col = 1;
	w->col_block = w->group_size = w->cols / w->per_row;
	w->n_scales = tfs_n_elems(scale);
	w->per_expert = w->rows * w->per_row;
	return true;
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const char *method;
	char codes[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	uint64_t shape[TFS_MAX_DIMS];
	struct tfs_scaled w = { .scheme = tfs_scheme_modelopt_int4.name,
				.formula = "code * scale",
				.ops = &ops,
				.n_parts = 2,
				.bits = 4,
				.factor = 1,
				.value = TFS_VALUE_SIGNED,
				.packing = TFS_PACKED_OTHERWISE,
				.parts = { t } };

	if (!tfs_is(t, "U8") || tfs_schemes_weight(t) == SIZE_MAX || !(w.parts[1] = tfs_schemes_part(s, t, 0, "_scale")))
		return 0;
	method = tfs_config_string(tfs_schemes_config(s), "quant_method");
	tfs_schemes_hide(s, w.parts[1]);
	if (*method && strcmp(method, "modelopt") != 0) {
		char quoted[TFS_QUOTE_SIZE];

		return tfs_schemes_refuse(s, t, w.scheme, "bytes with scales of the quant_method %s aren't known",
					  tfs_quote(quoted, sizeof quoted, method, strlen(method)));
	}
	memcpy(shape, t->shape, t->ndim * sizeof *shape);
	if (t->ndim < 2 || ckd_mul(&shape[t->ndim - 2], t->shape[t->ndim - 2], 2) || !spread(&w, shape, t->ndim, w.parts[1]))
		return tfs_schemes_refuse(s, t, w.scheme, "scales of %s %s don't go with codes of %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), tfs_shape_of(t, codes));
	if (tfs_schemes_smoothed(s, t))
		w.formula = "code * scale, for an input times pre_quant_scale";
	return tfs_schemes_add(s, t->name, t->name_len, shape, t->ndim, &w);
}

const struct tfs_scheme tfs_scheme_modelopt_int4 = { "modelopt-int4", find };
