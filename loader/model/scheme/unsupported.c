/* SPDX-License-Identifier: MIT */
/*
 * Codes of schemes that aren't supported: f32/ must not show them as if they were values. Most are of codebooks, or of weights that
 * were rotated. Each is told by its codes and by what else goes with them, so that a plain tensor of the same name is left alone.
 */
#include <string.h>

#include "model/schemes.h"

/* A tensor of the module: its name, and types that it may have: "float" is any of tfs_is_float(), "" any at all. */
struct part {
	const char *name, *types;
};

enum { MAX_WITH = 4, MAX_HIDDEN = 4 };

struct unsupported {
	const char *scheme;
	struct part codes;
	unsigned ndim;			/* of the codes; 0: any */
	struct part with[MAX_WITH];	/* all of these are there */
	const char *hidden[MAX_HIDDEN]; /* and these, where they are, aren't values either */
	const char *what;		/* it is */
};

#define FLOAT "float"
static const char codebook[] = "its codes are indices of a codebook";
static const char rotated[] = "the weights that it stores are rotated";
static const char layout[] = "its codes are in the order of a GPU's kernel";

/* With the source of its names. */
static const struct unsupported schemes[] = {
	/* exllamav2: exllamav2/linear.py */
	{ "exl2",
	  { "q_weight", "I32" },
	  2,
	  { { "q_scale", "I32" }, { "q_scale_max", FLOAT }, { "q_groups", "I16" } },
	  { "q_scale", "q_groups", "q_invperm", "q_perm" },
	  "its codes are of several widths" },
	/* exllamav3: modules/quant/exl3.py; the older names are su and sv */
	{ "exl3", { "trellis", "I16" }, 3, { { "suh", "" }, { "svh", "" } }, { 0 }, rotated },
	{ "exl3", { "trellis", "I16" }, 3, { { "su", "" }, { "sv", "" } }, { "su", "sv" }, rotated },
	/* qtip: lib/linear/quantized_linear.py */
	{ "qtip", { "trellis", "I16 I32" }, 0, { { "SU", "" }, { "SV", "" } }, { 0 }, rotated },
	/* AQLM: inference_lib/src/aqlm/inference.py */
	{ "aqlm", { "codes", "I8 U8 I16 I32 I64" }, 3, { { "codebooks", FLOAT }, { "scales", FLOAT } }, { 0 }, codebook },
	/* VPTQ: vptq/layers/vqlinear.py */
	{ "vptq",
	  { "indices", "I16 U16 I32 I64" },
	  3,
	  { { "centroids.weight", FLOAT } },
	  { "res_indices", "outlier_indices" },
	  codebook },
	/* quip-sharp: lib/linear/quantized_linear.py */
	{ "quip#",
	  { "Qidxs", "I16 I32 I64 U8" },
	  2,
	  { { "SU", "" }, { "SV", "" }, { "Wscale", FLOAT } },
	  { "codebook_id" },
	  rotated },
	/* transformers: integrations/higgs.py */
	{ "higgs", { "weight", "I16" }, 2, { { "scales", FLOAT }, { "tables", FLOAT }, { "tables2", FLOAT } }, { 0 }, codebook },
	/* SpQR: spqr_quant/inference.py */
	{ "spqr",
	  { "dense_weights", "I64" },
	  0,
	  { { "row_offsets", "I32" }, { "col_vals", "I32" } },
	  { "row_offsets", "col_vals", "in_perm" },
	  "its codes have outliers beside them" },
	/* SINQ: sinq/sinqlinear.py; the dictionary of the rest is written out by keys */
	{ "sinq", { "W_q", "" }, 0, { { "scale2", FLOAT } }, { 0 }, "its codes have scales of columns, too" },
	{ "sinq", { "W_q", "" }, 0, { { "meta.scale2", FLOAT } }, { 0 }, "its codes have scales of columns, too" },
	/* transformers: integrations/fp_quant.py */
	{ "fp-quant",
	  { "qweight", "U8" },
	  2,
	  { { "scales", "U8 F8_E4M3 F8_E8M0" }, { "forward_hadamard_matrix", FLOAT } },
	  { "scales" },
	  rotated },
	/* nunchaku: models/linear.py SVDQW4A4Linear and AWQW4A16Linear */
	{ "svdquant", { "qweight", "I8" }, 2, { { "wscales", "float F8_E4M3" } }, { 0 }, layout },
	{ "svdquant", { "qweight", "I32" }, 2, { { "wscales", FLOAT }, { "wzeros", FLOAT } }, { 0 }, layout },
	/* BitBLAS: bitblas/module/__init__.py; GPTQModel, nn_modules/qlinear/bitblas.py */
	{ "bitblas", { "qweight", "I8 U8" }, 2, { { "scales", FLOAT } }, { "qzeros", "zeros" }, layout },
	/* AutoAWQ: modules/linear/gemv_fast.py; llm-awq: awq/quantize/qmodule.py */
	{ "awq gemv_fast", { "qweight", "I16" }, 2, { { "scales", FLOAT }, { "qzeros", FLOAT } }, { 0 }, layout },
	{ "llm-awq", { "qweight", "I16 I32" }, 2, { { "scales", FLOAT }, { "scaled_zeros", FLOAT } }, { 0 }, layout },
	/* GPTQModel: nn_modules/qlinear/paroquant.py */
	{ "paroquant", { "qweight", "I32" }, 2, { { "theta", FLOAT }, { "pairs", "I16" } }, { "qzeros", "pairs" }, rotated },
	/* GPTQModel: nn_modules/qlinear/qqq.py */
	{ "qqq", { "B", "I32" }, 2, { { "s_channel", FLOAT } }, { 0 }, layout },
	/* AutoGPTQ: nn_modules/qlinear/qlinear_marlin.py; vLLM: quantization/gptq_marlin_24.py */
	{ "marlin", { "B", "I32" }, 2, { { "s", FLOAT } }, { "workspace" }, layout },
	{ "marlin-24", { "B_24", "I32" }, 2, { { "B_meta", "I16" }, { "s", FLOAT } }, { "B_meta", "workspace" }, layout },
	/* compressed-tensors: compressors/sparse_quantized_compressors/marlin_24.py */
	{ "marlin-24", { "weight_packed", "I32" }, 2, { { "scale_packed", FLOAT }, { "meta", "I16" } }, { "meta" }, layout },
	/* transformers: integrations/eetq.py */
	{ "eetq", { "weight", "I8" }, 2, { { "weight_scales", FLOAT } }, { 0 }, layout },
};

