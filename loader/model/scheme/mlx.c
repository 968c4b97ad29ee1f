/* SPDX-License-Identifier: MIT */
/*
 * MLX's own quantisation: words of codes, and scales, with biases or alone, for groups along a row. mlx,
 * backend/cpu/quantized.cpp extract_bits() and fp_qmm(); transformers, integrations/metal_quantization.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "model/schemes.h"

/* Scales in U8 are E4M3 in nvfp4, and exponents in all others that MLX has. */
static int prepare_nvfp4(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			 struct tfs_error *err)
{
	tfs_floats_of(w->parts[1], "F8_E4M3", parts[1], ret->scale);
	return 0;
}

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain };
static const struct tfs_scaled_ops nvfp4_ops = { .prepare = prepare_nvfp4 };

/* The parts of one weight. */
struct found {
	const struct tfs_tensor *codes, *scales, *biases;
	uint64_t words, groups; /* of a row */
};

/* What the configuration says of a module; 0: nothing. */
struct said {
	int64_t group_size, bits;
	bool plain;
};

/* mlx-lm, utils.py load_model(): what is there under a module's name counts, else what is there for all. 0 or -ENOMEM. */
static int configured(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight, struct said *ret)
{
	/* "quantization_config" has a copy of MLX's own; transformers' Metal kernels have nothing else. */
	const json_t *config = json_object_get(tfs_schemes_model_config(s), "quantization"), *module = NULL;

	if (!json_is_object(config))
		config = tfs_schemes_config(s);
	if (t->name_len > weight) {
		const size_t len = t->name_len - weight - 1;
		cleanup_free char *name = strndup(t->name, len);

		if (!name)
			return -ENOMEM;
		module = strlen(name) == len ? json_object_get(config, name) : NULL;
	}
	*ret = (struct said){ tfs_config_integer(config, "group_size", 0), tfs_config_integer(config, "bits", 0),
			      json_is_false(module) };
	if (json_is_object(module)) {
		ret->group_size = tfs_config_integer(module, "group_size", ret->group_size);
		ret->bits = tfs_config_integer(module, "bits", 0);
	}
	return 0;
}

static int refuse(struct tfs_schemes *s, const struct found *f, const char *why)
{
	char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];

	tfs_schemes_hide(s, f->scales);
	tfs_schemes_hide(s, f->biases);
	return tfs_schemes_refuse(s, f->codes, tfs_scheme_mlx.name, "words of %s with scales of %s %s: %s",
				  tfs_shape_of(f->codes, shape), f->scales->dtype->name, tfs_shape_of(f->scales, scales), why);
}

/* @w: its bits, value, form and ops. */
static int add(struct tfs_schemes *s, const struct found *f, struct tfs_scaled *w, uint64_t group_size)
{
	const struct tfs_tensor *t = f->codes;
	uint64_t shape[TFS_MAX_DIMS];

	memcpy(shape, t->shape, t->ndim * sizeof *shape);
	if (ckd_mul(&w->cols, f->groups, group_size))
		return refuse(s, f, "too many columns");
	shape[t->ndim - 1] = w->cols;
	w->scheme = tfs_scheme_mlx.name;
	w->factor = 1;
	w->n_parts = f->biases ? 3 : 2;
	w->parts[0] = t;
	w->parts[1] = f->scales;
	w->parts[2] = f->biases;
	w->packing = TFS_PACKED_ROWS;
	w->experts = 1;
	w->n_scales = tfs_n_elems(f->scales);
	w->rows = w->n_scales / f->groups; /* of all experts in a stack */
	w->row_bytes = f->words * sizeof(uint32_t);
	w->row_block = 1;
	w->col_block = w->group_size = group_size;
	w->per_row = f->groups;
	w->per_col = 1;
	return tfs_schemes_add(s, t->name, t->name_len, shape, t->ndim, w);
}

