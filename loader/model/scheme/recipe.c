/* SPDX-License-Identifier: MIT */
/*
 * Recipes: codes whose file says itself what they stand for, rather than a configuration beside it.
 *
 * Codes that an operator of the model takes as such (format/onnx/quantised.c): ONNX's DequantizeLinear (Operators.md), and onnxruntime's
 * MatMulNBits and GatherBlockQuantized (ContribOperators.md; contrib_ops/cpu/quantization/matmul_nbits_helper.h, gather_block_quantized.cc).
 * All are (code - zero_point) * scale. Only the model says which tensors these are: names are as its writer liked.
 *
 * And codes whose file has their scales beside its tensors (TFLite, TensorFlow.js), or says that values are divided by them (CTranslate2).
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "convert/codes.h"
#include "model/schemes.h"

/* struct tfs_scaled.arg: the part that has zero points, or group indices; 0: none has. */
enum { ARG_ZEROS, ARG_GROUPS };

/* The same of TFS_RECIPE_AFFINE: two doubles' bits, and whether to round. */
enum { ARG_BY, ARG_PLUS, ARG_ROUND };

static uint64_t blocks(uint64_t n, uint64_t block)
{
	return n / block + !!(n % block);
}

/* --- Values ---------------------------------------------------------------------------------------------------------- */

/* Codes of less than a byte, which go on from row to row without a gap. */
static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *codes)
{
	const unsigned each = 8 / w->bits, mask = (1u << w->bits) - 1;
	const uint64_t n = w->experts * w->rows * w->cols;

	for (uint64_t i = 0; i < n; i++)
		codes[i] = stored[i / each] >> (i % each * w->bits) & mask;
}

/*
 * Zero points are of the codes' type. Of integers of 32 bits and of floats all have to be 0: the operator's text says so of the former
 * and expects it of the latter, whose zero points onnxruntime doesn't look at.
 */
static int prepare_linear(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			  struct tfs_error *err)
{
	const unsigned zeros = w->arg[ARG_ZEROS];
	const struct tfs_dtype *d = w->parts[0]->dtype;
	const bool is_zero = d->name[0] == 'F' || w->bits > 16;

	tfs_scales_of(w->parts[1], parts[1], ret->scale);
	if (!zeros)
		return 0;
	if (w->value == TFS_VALUE_DTYPE)
		tfs_floats_of(w->parts[zeros], d->name, parts[zeros], ret->offset);
	else
		tfs_codes_by_bits(parts[zeros], 0, w->n_scales, w->bits, ret->table, ret->offset);
	for (size_t i = 0; is_zero && i < w->n_scales; i++)
		if (ret->offset[i] != 0)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
					     "a zero point of %s codes that isn't 0, which operators disagree on", d->name);
	return 0;
}

/* Zero points as the codes are packed, each row of them filled up to whole bytes; or of the scales' type. None: half of the codes' range. */
static int prepare_blocks(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			  struct tfs_error *err)
{
	const unsigned zeros = w->arg[ARG_ZEROS], groups = w->arg[ARG_GROUPS];
	const uint64_t row_bytes = (w->per_row * w->bits + 7) / 8;

	tfs_scales_of(w->parts[1], parts[1], ret->scale);
	if (w->value == TFS_VALUE_TABLE)
		for (int i = 0; i < 1 << w->bits; i++)
			ret->table[i] = (float)(i - (1 << (w->bits - 1)));
	else if (!tfs_is(w->parts[zeros], "U8"))
		tfs_floats_of(w->parts[zeros], w->parts[zeros]->dtype->name, parts[zeros], ret->offset);
	else
		for (uint64_t r = 0; r < w->rows; r++)
			tfs_codes_by_bits(parts[zeros] + r * row_bytes, 0, w->per_row, w->bits, ret->table,
					  ret->offset + r * w->per_row);
	for (uint64_t c = 0; groups && c < w->cols; c++) {
		int32_t g;

		memcpy(&g, parts[groups] + c * sizeof g, sizeof g);
		g = (int32_t)le32toh((uint32_t)g);
		if (g < 0 || (uint64_t)g >= w->per_row)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
					     "column %" PRIu64 " is of block %" PRId32 ", of %" PRIu64 " in each row", c, g,
					     w->per_row);
		ret->group[c] = (uint32_t)g;
	}
	return 0;
}

