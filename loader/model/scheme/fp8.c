/* SPDX-License-Identifier: MIT */
/*
 * FP8 codes with scales of any name and type: one in all, or one per row, column, block or group; of one matrix or of stacked
 * experts. DeepSeek-V3, inference/kernel.py weight_dequant(); compressed-tensors, quantization/lifecycle/forward.py dequantize();
 * transformers, integrations/fbgemm_fp8.py; ComfyUI, comfy/ops.py.
 */
#include <string.h>

#include "model/schemes.h"

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain };

/* The scales of the codes @t: the first of these that exists. */
static const struct tfs_tensor *find_scale(struct tfs_schemes *s, const struct tfs_tensor *t, bool *ret_inverse)
{
	static const char *const of_name[] = { "_scale_inv", "_scale", "_weight_scale" };
	static const char *const of_module[] = { "scale", "scale_weight", "qscale_weight" };
	const size_t weight = tfs_schemes_weight(t);
	const struct tfs_tensor *scale = NULL;

	for (size_t i = 0; i < sizeof of_name / sizeof *of_name && !scale; i++) {
		scale = tfs_schemes_part(s, t, 0, of_name[i]);
		*ret_inverse = scale && !i;
	}
	for (size_t i = 0; i < sizeof of_module / sizeof *of_module && !scale && weight != SIZE_MAX; i++)
		scale = tfs_schemes_part(s, t, weight, of_module[i]);
	return scale;
}

static bool may_be_scale(const struct tfs_tensor *t)
{
	return tfs_is_float(t) || tfs_is(t, "U8") || tfs_is(t, "F8_E8M0");
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	bool e4m3 = tfs_is(t, "F8_E4M3"), inverse;
	char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = {
		.scheme = tfs_scheme_fp8.name, .ops = &ops, .formula = "code * scale", .n_parts = 2, .bits = 8, .factor = 1
	};

	if (!e4m3 && !tfs_is(t, "F8_E5M2"))
		return 0;
	w.value = e4m3 ? TFS_VALUE_E4M3 : TFS_VALUE_E5M2;
	w.parts[0] = t;
	w.parts[1] = find_scale(s, t, &inverse);
	if (!w.parts[1])
		return 0; /* its own value */
	if (!may_be_scale(w.parts[1]) || !tfs_schemes_spread(s, &w, t->shape, t->ndim, w.parts[1])) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "scales of %s %s don't go with codes of %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), tfs_shape_of(t, shape));
	}
	/* GPTQModel's own FP8 divides; everybody else's "scale_inv" multiplies. */
	if (inverse && !strcmp(tfs_config_string(tfs_schemes_config(s), "weight_scale_semantics"), "inverse")) {
		w.form = TFS_SCALED_DIVIDED;
		w.formula = "code / scale";
	}
	w.row_bytes = w.cols;
	w.group_size = w.per_col ? w.col_block : 0;
	return tfs_schemes_add(s, t->name, t->name_len, t->shape, t->ndim, &w);
}

const struct tfs_scheme tfs_scheme_fp8 = { "fp8", find };