/* The bits of a code, and whether a group's size goes with them, follow from how many words there are. */
static int add_affine(struct tfs_schemes *s, const struct found *f, const struct said *said)
{
	/* mlx, nn/layers/quantized.py: 64 unless it is said. */
	const uint64_t group_size = said->group_size ? (uint64_t)said->group_size : 64;
	struct tfs_scaled w = {
		.ops = &ops, .formula = "code * scale + bias", .value = TFS_VALUE_UNSIGNED, .form = TFS_SCALED_TIMES_PLUS
	};
	uint64_t cols, all_bits, bits;

	if (said->group_size < 0 || ckd_mul(&cols, f->groups, group_size) || ckd_mul(&all_bits, f->words, 32) || all_bits % cols)
		return refuse(s, f, "they don't make groups of the size that is configured, or of 64 where none is");
	bits = all_bits / cols;
	if (bits < 2 || bits > 8 || bits == 7)
		return refuse(s, f,
			      "they don't make codes of 2, 3, 4, 5, 6 or 8 bits in groups of the size that is configured, or of 64 "
			      "where none is");
	/* Then the size that is configured isn't that of this module. */
	if (said->bits && (uint64_t)said->bits != bits)
		return refuse(s, f, "the configuration says otherwise how many bits a code has");
	w.bits = (uint8_t)bits;
	return add(s, f, &w, group_size);
}

/* Without biases: words to a group tell which it is. */
static int add_float(struct tfs_schemes *s, const struct found *f)
{
	static const struct {
		uint64_t words, group_size;
		uint8_t bits;
		enum tfs_scaled_value value;
		const struct tfs_scaled_ops *ops;
	} modes[] = {
		{ 4, 32, 4, TFS_VALUE_E2M1, &ops },	  /* mxfp4 */
		{ 2, 16, 4, TFS_VALUE_E2M1, &nvfp4_ops }, /* nvfp4 */
		{ 8, 32, 8, TFS_VALUE_E4M3, &ops },	  /* mxfp8 */
	};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		struct tfs_scaled w = { .ops = modes[i].ops,
					.formula = "code * scale",
					.value = modes[i].value,
					.bits = modes[i].bits,
					.form = TFS_SCALED_TIMES };

		if (f->words % f->groups == 0 && f->words / f->groups == modes[i].words)
			return add(s, f, &w, modes[i].group_size);
	}
	return refuse(s, f, "they are neither mxfp4's, nor nvfp4's, nor mxfp8's");
}

/* Are all but the last dimension the same? */
static bool same_rows(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return a->ndim == b->ndim && !memcmp(a->shape, b->shape, (a->ndim - 1) * sizeof *a->shape);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t weight = tfs_schemes_weight(t);
	struct found f = { .codes = t };
	struct said said;

	if (!tfs_is(t, "U32") || weight == SIZE_MAX)
		return 0;
	f.scales = tfs_schemes_part(s, t, weight, "scales");
	f.biases = tfs_schemes_part(s, t, weight, "biases");
	if (!f.biases)
		f.biases = tfs_schemes_part(s, t, weight, "qbiases"); /* transformers' */
	if (!f.scales && !f.biases)
		return 0;
	if (!f.scales)
		return tfs_schemes_refuse(s, t, tfs_scheme_mlx.name, "there are biases, but no scales");
	if (configured(s, t, weight, &said))
		return -ENOMEM;
	if (t->ndim < 2 || !same_rows(t, f.scales) || !tfs_n_elems(t) || !tfs_n_elems(f.scales))
		return refuse(s, &f, "they don't go together");
	f.words = t->shape[t->ndim - 1];
	f.groups = f.scales->shape[t->ndim - 1];
	if (said.plain)
		return refuse(s, &f, "the configuration says that the module isn't quantised");
	if (!f.biases && tfs_is(f.scales, "U8"))
		/* mlx.core.quantize() takes one since 2026; how it is stored isn't known here. */
		return tfs_schemes_part(s, t, weight, "global_scale") ? refuse(s, &f, "there is a global scale too") :
									add_float(s, &f);
	if (!tfs_is_float(f.scales))
		return refuse(s, &f, "scales of this type go with none of MLX's modes");
	if (!f.biases)
		return refuse(s, &f, "there are no biases");
	if (!same_rows(t, f.biases) || f.biases->shape[t->ndim - 1] != f.groups || !tfs_is_float(f.biases))
		return refuse(s, &f, "the biases are not like the scales");
	return add_affine(s, &f, &said);
}

const struct tfs_scheme tfs_scheme_mlx = { "mlx", find };
