/* SPDX-License-Identifier: MIT */
/*
 * torchao's tensors in safetensors: those of M.W are called M._W_qdata, M._W_scale and so on, before 0.15 M.W:qdata, M.W:scale, and the
 * file says under M.W, in JSON, of which class it is (prototype/safetensors/safetensors_support.py, flatten_tensor_state_dict()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "model/scheme/mx.h"

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain };

/* What is said of a tensor is a few hundred bytes. */
enum { MAX_ATTRIBUTES = 1 << 16 };

struct found {
	struct tfs_schemes *s;
	const struct tfs_tensor *t; /* the codes */
	const char *name;	    /* of the weight */
	size_t len;
	const json_t *attributes;
	struct tfs_scaled w;
};

/* The part of that name, after what the names of all parts begin with. */
static const struct tfs_tensor *part(const struct found *f, const char *name)
{
	return tfs_schemes_part(f->s, f->t, strlen("qdata"), name);
}

/* "M.W" of "M._W_qdata" or "M.W:qdata", to be freed, in *@ret_name; NULL: it isn't called so. 0 or -ENOMEM. */
static int name_of(const struct tfs_tensor *t, char **ret_name, size_t *ret_len)
{
	const size_t end = t->name_len < strlen("_qdata") ? 0 : t->name_len - strlen("_qdata");
	const bool older = tfs_name_ends(t, ":qdata");
	size_t module = end;

	*ret_name = NULL;
	while (module && t->name[module - 1] != '.')
		module--;
	if (!end || (!older && (!tfs_name_ends(t, "_qdata") || t->name[module] != '_' || module + 1 == end)))
		return 0;
	const size_t from = module + !older;
	char *name = malloc(end + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, t->name, module);
	memcpy(name + module, t->name + from, end - from);
	*ret_name = name;
	*ret_len = module + end - from;
	return 0;
}

/*
 * Columns, rows and what is above them of one scale: each a divisor, as torchao asserts. An axis above the rows is either in blocks of 1,
 * or in one.
 */
static bool spread(struct tfs_scaled *w, const uint64_t *block)
{
	const struct tfs_tensor *t = w->parts[0];
	const unsigned ndim = t->ndim;
	uint64_t stacked = 1, per;

	if (!ndim)
		return false;
	for (unsigned i = 0; i < ndim; i++)
		if (!block[i] || t->shape[i] % block[i])
			return false;
	w->cols = w->row_bytes = t->shape[ndim - 1];
	w->col_block = block[ndim - 1];
	w->rows = ndim > 1 ? t->shape[ndim - 2] : 1;
	w->row_block = ndim > 1 ? block[ndim - 2] : 1;
	w->experts = 1;
	for (unsigned i = 0; i + 2 < ndim; i++)
		if (ckd_mul(&w->experts, w->experts, t->shape[i]) || ckd_mul(&stacked, stacked, t->shape[i] / block[i]))
			return false;
	w->per_row = w->cols / w->col_block;
	w->per_col = w->per_row > 1;
	w->group_size = w->per_col ? w->col_block : 0;
	if (ckd_mul(&per, w->rows / w->row_block, w->per_row) || ckd_mul(&w->n_scales, stacked, per) ||
	    (stacked != 1 && stacked != w->experts))
		return false;
	w->per_expert = stacked == 1 ? 0 : per;
	return true;
}

/* The block that shares a scale: as the attributes have it, or, where they don't, as the shape of the scales does. */
static bool read_block(const struct found *f, uint64_t *ret_block)
{
	const json_t *list = json_object_get(f->attributes, "block_size");
	const struct tfs_tensor *t = f->t, *scale = f->w.parts[1];

	if (json_array_size(list)) {
		for (unsigned i = 0; i < t->ndim; i++) {
			json_int_t n = json_integer_value(json_array_get(list, i));

			if (n <= 0)
				return false;
			ret_block[i] = (uint64_t)n;
		}
		return json_array_size(list) == t->ndim;
	}
	for (unsigned i = 0; i < t->ndim; i++) {
		const uint64_t n = tfs_n_elems(scale) == 1 ? 1 : i < scale->ndim ? scale->shape[i] : 0;

		if (!n)
			return false;
		ret_block[i] = t->shape[i] / n;
	}
	return tfs_n_elems(scale) == 1 || scale->ndim == t->ndim;
}

static int refuse_shapes(struct found *f, const struct tfs_tensor *part)
{
	char codes[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];

	return tfs_schemes_refuse(f->s, f->t, f->w.scheme, "scales or zero points of %s %s don't go with codes of %s %s",
				  part->dtype->name, tfs_shape_of(part, scales), f->t->dtype->name, tfs_shape_of(f->t, codes));
}

/* Float8Tensor, Int8Tensor, IntxUnpackedToInt8Tensor: (code - zero_point) * scale (quant_primitives.py, dequantize_affine()). */
static int add_affine(struct found *f)
{
	const struct tfs_tensor *zero = part(f, "zero_point"), *scale = f->w.parts[1];
	uint64_t block[TFS_MAX_DIMS];

	f->w.ops = &ops;
	f->w.bits = 8;
	f->w.value = tfs_is(f->t, "I8") ? TFS_VALUE_SIGNED : tfs_is(f->t, "F8_E4M3") ? TFS_VALUE_E4M3 : TFS_VALUE_E5M2;
	f->w.formula = "code * scale";
	if (!tfs_is_float(scale) || !read_block(f, block) || !spread(&f->w, block) || tfs_n_elems(scale) != f->w.n_scales)
		return refuse_shapes(f, scale);
	if (zero) {
		tfs_schemes_hide(f->s, zero);
		if ((!tfs_is(zero, "I8") && !tfs_is_float(zero)) || tfs_n_elems(zero) != f->w.n_scales)
			return refuse_shapes(f, zero);
		f->w.parts[f->w.n_parts++] = zero;
		f->w.form = TFS_SCALED_MINUS_TIMES;
		f->w.formula = "(code - zero_point) * scale";
	}
	if (part(f, "act_pre_scale"))
		f->w.formula = zero ? "(code - zero_point) * scale, for an input times act_pre_scale" :
				      "code * scale, for an input times act_pre_scale";
	return tfs_schemes_add(f->s, f->name, f->len, f->t->shape, f->t->ndim, &f->w);
}

