/* SPDX-License-Identifier: MIT */
/*
 * BitNet: -1, 0 or 1 in 2 bits, four rows a byte that are a quarter of the weight apart. Microsoft's "autobitlinear"
 * multiplies by the scale, "bitlinear", which is the default, divides (transformers, integrations/bitnet.py, unpack_weights(),
 * AutoBitLinear and BitLinear).
 */
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

/* Rows of a byte. */
enum { QUARTERS = 4 };

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	(void)err;
	tfs_scales_of(w->parts[1], parts[1], ret->scale);
	for (int code = 0; code < 1 << w->bits; code++)
		ret->table[code] = (float)(code - 1);
	return 0;
}

static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes)
{
	const uint64_t n = w->rows / QUARTERS * w->cols;

	for (unsigned q = 0; q < QUARTERS; q++)
		for (uint64_t i = 0; i < n; i++)
			ret_codes[q * n + i] = stored[i] >> 2 * q & 3;
}

static const struct tfs_scaled_ops ops = { .prepare = prepare, .unpack = unpack };

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const json_t *config;
	struct tfs_scaled w = { .scheme = tfs_scheme_bitnet.name,
				.formula = "(code - 1) / scale",
				.ops = &ops,
				.n_parts = 2,
				.bits = 2,
				.factor = 1,
				.value = TFS_VALUE_TABLE,
				.packing = TFS_PACKED_OTHERWISE,
				.form = TFS_SCALED_DIVIDED,
				.experts = 1,
				.row_block = 1,
				.col_block = 1,
				.n_scales = 1,
				.parts = { t } };

	if (!tfs_is(t, "U8") || tfs_schemes_weight(t) == SIZE_MAX)
		return 0;
	config = tfs_schemes_config(s);
	if (strcmp(tfs_config_string(config, "quant_method"), "bitnet") != 0)
		return 0;
	const char *class = tfs_config_string(config, "linear_class");

	w.parts[1] = tfs_schemes_part(s, t, 0, "_scale");
	if (!w.parts[1])
		return tfs_schemes_refuse(s, t, w.scheme, "its scale is missing");
	if (!tfs_is_float(w.parts[1]) || tfs_n_elems(w.parts[1]) != 1 || t->ndim != 2 || ckd_mul(&w.rows, t->shape[0], QUARTERS)) {
		char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];

		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "a scale of %s %s doesn't go with codes of %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), tfs_shape_of(t, shape));
	}
	if (!strcmp(class, "autobitlinear")) {
		w.form = TFS_SCALED_TIMES;
		w.formula = "(code - 1) * scale";
	} else if (*class && strcmp(class, "bitlinear") != 0) {
		char quoted[TFS_QUOTE_SIZE];

		return tfs_schemes_refuse(s, t, w.scheme, "linear_class is %s, neither bitlinear nor autobitlinear",
					  tfs_quote(quoted, sizeof quoted, class, strlen(class)));
	}
	w.cols = t->shape[1];
	return tfs_schemes_add(s, t->name, t->name_len, (const uint64_t[]){ w.rows, w.cols }, 2, &w);
}

const struct tfs_scheme tfs_scheme_bitnet = { "bitnet", find };