/* Scales that the file's table has. */
static int prepare_given(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			 struct tfs_error *err)
{
	(void)parts, (void)err;
	memcpy(ret->scale, w->scales, w->n_scales * sizeof *w->scales);
	if (w->zeros)
		memcpy(ret->offset, w->zeros, w->n_scales * sizeof *w->zeros);
	return 0;
}

static double number_of(uint64_t arg)
{
	double v;

	memcpy(&v, &arg, sizeof v);
	return v;
}

/* JavaScript's numbers are doubles, and what is made of them is rounded once: each code of a byte has its value in the table. */
static int prepare_affine(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
			  struct tfs_error *err)
{
	const double by = number_of(w->arg[ARG_BY]), plus = number_of(w->arg[ARG_PLUS]);

	(void)parts, (void)err;
	*ret->scale = w->value == TFS_VALUE_TABLE ? 1 : (float)by;
	for (int i = 0; w->value == TFS_VALUE_TABLE && i < 256; i++)
		ret->table[i] = (float)(w->arg[ARG_ROUND] ? floor(i * by + plus + 0.5) : i * by + plus);
	if (ret->offset)
		*ret->offset = (float)plus;
	return 0;
}

static const struct tfs_scaled_ops given_ops = { .prepare = prepare_given, .unpack = unpack };
static const struct tfs_scaled_ops affine_ops = { .prepare = prepare_affine };
static const struct tfs_scaled_ops linear_ops = { .prepare = prepare_linear, .unpack = unpack };
static const struct tfs_scaled_ops blocks_ops = { .prepare = prepare_blocks };

/* --- What is there --------------------------------------------------------------------------------------------------- */

/* A weight whose parts are being put together. */
struct draft {
	struct tfs_schemes *s;
	const struct tfs_recipe *recipe;
	const struct tfs_tensor *codes, *scales, *zeros, *groups; /* the last two may be NULL */
	struct tfs_scaled w;
	uint64_t shape[TFS_MAX_DIMS];
};

static bool is_scale(const struct tfs_tensor *t)
{
	return tfs_is(t, "F32") || tfs_is(t, "F16") || tfs_is(t, "BF16") || tfs_is(t, "F8_E8M0");
}

static bool has_shape(const struct tfs_tensor *t, const uint64_t *shape, unsigned ndim)
{
	return t->ndim == ndim && (!ndim || !memcmp(t->shape, shape, ndim * sizeof *shape));
}

static int refuse(struct draft *d, const char *what, const struct tfs_tensor *other)
{
	char shape[TFS_SHAPE_SIZE], others[TFS_SHAPE_SIZE];

	return tfs_schemes_refuse(d->s, d->codes, d->recipe->op, "%s of %s %s don't go with codes of %s %s", what,
				  other->dtype->name, tfs_shape_of(other, others), d->codes->dtype->name,
				  tfs_shape_of(d->codes, shape));
}

static void add_parts(struct draft *d)
{
	struct tfs_scaled *w = &d->w;

	w->parts[0] = d->codes;
	w->n_parts = 1;
	if (d->scales)
		w->parts[w->n_parts++] = d->scales;
	if (d->zeros) {
		w->arg[ARG_ZEROS] = w->n_parts;
		w->parts[w->n_parts++] = d->zeros;
	}
	if (d->groups) {
		w->arg[ARG_GROUPS] = w->n_parts;
		w->parts[w->n_parts++] = d->groups;
	}
}

/* --- DequantizeLinear ------------------------------------------------------------------------------------------------ */