/* MXTensor and NVFP4Tensor, of whose scales the attributes say whether they are in tiles. */
static int add_mx(struct found *f, bool nvfp4)
{
	const char *elem = tfs_config_string(json_object_get(f->attributes, "elem_dtype"), "_data");
	const int64_t group = tfs_config_integer(f->attributes, "block_size", 0);
	const bool fp8 = !nvfp4 && (!strcmp(elem, "float8_e4m3fn") || !strcmp(elem, "float8_e5m2"));
	const char *code_type = !fp8 ? "U8" : !strcmp(elem, "float8_e5m2") ? "F8_E5M2" : "F8_E4M3";
	struct tfs_mx how = {
		.group = group > 0 ? (uint64_t)group : 0,
		.e4m3 = nvfp4,
		.tiled = json_is_true(json_object_get(f->attributes, "is_swizzled_scales")),
	};
	uint64_t shape[TFS_MAX_DIMS];
	unsigned ndim = f->t->ndim;

	if (!nvfp4 && !fp8 && strcmp(elem, "float4_e2m1fn_x2") != 0)
		return tfs_schemes_refuse(f->s, f->t, f->w.scheme, "its elements are of another type than FP8 and FP4");
	if (!tfs_is(f->t, code_type) && (fp8 || !tfs_is(f->t, "F4")))
		return tfs_schemes_refuse(f->s, f->t, f->w.scheme, "its codes are of type %s, not %s", f->t->dtype->name,
					  code_type);
	f->w.ops = &tfs_mx_ops;
	f->w.bits = fp8 ? 8 : 4;
	f->w.value = !fp8 ? TFS_VALUE_E2M1 : tfs_is(f->t, "F8_E5M2") ? TFS_VALUE_E5M2 : TFS_VALUE_E4M3;
	f->w.formula = "code * scale";
	memcpy(shape, f->t->shape, ndim * sizeof *shape);
	if (!fp8 && !tfs_mx_fp4_shape(f->t, shape))
		ndim = 0;
	f->w.parts[2] = nvfp4 ? part(f, "per_tensor_scale") : NULL;
	if (f->w.parts[2]) {
		f->w.n_parts = 3;
		f->w.formula = "code * (scale * per_tensor_scale)";
	}
	return tfs_mx_add(f->s, f->name, f->len, shape, ndim, &how, &f->w);
}

/* Are all the parts there that the weight was written with? None of them is a value by itself. */
static bool is_complete(const struct found *f, const json_t *o)
{
	const json_t *names = json_object_get(o, "_tensor_data_names");
	bool complete = f->w.parts[1];

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		const struct tfs_tensor *p = name ? part(f, name) : NULL;

		if (p)
			tfs_schemes_hide(f->s, p);
		else
			complete = false;
	}
	return complete;
}

static int add(struct found *f, const json_t *o)
{
	const char *type = tfs_config_string(o, "_type");
	const bool is_int8 = tfs_is(f->t, "I8"), is_fp8 = tfs_is(f->t, "F8_E4M3") || tfs_is(f->t, "F8_E5M2");
	const bool complete = is_complete(f, o), mx = !strcmp(type, "MXTensor"), nvfp4 = !strcmp(type, "NVFP4Tensor");
	const bool affine = (!strcmp(type, "Float8Tensor") && is_fp8) ||
			    ((!strcmp(type, "Int8Tensor") || !strcmp(type, "IntxUnpackedToInt8Tensor")) && is_int8);
	char quoted[TFS_QUOTE_SIZE];

	f->attributes = json_object_get(o, "_data");
	if (!affine && !mx && !nvfp4)
		return tfs_schemes_refuse(f->s, f->t, f->w.scheme, "a %s with codes of %s isn't supported",
					  tfs_quote(quoted, sizeof quoted, type, strlen(type)), f->t->dtype->name);
	if (!complete)
		return tfs_schemes_refuse(f->s, f->t, f->w.scheme, "a part of it is missing");
	return affine ? add_affine(f) : add_mx(f, nvfp4);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	struct found f = { .s = s, .t = t, .w = { .scheme = tfs_scheme_torchao.name, .n_parts = 2, .factor = 1 } };
	cleanup_free char *name = NULL;
	const char *text;
	size_t text_len = 0;

	if (name_of(t, &name, &f.len))
		return -ENOMEM;
	if (!name)
		return 0;
	if (tfs_schemes_metadata(s, t, name, f.len, &text, &text_len))
		return -ENOMEM;
	f.name = name;
	f.w.parts[0] = t;
	f.w.parts[1] = part(&f, "scale");
	if (!text && !f.w.parts[1] && !tfs_schemes_has_config(s))
		return 0; /* just that name */
	json_t *o = text && text_len <= MAX_ATTRIBUTES ? tfs_schemes_json(s, text, text_len) : NULL;
	int r = json_is_object(o) ?
			add(&f, o) :
			tfs_schemes_refuse(s, t, f.w.scheme, "its file doesn't say how it is made, or can't be understood there");
	json_decref(o);
	return r;
}

const struct tfs_scheme tfs_scheme_torchao = { "torchao", find };
