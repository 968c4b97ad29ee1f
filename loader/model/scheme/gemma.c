/* SPDX-License-Identifier: MIT */
/*
 * Gemma's own: codes of 2 or 4 bits in bytes, the first in the lowest bits, less 2 or 8, or I8, times a scale for each row; embeddings
 * have names of their own (transformers, integrations/gemma_quant.py). I8 weights are as all others (int8.c).
 */
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	(void)err;
	tfs_scales_of(w->parts[1], parts[1], ret->scale);
	for (int code = 0; code < 1 << w->bits; code++)
		ret->table[code] = (float)(code - (1 << (w->bits - 1)));
	return 0;
}

static const struct tfs_scaled_ops ops = { .prepare = prepare };

/*
 * Bits of codes in bytes, 2 or 4: a module's are by patterns in Python's regular expressions, which are not evaluated here, so only where
 * there is but one answer. 0: there isn't.
 */
static unsigned bits_of(const json_t *config)
{
	int64_t bits = tfs_config_integer(config, "num_bits", 8);
	unsigned seen = bits == 2 || bits == 4 ? (unsigned)bits : 0;
	const char *pattern;
	json_t *module;

	json_object_foreach(json_object_get(config, "module_quant_configs"), pattern, module)
	{
		bits = tfs_config_integer(module, "num_bits", 8);
		if (bits == 2 || bits == 4)
			seen |= (unsigned)bits;
	}
	return seen == (2 | 4) ? 0 : seen;
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const char table[] = "embedding_quantized";
	const size_t end = sizeof table - 1;
	const bool embedding = tfs_name_ends(t, table) && (t->name_len == end || t->name[t->name_len - end - 1] == '.');
	const bool bytes = tfs_is(t, "U8");
	const json_t *config;
	char name[512], shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = {
		.scheme = tfs_scheme_gemma.name, .formula = "code * scale", .ops = &ops, .n_parts = 2, .factor = 1, .parts = { t }
	};

	if ((!bytes && !tfs_is(t, "I8")) || (embedding ? t->name_len >= sizeof name : !bytes || tfs_schemes_weight(t) == SIZE_MAX))
		return 0;
	config = tfs_schemes_config(s);
	if (strcmp(tfs_config_string(config, "quant_method"), "gemma") != 0)
		return 0;
	w.parts[1] = embedding ? tfs_schemes_part(s, t, end, "embedding_scale") : tfs_schemes_part(s, t, 0, "_scale");
	if (!w.parts[1])
		return tfs_schemes_refuse(s, t, w.scheme, "its scales are missing");
	w.bits = bytes ? bits_of(config) : 8;
	if (!w.bits) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "nothing says of how many bits its codes are");
	}
	w.value = bytes ? TFS_VALUE_TABLE : TFS_VALUE_SIGNED;
	/* As stored: in_features would be less only where it is not a multiple of 8 / bits. */
	uint64_t dims[2] = { t->ndim == 2 ? t->shape[0] : 0, 0 };
	if (t->ndim != 2 || ckd_mul(&dims[1], t->shape[1], 8 / w.bits) || !tfs_is_float(w.parts[1]) || w.parts[1]->ndim != 2 ||
	    w.parts[1]->shape[0] != dims[0] || !tfs_schemes_spread(s, &w, dims, 2, w.parts[1])) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "scales of %s %s don't go with codes of %s %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), t->dtype->name, tfs_shape_of(t, shape));
	}
	w.row_bytes = t->shape[1];
	w.group_size = w.per_col ? w.col_block : 0;
	if (!embedding)
		return tfs_schemes_add(s, t->name, t->name_len, dims, 2, &w);
	memcpy(name, t->name, t->name_len - end);
	memcpy(name + t->name_len - end, "weight", strlen("weight"));
	return tfs_schemes_add(s, name, t->name_len - end + strlen("weight"), dims, 2, &w);
}

const struct tfs_scheme tfs_scheme_gemma = { "gemma", find };