/* The types that it takes, up to opset 25. False: @t isn't of one. */
static bool set_value(const struct tfs_tensor *t, struct tfs_scaled *w)
{
	static const struct {
		const char *dtype;
		uint8_t bits;
		enum tfs_scaled_value value;
	} types[] = {
		{ "U8", 8, TFS_VALUE_DTYPE },	       { "I8", 8, TFS_VALUE_DTYPE },	      { "U4", 4, TFS_VALUE_UNSIGNED },
		{ "I4", 4, TFS_VALUE_SIGNED },	       { "I32", 32, TFS_VALUE_DTYPE },	      { "U16", 16, TFS_VALUE_DTYPE },
		{ "I16", 16, TFS_VALUE_DTYPE },	       { "F8_E4M3", 8, TFS_VALUE_DTYPE },     { "F8_E5M2", 8, TFS_VALUE_DTYPE },
		{ "F8_E4M3FNUZ", 8, TFS_VALUE_DTYPE }, { "F8_E5M2FNUZ", 8, TFS_VALUE_DTYPE }, { "F4", 4, TFS_VALUE_E2M1 },
		{ "U2", 2, TFS_VALUE_UNSIGNED },       { "I2", 2, TFS_VALUE_SIGNED },
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (!tfs_is(t, types[i].dtype))
			continue;
		w->bits = types[i].bits;
		w->value = types[i].value;
		return true;
	}
	return false;
}

/* One scale for all; one for each index of @axis; or one for each @block of them and each of all others. False: neither. */
static bool spread(const struct draft *d, struct tfs_scaled *w, int64_t axis, int64_t block)
{
	/* Scales that aren't a tensor are as one of a single dimension. */
	const struct tfs_tensor given = { .shape = &(uint64_t){ d->recipe->numbers.n }, .ndim = 1 };
	const struct tfs_tensor *t = d->codes, *scale = d->scales ? d->scales : &given;
	uint64_t before = 1, after = 1, len;

	w->experts = w->rows = w->cols = w->row_block = w->col_block = 1;
	w->n_scales = d->scales ? tfs_n_elems(scale) : given.shape[0];
	if (!block && w->n_scales == 1 && scale->ndim <= 1) {
		for (unsigned i = 0; i < t->ndim; i++)
			w->cols *= t->shape[i]; /* as it has so many bits, it has so many elements */
		return true;
	}
	if (axis < 0 || axis >= t->ndim || block < 0)
		return false;
	for (unsigned i = 0; i < t->ndim; i++)
		if (i != axis && ckd_mul(i < axis ? &before : &after, i < axis ? before : after, t->shape[i]))
			return false;
	len = t->shape[axis];
	if (!block && (scale->ndim != 1 || scale->shape[0] != len))
		return false;
	for (unsigned i = 0; block && i < t->ndim; i++)
		if (scale->ndim != t->ndim || scale->shape[i] != (i == axis ? blocks(len, block) : t->shape[i]))
			return false;
	if (after == 1) { /* along rows */
		w->rows = before;
		w->cols = len;
		w->per_col = 1;
		w->col_block = block ? block : 1;
		w->per_row = block ? blocks(len, block) : 0;
		return true;
	}
	w->experts = before;
	w->rows = len;
	w->cols = after;
	w->row_block = block ? block : 1;
	w->per_row = block ? after : 1;
	w->per_col = !!block;
	w->per_expert = block ? blocks(len, block) * after : 0;
	return true;
}

/* How the codes stand, which have no gaps between rows: where a row isn't of whole bytes it is made one with the others, or unpacked. */
static void set_packing(struct tfs_scaled *w)
{
	w->group_size = w->per_col && w->col_block > 1 ? w->col_block : 0;
	if (w->bits < 8 && w->cols % (8 / w->bits) && w->rows > 1 && w->experts == 1 && !w->per_col && w->row_block == 1) {
		w->per_col = w->per_row;
		w->per_row = 0;
		w->col_block = w->cols;
		w->cols *= w->rows;
		w->rows = 1;
	}
	if (w->bits >= 8)
		w->row_bytes = w->cols * (w->bits / 8);
	else if (!(w->cols % (8 / w->bits)) || (w->rows == 1 && w->experts == 1))
		w->row_bytes = blocks(w->cols, 8 / w->bits);
	else
		w->packing = TFS_PACKED_OTHERWISE;
}

