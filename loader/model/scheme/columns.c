/* SPDX-License-Identifier: MIT */
#include "model/scheme/columns.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

static const char codes_name[] = "qweight";

static bool is_words(const struct tfs_tensor *t)
{
	return tfs_is(t, "I32") || tfs_is(t, "U32");
}

/* A companion of the codes; one without elements is as good as none. */
static const struct tfs_tensor *part(struct tfs_schemes *s, const struct tfs_tensor *t, const char *name)
{
	const struct tfs_tensor *p = tfs_schemes_part(s, t, sizeof codes_name - 1, name);

	return p && p->nbytes ? p : NULL;
}

/* GPTQModel, quantization/config.py: names of one field. */
const char *tfs_columns_format(struct tfs_schemes *s)
{
	const json_t *config = tfs_schemes_config(s);
	const char *format = tfs_config_string(config, "checkpoint_format");

	if (json_is_true(json_object_get(config, "is_marlin_format")))
		return "marlin";
	return *format ? format : tfs_config_string(config, "format");
}

const char *tfs_columns_version(struct tfs_schemes *s)
{
	const char *version = tfs_config_string(tfs_schemes_config(s), "version");

	return *version ? version : tfs_columns_format(s);
}

/* AutoAWQ of 2023 called it so. */
static int64_t configured_group_size(struct tfs_schemes *s)
{
	const json_t *config = tfs_schemes_config(s);

	return tfs_config_integer(config, "group_size", tfs_config_integer(config, "q_group_size", 0));
}

uint64_t tfs_columns_group_size(struct tfs_schemes *s, uint64_t in, uint64_t n)
{
	const int64_t size = configured_group_size(s);

	/* The last group may be short, so this comes first: 192 inputs of two scales may be 128 and 64. */
	if (size > 0 && in / (uint64_t)size + !!(in % (uint64_t)size) == n)
		return (uint64_t)size;
	return n && !(in % n) ? in / n : 0;
}

/* --- Layouts --------------------------------------------------------------------------------------------------------- */

/* Words of zero points a row: AutoAWQ, modules/linear/gemv.py calculate_zeros_width(). 0: it doesn't know such groups. */
static uint64_t gemv_width(uint64_t in, uint64_t group_size)
{
	const uint64_t multiple = group_size >= 128 ? 1 : group_size == 64 ? 2 : group_size == 32 ? 4 : 0;

	if (!multiple || in % group_size)
		return 0;
	return ((in / group_size + 7) / 8 + multiple - 1) / multiple * multiple;
}

static uint64_t gemv_group_size(struct tfs_schemes *s, const struct tfs_columns *c)
{
	const int64_t said = configured_group_size(s);
	const uint64_t in = c->codes->shape[1] * 8, width = c->scales->shape[1] / 8;
	const uint64_t sizes[] = { said < 0 ? in : (uint64_t)said, 128, 64, 32 };

	if (c->codes->shape[0] != c->scales->shape[0] || c->scales->shape[1] % 8)
		return 0;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (sizes[i] && gemv_width(in, sizes[i]) == width)
			return sizes[i];
	return 0;
}

/* One of two layouts that a small weight fits, by what the configuration says. */
static enum tfs_columns_layout one_of(struct tfs_schemes *s, bool gptq, bool gemm, bool gemv)
{
	const json_t *config = tfs_schemes_config(s);
	const char *method = tfs_config_string(config, "quant_method"), *format = tfs_columns_version(s);
	const bool awq = strstr(method, "awq") || strstr(tfs_config_string(config, "packing_format"), "awq");

	if (gptq && !awq && (strstr(method, "gptq") || strstr(method, "auto-round")))
		return TFS_COLUMNS_GPTQ;
	if (gemv && !strcasecmp(format, "gemv"))
		return TFS_COLUMNS_GEMV;
	if (gemm && (!strcasecmp(format, "gemm") || awq))
		return TFS_COLUMNS_GEMM;
	return TFS_COLUMNS_SEVERAL;
}

static enum tfs_columns_layout layout_of(struct tfs_schemes *s, struct tfs_columns *c)
{
	const uint64_t *codes = c->codes->shape, *scales = c->scales->shape;
	bool gptq, gemm, gemv;

