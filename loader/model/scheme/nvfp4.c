/* SPDX-License-Identifier: MIT */
/*
 * NVFP4: two codes of E2M1 a byte, the first in the low half, an E4M3 scale for each 16 of a row, and a float32 one above these: modelopt
 * (NVFP4QTensor) multiplies by it, compressed-tensors (NVFP4PackedCompressor) divides. That of ComfyUI, which has the same
 * names, is comfy.c's.
 */
#include <string.h>

#include "model/scheme/mx.h"

static int add(struct tfs_schemes *s, const struct tfs_tensor *t, size_t len, const struct tfs_mx *how, struct tfs_scaled *w)
{
	uint64_t shape[TFS_MAX_DIMS];

	if (!w->parts[2]) {
		tfs_schemes_hide(s, w->parts[1]);
		return tfs_schemes_refuse(s, t, w->scheme, "its second scale is missing");
	}
	w->n_parts = 3;
	return tfs_mx_add(s, t->name, len, shape, tfs_mx_fp4_shape(t, shape) ? t->ndim : 0, how, w);
}

static int find_packed(struct tfs_schemes *s, const struct tfs_tensor *t, struct tfs_scaled *w)
{
	static const struct tfs_mx how = { .group = 16, .e4m3 = true, .divide = true };
	const size_t packed = strlen("_packed");

	w->formula = "code * (scale / global_scale)";
	w->parts[1] = tfs_schemes_part(s, t, packed, "_scale");
	w->parts[2] = tfs_schemes_part(s, t, packed, "_global_scale");
	if (!w->parts[1])
		return tfs_schemes_refuse(s, t, w->scheme, "its scales are missing");
	if (!tfs_is(w->parts[1], "F8_E4M3")) {
		tfs_schemes_hide(s, w->parts[1]);
		return tfs_schemes_refuse(s, t, w->scheme, "its scales are of type %s, not F8_E4M3", w->parts[1]->dtype->name);
	}
	return add(s, t, t->name_len - packed, &how, w);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const struct tfs_mx how = { .group = 16, .e4m3 = true };
	const size_t weight = tfs_schemes_weight(t);
	struct tfs_scaled w = TFS_MX_FP4;

	if (!tfs_is(t, "U8") && !tfs_is(t, "F4"))
		return 0;
	w.scheme = tfs_scheme_nvfp4.name;
	w.parts[0] = t;
	if (tfs_name_ends(t, "weight_packed"))
		return find_packed(s, t, &w);
	w.parts[1] = tfs_schemes_part(s, t, 0, "_scale");
	if (!w.parts[1])
		w.parts[1] = tfs_schemes_part(s, t, 0, "_weight_scale");
	if (!w.parts[1])
		return tfs_schemes_part(s, t, 0, "_scale_2") || tfs_schemes_part(s, t, 0, "_weight_scale_2") ?
			       tfs_schemes_refuse(s, t, w.scheme, "its scales are missing") :
			       0;
	w.parts[2] = tfs_schemes_part(s, w.parts[1], 0, "_2");
	if (tfs_is(w.parts[1], "U8") && w.parts[2]) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "its scales are of type U8, and nothing says in which order they are");
	}
	if (!tfs_is(w.parts[1], "F8_E4M3"))
		return 0;
	w.formula = "code * (scale * scale_2)";
	/* The layer adds a product of two matrices that the codes were made without: they alone are not the weight. */
	if (weight != SIZE_MAX && tfs_schemes_part(s, t, weight, "svdquant_lora_a")) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme,
					  "it is only what is left of the weight beside svdquant_lora_b times svdquant_lora_a");
	}
	if (tfs_schemes_smoothed(s, t))
		w.formula = "code * (scale * scale_2), for an input times pre_quant_scale";
	return add(s, t, t->name_len, &how, &w);
}

const struct tfs_scheme tfs_scheme_nvfp4 = { "nvfp4", find };