static int add_linear(struct draft *d, int64_t axis, int64_t block)
{
	const struct tfs_tensor *t = d->codes;
	struct tfs_scaled *w = &d->w;

	w->ops = &linear_ops;
	if (!set_value(t, w) || !is_scale(d->scales) || !spread(d, w, axis, block))
		return refuse(d, "scales", d->scales);
	if (d->zeros) {
		/* A scalar goes with one of one element (onnxruntime, quantize_linear.cc, PrepareForQDQ). */
		bool one = d->scales->ndim <= 1 && d->zeros->ndim <= 1 && w->n_scales == 1 &&
			   (!d->zeros->ndim || d->zeros->shape[0] == 1);

		if (d->zeros->dtype != t->dtype || (!one && !has_shape(d->zeros, d->scales->shape, d->scales->ndim)))
			return refuse(d, "zero points", d->zeros);
	}
	w->form = d->recipe->kind == TFS_RECIPE_DIVIDED ? TFS_SCALED_DIVIDED : d->zeros ? TFS_SCALED_MINUS_TIMES : TFS_SCALED_TIMES;
	w->formula = d->recipe->kind == TFS_RECIPE_DIVIDED ? "code / scale" :
		     d->zeros				   ? "(code - zero_point) * scale" :
							     "code * scale";
	set_packing(w);
	add_parts(d);
	return tfs_schemes_add(d->s, t->name, t->name_len, t->shape, t->ndim, w);
}

/* Scales that the file has beside its tensors, as TFLite's. */
static int add_given(struct draft *d)
{
	const struct tfs_recipe_numbers *numbers = &d->recipe->numbers;
	const struct tfs_tensor *t = d->codes;
	struct tfs_scaled *w = &d->w;
	char shape[TFS_SHAPE_SIZE];

	w->ops = &given_ops;
	if (tfs_is(t, "I64")) { /* TFLite's biases, where activations have 16 bits */
		w->bits = 64;
		w->value = TFS_VALUE_DTYPE;
	}
	if ((!w->bits && !set_value(t, w)) || !spread(d, w, d->recipe->args[TFS_RECIPE_AXIS], 0))
		return tfs_schemes_refuse(d->s, t, d->recipe->op, "%zu scales along axis %" PRId64 " don't go with codes of %s %s",
					  numbers->n, d->recipe->args[TFS_RECIPE_AXIS], t->dtype->name, tfs_shape_of(t, shape));
	w->scales = numbers->scales;
	w->zeros = numbers->zeros;
	w->form = w->zeros ? TFS_SCALED_MINUS_TIMES : TFS_SCALED_TIMES;
	w->formula = w->zeros ? "(code - zero_point) * scale" : "code * scale";
	set_packing(w);
	add_parts(d);
	return tfs_schemes_add(d->s, t->name, t->name_len, t->shape, t->ndim, w);
}

static uint64_t bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	return bits;
}

/* One pair of numbers for all, as TensorFlow.js has it: of bytes, or of 16 bits, which are computed in single precision. */
static int add_affine(struct draft *d)
{
	const struct tfs_recipe_numbers *numbers = &d->recipe->numbers;
	const struct tfs_tensor *t = d->codes;
	struct tfs_scaled *w = &d->w;
	const bool wide = tfs_is(t, "U16");

	if (!wide && !tfs_is(t, "U8"))
		return tfs_schemes_refuse(d->s, t, d->recipe->op, "codes of type %s", t->dtype->name);
	w->ops = &affine_ops;
	w->arg[ARG_BY] = bits_of(numbers->by);
	w->arg[ARG_PLUS] = bits_of(numbers->plus);
	w->arg[ARG_ROUND] = numbers->round;
	w->bits = wide ? 16 : 8;
	w->value = wide ? TFS_VALUE_DTYPE : TFS_VALUE_TABLE;
	w->form = wide ? TFS_SCALED_TIMES_PLUS : TFS_SCALED_TIMES;
	w->formula = "code * scale + min";
	w->experts = w->rows = w->row_block = w->col_block = w->n_scales = 1;
	w->cols = tfs_n_elems(t);
	set_packing(w);
	add_parts(d);
	return tfs_schemes_add(d->s, t->name, t->name_len, t->shape, t->ndim, w);
}

/* --- Blocks of packed rows ------------------------------------------------------------------------------------------- */