/* Is @t of one of the types, separated by spaces? */
static bool is_of(const struct tfs_tensor *t, const char *types)
{
	const size_t len = strlen(t->dtype->name);

	if (!*types)
		return true;
	for (const char *end; *types; types = *end ? end + 1 : end) {
		end = types + strcspn(types, " ");
		if ((size_t)(end - types) == len && !memcmp(types, t->dtype->name, len))
			return true;
		if ((size_t)(end - types) == strlen(FLOAT) && !memcmp(types, FLOAT, strlen(FLOAT)) && tfs_is_float(t))
			return true;
	}
	return false;
}

static bool has_all(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop, const struct unsupported *u)
{
	for (size_t i = 0; i < MAX_WITH && u->with[i].name; i++) {
		const struct tfs_tensor *p = tfs_schemes_part(s, t, drop, u->with[i].name);

		if (!p || !is_of(p, u->with[i].types))
			return false;
	}
	return true;
}

static int refuse(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop, const struct unsupported *u)
{
	for (size_t i = 0; i < MAX_HIDDEN && u->hidden[i]; i++)
		tfs_schemes_hide(s, tfs_schemes_part(s, t, drop, u->hidden[i]));
	return tfs_schemes_refuse(s, t, u->scheme, "this scheme isn't supported: %s", u->what);
}

/* --- Rotated weights of schemes that are supported ------------------------------------------------------------------- */

/* Does the configuration say that weights are rotated, and undone at run time? compressed-tensors; auto-round, inference/convert_model.py */
static bool is_rotated(struct tfs_schemes *s)
{
	static const char *const keys[] = { "transform_config", "rotation_config", "spinquant_config" };
	const json_t *config = tfs_schemes_config(s);

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *v = json_object_get(config, keys[i]);

		if (json_object_size(v) || (json_is_string(v) && *json_string_value(v)))
			return true;
	}
	return false;
}

/* Bytes of the last part of the name of @t. */
static size_t last_part(const struct tfs_tensor *t)
{
	size_t n = 0;

	while (n < t->name_len && t->name[t->name_len - n - 1] != '.')
		n++;
	return n;
}

/* Does @t have scales, by one of the names that those of weights have? */
static bool is_scaled(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop)
{
	return tfs_schemes_part(s, t, 0, "_scale") || tfs_schemes_part(s, t, drop, "weight_scale") ||
	       tfs_schemes_part(s, t, drop, "scales");
}

static bool is_called(const char *name, size_t len, const char *want)
{
	return len && *name == *want && strlen(want) == len && !memcmp(name, want, len);
}

static int find_rotated(struct tfs_schemes *s, const struct tfs_tensor *t, const char *name, size_t len)
{
	static const char *const codes[] = { "weight", "weight_packed", "qweight" };
	bool may = false;

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		may = may || is_called(name, len, codes[i]);
	if (!may || !is_rotated(s) || !is_scaled(s, t, len))
		return 0;
	return tfs_schemes_refuse(s, t, "rotated", "its configuration says that %s", rotated);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t len = last_part(t);
	const char *name = t->name + t->name_len - len;

	if (!t->nbytes)
		return 0;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		const struct unsupported *u = &schemes[i];

		if (is_called(name, len, u->codes.name) && is_of(t, u->codes.types) && (!u->ndim || u->ndim == t->ndim) &&
		    has_all(s, t, len, u))
			return refuse(s, t, len, u);
	}
	return find_rotated(s, t, name, len);
}

const struct tfs_scheme tfs_scheme_unsupported = { "unsupported", find };
