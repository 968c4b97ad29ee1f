/* SPDX-License-Identifier: MIT */
/*
 * MXFP4: two codes of E2M1 a byte, the first in the low half, and an exponent for each 32 of a row. Spelled by gpt-oss
 * (torch/weights.py, _get_mxfp4_tensor()), DeepSeek-V4, compressed-tensors (MXFP4PackedCompressor), modelopt and Quark.
 */
#include <string.h>

#include "base/checked.h"
#include "model/scheme/mx.h"

static const struct tfs_mx how = { .group = 32 };

static bool is_exponents(const struct tfs_tensor *scale)
{
	return scale && (tfs_is(scale, "U8") || tfs_is(scale, "F8_E8M0"));
}

static int add(struct tfs_schemes *s, const struct tfs_tensor *t, const struct tfs_tensor *scale, size_t len)
{
	struct tfs_scaled w = TFS_MX_FP4;
	uint64_t shape[TFS_MAX_DIMS];

	w.scheme = tfs_scheme_mxfp4.name;
	w.formula = "code * scale";
	w.parts[0] = t;
	w.parts[1] = scale;
	return tfs_mx_add(s, t->name, len, shape, tfs_mx_fp4_shape(t, shape) ? t->ndim : 0, &how, &w);
}

/*
 * X_blocks [.., rows, groups, 16] and X_scales [.., rows, groups]. The rows are shown as they are stored, [expert, out, in], which is the
 * transpose of what transformers holds (convert_moe_packed_tensors()). The names of OpenAI's own files have a dot, and no transpose.
 */
static int find_blocks(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	enum { BLOCK_BYTES = 16 };
	const bool original = tfs_name_ends(t, ".blocks");
	const size_t end = strlen("_blocks");
	const unsigned ndim = t->ndim - 1u;
	struct tfs_scaled w = TFS_MX_FP4;
	uint64_t shape[TFS_MAX_DIMS];

	if (!tfs_is(t, "U8") || t->ndim < 3 || t->shape[t->ndim - 1] != BLOCK_BYTES)
		return 0;
	w.scheme = tfs_scheme_mxfp4.name;
	w.formula = "code * scale, the rows as stored: [expert, out, in]";
	w.other_way_round = !original && ndim == 3;
	w.parts[0] = t;
	w.parts[1] = tfs_schemes_part(s, t, end, original ? ".scales" : "_scales");
	if (!w.parts[1]) {
		if (strcmp(tfs_config_string(tfs_schemes_config(s), "quant_method"), "mxfp4") != 0)
			return 0; /* some bytes of that name */
		return tfs_schemes_refuse(s, t, w.scheme, "its scales are missing");
	}
	if (!is_exponents(w.parts[1]))
		return 0;
	memcpy(shape, t->shape, ndim * sizeof *shape);
	const bool too_large = ckd_mul(&shape[ndim - 1], shape[ndim - 1], how.group);
	return tfs_mx_add(s, t->name, t->name_len - end, shape, too_large ? 0 : ndim, &how, &w);
}

/* Two codes a byte, of type I8 and with a scale that is called as that of FP8: DeepSeek-V4 (model.py, expert_dtype fp4). */
static int find_deepseek(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t weight = tfs_schemes_weight(t);
	const struct tfs_tensor *scale = tfs_schemes_part(s, t, 0, "_scale_inv");

	if (!scale)
		scale = tfs_schemes_part(s, t, 0, "_scale");
	if (!scale && weight != SIZE_MAX)
		scale = tfs_schemes_part(s, t, weight, "scale");
	return scale && tfs_is(scale, "F8_E8M0") ? add(s, t, scale, t->name_len) : 0;
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const struct tfs_tensor *scale;

	if (!tfs_mx_is_fp4(t))
		return 0;
	if (tfs_is(t, "I8"))
		return find_deepseek(s, t);
	if (tfs_name_ends(t, "_blocks") || tfs_name_ends(t, ".blocks"))
		return find_blocks(s, t);
	if (tfs_name_ends(t, "weight_packed")) {
		const size_t packed = strlen("_packed");

		scale = tfs_schemes_part(s, t, packed, "_scale");
		if (!is_exponents(scale) || tfs_schemes_part(s, t, packed, "_global_scale"))
			return 0;
		return add(s, t, scale, t->name_len - packed);
	}
	scale = tfs_schemes_part(s, t, 0, "_scale");
	if (!scale)
		scale = tfs_schemes_part(s, t, 0, "_weight_scale");
	/* With a second scale they are NVFP4's. */
	if (!is_exponents(scale) || tfs_schemes_part(s, scale, 0, "_2"))
		return 0;
	return add(s, t, scale, t->name_len);
}

const struct tfs_scheme tfs_scheme_mxfp4 = { "mxfp4", find };