/*
 * @w has rows, cols, row_bytes and the block, which is col_block: what goes by these. @outer: the shape of scales and zero points but for
 * their last axis, blocks, @n of them; or all of it in one, where @flat. Zero points may be of the scales' type where @floats.
 */
static int add_blocks(struct draft *d, const uint64_t *outer, unsigned n, bool flat, bool floats, unsigned ndim)
{
	struct tfs_scaled *w = &d->w;
	uint64_t shape[TFS_MAX_DIMS], n_scales, packed, n_zeros;
	const struct tfs_tensor *z = d->zeros;

	w->ops = &blocks_ops;
	w->experts = w->row_block = w->per_col = 1;
	w->per_row = blocks(w->cols, w->col_block);
	w->group_size = d->groups ? 0 : w->col_block;
	packed = blocks(w->per_row, 8 / w->bits);
	if (ckd_mul(&n_scales, w->rows, w->per_row) || ckd_mul(&n_zeros, w->rows, packed))
		return refuse(d, "scales", d->scales);
	w->n_scales = n_scales;
	memcpy(shape, outer, n * sizeof *shape);
	shape[n] = w->per_row;
	if (!is_scale(d->scales) || (!has_shape(d->scales, shape, n + 1) && !(flat && has_shape(d->scales, &n_scales, 1))))
		return refuse(d, "scales", d->scales);
	if (z && floats && z->dtype == d->scales->dtype) {
		if (!has_shape(z, shape, n + 1) && !(flat && has_shape(z, &n_scales, 1)))
			return refuse(d, "zero points", z);
	} else if (z) {
		shape[n] = packed;
		if (!tfs_is(z, "U8") || (!has_shape(z, shape, n + 1) && !(flat && has_shape(z, &n_zeros, 1))))
			return refuse(d, "zero points", z);
	}
	w->value = z ? TFS_VALUE_UNSIGNED : TFS_VALUE_TABLE;
	w->form = z ? TFS_SCALED_MINUS_TIMES : TFS_SCALED_TIMES;
	w->formula = z ? "(code - zero_point) * scale" : "(code - 2^(bits - 1)) * scale";
	add_parts(d);
	return tfs_schemes_add(d->s, d->codes->name, d->codes->name_len, d->shape, ndim, w);
}

static bool is_packed(int64_t bits)
{
	return bits == 2 || bits == 4 || bits == 8;
}

/* Codes [N, blocks, bytes of a block], which are cut to K of each row. Shown are N rows of K: the transpose of the operator's matrix. */
static int add_nbits(struct draft *d)
{
	const int64_t *args = d->recipe->args, block = args[TFS_RECIPE_BLOCK], bits = args[TFS_RECIPE_BITS], k = args[TFS_RECIPE_K],
		      n = args[TFS_RECIPE_N];
	struct tfs_scaled *w = &d->w;
	uint64_t blob, n_blocks, padded;

	if (!is_packed(bits) || block < 16 || (block & (block - 1)) || k < 1 || n < 1)
		return tfs_schemes_refuse(d->s, d->codes, d->recipe->op,
					  "K %" PRId64 ", N %" PRId64 ", block_size %" PRId64 " and bits %" PRId64
					  " are out of range",
					  k, n, block, bits);
	blob = (uint64_t)block / 8 * (uint64_t)bits;
	n_blocks = blocks(k, block);
	if (!tfs_is(d->codes, "U8") || ckd_mul(&padded, n_blocks, (uint64_t)block) || ckd_mul(&w->row_bytes, n_blocks, blob) ||
	    !has_shape(d->codes, (const uint64_t[]){ (uint64_t)n, n_blocks, blob }, 3)) {
		char shape[TFS_SHAPE_SIZE];

		return tfs_schemes_refuse(d->s, d->codes, d->recipe->op,
					  "codes of %s %s for K %" PRId64 ", N %" PRId64 ", block_size %" PRId64
					  " and bits %" PRId64,
					  d->codes->dtype->name, tfs_shape_of(d->codes, shape), k, n, block, bits);
	}
	if (d->groups && (!tfs_is(d->groups, "I32") ||
			  (!has_shape(d->groups, (const uint64_t[]){ (uint64_t)k }, 1) && !has_shape(d->groups, &padded, 1))))
		return refuse(d, "group indices", d->groups);
	d->shape[0] = w->rows = n;
	d->shape[1] = w->cols = k;
	w->bits = bits;
	w->col_block = block;
	w->has_groups = d->groups;
	return add_blocks(d, d->shape, 1, true, true, 2);
}

