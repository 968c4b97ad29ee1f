/* SPDX-License-Identifier: MIT */
/*
 * Signed 8-bit codes with scales, and maybe zero points of the same shape. compressed-tensors, quantization/lifecycle/forward.py
 * dequantize(); ComfyUI, comfy/ops.py.
 */
#include <string.h>

#include "model/schemes.h"

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain };

static bool same_shape(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return a->ndim == b->ndim && !memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = { .scheme = tfs_scheme_int8.name,
				.ops = &ops,
				.formula = "code * scale",
				.n_parts = 2,
				.bits = 8,
				.factor = 1,
				.value = TFS_VALUE_SIGNED,
				.parts = { t } };

	if (!tfs_is(t, "I8"))
		return 0;
	w.parts[1] = tfs_schemes_part(s, t, 0, "_scale");
	if (!w.parts[1])
		w.parts[1] = tfs_schemes_part(s, t, 0, "_scale_inv"); /* SGLang's blockwise_int8, which multiplies, too */
	if (!w.parts[1])
		w.parts[1] = tfs_schemes_part(s, t, 0, "_weight_scale");
	if (!w.parts[1])
		return 0;
	if (!tfs_is_float(w.parts[1]) || !tfs_schemes_spread(s, &w, t->shape, t->ndim, w.parts[1])) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "scales of %s %s don't go with codes of %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), tfs_shape_of(t, shape));
	}
	w.parts[2] = tfs_schemes_part(s, t, 0, "_zero_point");
	if (w.parts[2]) {
		tfs_schemes_hide(s, w.parts[2]);
		if (!same_shape(w.parts[1], w.parts[2]) || (!tfs_is(w.parts[2], "I8") && !tfs_is_float(w.parts[2])))
			return tfs_schemes_refuse(s, t, w.scheme, "zero points of %s %s beside scales of %s",
						  w.parts[2]->dtype->name, tfs_shape_of(w.parts[2], shape),
						  tfs_shape_of(w.parts[1], scales));
		w.n_parts = 3;
		w.form = TFS_SCALED_MINUS_TIMES;
		w.formula = "(code - zero_point) * scale";
	} else if (tfs_schemes_smoothed(s, t)) {
		w.formula = "code * scale, for an input times pre_quant_scale";
	}
	w.row_bytes = w.cols;
	w.group_size = w.per_col ? w.col_block : 0;
	return tfs_schemes_add(s, t->name, t->name_len, t->shape, t->ndim, &w);
}

const struct tfs_scheme tfs_scheme_int8 = { "int8", find };