	if (c->codes->ndim != 2 || c->scales->ndim != 2)
		return TFS_COLUMNS_NONE;
	gptq = codes[1] == scales[1];
	gemm = !c->groups && !(scales[1] % 8) && codes[1] == scales[1] / 8;
	c->group_size = c->groups ? 0 : gemv_group_size(s, c);
	gemv = c->group_size;
	if (gptq + gemm + gemv > 1)
		return one_of(s, gptq, gemm, gemv);
	return gptq ? TFS_COLUMNS_GPTQ : gemm ? TFS_COLUMNS_GEMM : gemv ? TFS_COLUMNS_GEMV : TFS_COLUMNS_NONE;
}

/* Does the configuration say that there are such codes in the model? */
static bool is_configured(struct tfs_schemes *s)
{
	const char *method = tfs_config_string(tfs_schemes_config(s), "quant_method");

	return strstr(method, "gptq") || strstr(method, "awq") || strstr(method, "auto-round");
}

bool tfs_columns_of(struct tfs_schemes *s, const struct tfs_tensor *t, struct tfs_columns *ret)
{
	const size_t len = sizeof codes_name - 1;

	if (!is_words(t) || !t->nbytes || !tfs_name_ends(t, codes_name) ||
	    (t->name_len > len && t->name[t->name_len - len - 1] != '.'))
		return false;
	*ret = (struct tfs_columns){
		.codes = t, .scales = part(s, t, "scales"), .zeros = part(s, t, "qzeros"), .groups = part(s, t, "g_idx")
	};
	if (ret->scales && !tfs_is_float(ret->scales))
		ret->scales = NULL;
	if (!ret->scales)
		return ret->zeros || is_configured(s);
	ret->layout = layout_of(s, ret);
	return ret->zeros || ret->groups || ret->layout != TFS_COLUMNS_NONE || is_configured(s);
}

/* --- Weights --------------------------------------------------------------------------------------------------------- */

int tfs_columns_refuse(struct tfs_schemes *s, const struct tfs_columns *c, const char *scheme, const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof why, fmt, args);
	va_end(args);
	tfs_schemes_hide(s, c->zeros);
	tfs_schemes_hide(s, c->groups);
	return tfs_schemes_refuse(s, c->codes, scheme, "%s", why);
}

void tfs_columns_spread(struct tfs_scaled *w, const struct tfs_columns *c, uint64_t in, uint64_t group_size)
{
	w->experts = 1;
	w->rows = c->scales->shape[1];
	w->cols = in;
	w->row_block = 1;
	w->col_block = group_size ? group_size : 1;
	w->per_row = c->scales->shape[0];
	w->per_col = 1;
	w->n_scales = tfs_n_elems(c->scales);
	w->has_groups = !group_size;
	w->group_size = group_size;
}

int tfs_columns_add(struct tfs_schemes *s, const struct tfs_columns *c, const struct tfs_scaled *w)
{
	static const char weight[] = "weight";
	const size_t keep = c->codes->name_len - (sizeof codes_name - 1), len = keep + sizeof weight - 1;
	cleanup_free char *name = malloc(len);

	if (!name)
		return -ENOMEM;
	memcpy(name, c->codes->name, keep);
	memcpy(name + keep, weight, sizeof weight - 1);
	return tfs_schemes_add(s, name, len, (uint64_t[]){ w->rows, w->cols }, 2, w);
}

int tfs_columns_scales(const struct tfs_scaled *w, const uint8_t *bytes, float *ret_scale, struct tfs_error *err)
{
	const uint64_t n_groups = w->per_row;
	cleanup_free float *stored = malloc(w->n_scales * sizeof *stored);

	if (!stored)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for %zu scales", w->n_scales);
	tfs_floats_of(w->parts[1], w->parts[1]->dtype->name, bytes, stored);
	for (uint64_t g = 0; g < n_groups; g++)
		for (uint64_t o = 0; o < w->rows; o++)
			ret_scale[o * n_groups + g] = stored[g * w->rows + o];
	return 0;
}