/*
 * Of bytes: [.., C * bits / 8], with blocks along the last axis and, where there are no zero points, half of the range. Of other types:
 * as in DequantizeLinear, with a block of 0 being all of the axis.
 */
static int add_gather(struct draft *d)
{
	const struct tfs_tensor *t = d->codes;
	const int64_t *args = d->recipe->args, axis = args[TFS_RECIPE_AXIS], bits = args[TFS_RECIPE_BITS];
	int64_t block = args[TFS_RECIPE_BLOCK];
	struct tfs_scaled *w = &d->w;

	if (!tfs_is(t, "U8")) {
		bool is_float = t->dtype->name[0] == 'F', all = !block && is_float && axis >= 0 && axis < t->ndim && t->shape[axis];

		if ((!is_float && !tfs_is(t, "I4") && !tfs_is(t, "U4")) || (!block && !all))
			return refuse(d, "scales", d->scales);
		return add_linear(d, axis, all ? (int64_t)t->shape[axis] : block);
	}
	if (!is_packed(bits) || block < 1 || !t->ndim || axis != t->ndim - 1)
		return tfs_schemes_refuse(d->s, t, d->recipe->op,
					  "bytes of %" PRId64 "-bit codes in blocks of %" PRId64 " along axis %" PRId64 " of %d",
					  bits, block, axis, t->ndim);
	memcpy(d->shape, t->shape, t->ndim * sizeof *d->shape);
	w->rows = 1;
	for (unsigned i = 0; i + 1 < t->ndim; i++)
		if (ckd_mul(&w->rows, w->rows, t->shape[i]))
			return refuse(d, "scales", d->scales);
	w->row_bytes = t->shape[axis];
	if (ckd_mul(&w->cols, t->shape[axis], 8 / (uint64_t)bits))
		return refuse(d, "scales", d->scales);
	d->shape[axis] = w->cols;
	w->bits = bits;
	w->col_block = block;
	return add_blocks(d, d->shape, t->ndim - 1, false, false, t->ndim);
}

/* --- All of them ----------------------------------------------------------------------------------------------------- */

int tfs_scheme_recipe(struct tfs_schemes *s, const struct tfs_recipe *recipe)
{
	static const char *const names[] = { "codes", "scales", "zero points", "group indices" };
	const struct tfs_tensor *parts[TFS_RECIPE_PARTS] = { NULL };
	struct draft d = { .s = s, .recipe = recipe, .w = { .scheme = recipe->op, .factor = 1 } };

	for (size_t i = 0; i < TFS_RECIPE_PARTS; i++)
		if (recipe->parts[i].name)
			parts[i] = tfs_schemes_named(s, recipe->parts[i].name, recipe->parts[i].len);
	d.codes = parts[TFS_RECIPE_CODES];
	if (!d.codes)
		return 0; /* it could not be read */
	if (recipe->wrong)
		return tfs_schemes_refuse(s, d.codes, recipe->op, "%s", recipe->wrong);
	for (size_t i = 0; i < TFS_RECIPE_PARTS; i++)
		if (recipe->parts[i].name && !parts[i])
			return tfs_schemes_refuse(s, d.codes, recipe->op, "its %s are missing", names[i]);
	d.scales = parts[TFS_RECIPE_SCALES];
	d.zeros = parts[TFS_RECIPE_ZEROS];
	d.groups = parts[TFS_RECIPE_GROUPS];
	switch (recipe->kind) {
	case TFS_RECIPE_NBITS:
		return add_nbits(&d);
	case TFS_RECIPE_GATHER:
		return add_gather(&d);
	case TFS_RECIPE_GIVEN:
		return add_given(&d);
	case TFS_RECIPE_AFFINE:
		return add_affine(&d);
	default:
		return add_linear(&d, recipe->args[TFS_RECIPE_AXIS], recipe->args[TFS_RECIPE_BLOCK]);
	}
}
