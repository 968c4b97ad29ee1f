/* SPDX-License-Identifier: MIT */
/*
 * bitsandbytes: 4-bit codes into a table, in blocks of the flattened weight, whose shape only a text beside it tells; LLM.int8().
 * bitsandbytes, functional.py QuantState.from_dict(), dequantize_4bit(), int8_vectorwise_dequant(). The same by
 * GPTQModel's names: nn_modules/qlinear/bitsandbytes.py.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

/* --- 4 bits ---------------------------------------------------------------------------------------------------------- */

enum { CODES, ABSMAX, QUANT_MAP, NESTED_ABSMAX, NESTED_QUANT_MAP, PARTS };

/* struct tfs_scaled.arg */
enum { NESTED_BLOCK, NESTED_OFFSET };

static const struct names {
	const char *part[PARTS]; /* after the weight's name */
	const char *state;
} names[] = {
	{ { NULL, ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map" }, ".quant_state.bitsandbytes__" },
	{ { NULL, "_absmax", "_quant_map", "_nested_absmax", "_nested_quant_map" }, "_quant_state" },
};
enum { N_NAMES = sizeof names / sizeof *names };

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	float nested[256], offset;

	tfs_scales_of(w->parts[QUANT_MAP], parts[QUANT_MAP], ret->table);
	if (w->n_parts < PARTS) {
		tfs_scales_of(w->parts[ABSMAX], parts[ABSMAX], ret->scale);
		return 0;
	}
	/*
	 * As dequantize_blockwise() does it, then the offset. There are no more blocks of blocks than blocks, so they are read to the
	 * front of these, and used up from behind.
	 */
	const uint32_t offset_bits = (uint32_t)w->arg[NESTED_OFFSET];
	memcpy(&offset, &offset_bits, sizeof offset);
	tfs_scales_of(w->parts[NESTED_QUANT_MAP], parts[NESTED_QUANT_MAP], nested);
	tfs_scales_of(w->parts[NESTED_ABSMAX], parts[NESTED_ABSMAX], ret->scale);
	for (size_t i = w->n_scales; i-- > 0;) {
		float x = nested[parts[ABSMAX][i]] * ret->scale[i / w->arg[NESTED_BLOCK]];

		ret->scale[i] = x + offset;
	}
	return 0;
}

static const struct tfs_scaled_ops ops = { .prepare = prepare };

struct found {
	const struct tfs_tensor *part[PARTS], *state;
};

/* What the state says. */
struct state {
	uint64_t shape[TFS_MAX_DIMS], n, blocksize, nested_blocksize;
	unsigned ndim;
	float nested_offset;
	bool has_nested;
};

static int refuse(struct tfs_schemes *s, const struct found *f, const char *why)
{
	for (int i = ABSMAX; i < PARTS; i++)
		tfs_schemes_hide(s, f->part[i]);
	tfs_schemes_hide(s, f->state);
	return tfs_schemes_refuse(s, f->part[CODES] ? f->part[CODES] : f->state, tfs_scheme_bnb.name, "%s", why);
}

static struct found find_parts(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop, const struct names *n)
{
	struct found f = { .part = { drop ? tfs_schemes_part(s, t, drop, "") : t } };

	for (int i = ABSMAX; i < PARTS; i++)
		f.part[i] = tfs_schemes_part(s, t, drop, n->part[i]);
	return f;
}

static bool shape_of(const json_t *list, struct state *ret)
{
	const size_t ndim = json_array_size(list);

	if (!ndim || ndim > TFS_MAX_DIMS)
		return false;
	ret->n = 1;
	ret->ndim = (unsigned)ndim;
	for (size_t i = 0; i < ndim; i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_integer(v) || json_integer_value(v) <= 0)
			return false;
		ret->shape[i] = (uint64_t)json_integer_value(v);
		if (ckd_mul(&ret->n, ret->n, ret->shape[i]))
			return false;
	}
	return true;
}

/* Those that there are have 150 to 300 bytes. */
enum { MAX_STATE = 4096 };

/* NULL, or why not. */
static const char *read_state(struct tfs_schemes *s, const struct tfs_tensor *t, struct state *ret)
{
	char text[MAX_STATE];
	int64_t len = tfs_is(t, "U8") ? tfs_schemes_read(s, t, text, sizeof text) : -EINVAL;
	const char *why = NULL;
	json_t *o = len > 0 ? tfs_schemes_json(s, text, (size_t)len) : NULL;

	if (!json_is_object(o))
		why = "its quant_state can't be read";
	else if (!shape_of(json_object_get(o, "shape"), ret))
		why = "its quant_state has no shape";
	else if (tfs_config_integer(o, "blocksize", 0) <= 0)
		why = "its quant_state has no blocksize";
	if (!why) {
		const int64_t nested = tfs_config_integer(o, "nested_blocksize", 0);
		const json_t *offset = json_object_get(o, "nested_offset");

		ret->blocksize = (uint64_t)tfs_config_integer(o, "blocksize", 0);
		ret->nested_blocksize = nested > 0 ? (uint64_t)nested : 0;
		ret->nested_offset = (float)json_number_value(offset);
		ret->has_nested = nested > 0 && json_is_number(offset) && isfinite(ret->nested_offset);
	}
	json_decref(o);
	return why;
}

static uint64_t blocks(uint64_t n, uint64_t size)
{
	return n / size + !!(n % size);
}

/* Of the type of numbers, and so many? */
static bool are_floats(const struct tfs_tensor *t, uint64_t n)
{
	return t && tfs_is_float(t) && tfs_n_elems(t) == n;
}

/* bnb_4bit_quant_storage: the bytes of the codes may be declared as elements of any of these. */
static bool may_store(const struct tfs_tensor *t)
{
	return tfs_is_float(t) || tfs_is(t, "U8") || tfs_is(t, "I8");
}

/* NULL, or why the parts and the state don't make a weight. */
static const char *check(const struct found *f, const struct state *state)
{
	const struct tfs_tensor *codes = f->part[CODES], *absmax = f->part[ABSMAX];
	const uint64_t bytes = blocks(state->n, 2), n_blocks = blocks(state->n, state->blocksize);

	if (!may_store(codes) || codes->nbytes < bytes || codes->nbytes - bytes >= codes->dtype->block_bytes)
		return "its codes are not as many as its quant_state says";
	/* dequantize_4bit() then returns the transpose, for checkpoints of before Linear4bit had it the present way round. */
	if (codes->ndim == 2 && codes->shape[0] == 1 && codes->shape[1] > 1)
		return "it was saved transposed, which is not supported";
	if (!are_floats(f->part[QUANT_MAP], 16))
		return "there is no quant_map of 16 numbers";
	if (!absmax)
		return "there is no absmax";
	if (are_floats(absmax, n_blocks))
		return f->part[NESTED_ABSMAX] ? "its absmax is quantised, and isn't" : NULL;
	if (!tfs_is(absmax, "U8") || tfs_n_elems(absmax) != n_blocks)
		return "there is not one absmax for each of its blocks";
	if (!state->has_nested)
		return "its absmax is quantised, but its quant_state doesn't say how";
	if (!are_floats(f->part[NESTED_QUANT_MAP], 256))
		return "its absmax is quantised, but there is no nested_quant_map of 256 numbers";
	if (!are_floats(f->part[NESTED_ABSMAX], blocks(n_blocks, state->nested_blocksize)))
		return "its absmax is quantised, but there is not one nested_absmax for each of its blocks";
	return NULL;
}

static int add_4bit(struct tfs_schemes *s, const struct found *f)
{
	const struct tfs_tensor *codes = f->part[CODES];
	struct state state;
	uint32_t offset;

	if (!codes)
		return refuse(s, f, "there is a quant_state, but no weight");
	if (codes->code) {
		tfs_schemes_hide(s, f->state);
		return 1;
	}
	const char *why = read_state(s, f->state, &state);
	if (!why)
		why = check(f, &state);
	if (why)
		return refuse(s, f, why);
	const bool nested = !tfs_is_float(f->part[ABSMAX]);
	struct tfs_scaled w = { .scheme = tfs_scheme_bnb.name,
				.formula = "table[code] * absmax",
				.ops = &ops,
				.n_parts = nested ? PARTS : NESTED_ABSMAX,
				.bits = 4,
				.value = TFS_VALUE_TABLE,
				.packing = TFS_PACKED_HIGH_FIRST,
				.factor = 1,
				/* Blocks go on from row to row, so it is one row. */
				.experts = 1,
				.rows = 1,
				.cols = state.n,
				.row_bytes = codes->nbytes,
				.row_block = 1,
				.col_block = state.blocksize,
				.group_size = state.blocksize,
				.per_col = 1,
				.n_scales = tfs_n_elems(f->part[ABSMAX]) };
	memcpy(w.parts, f->part, w.n_parts * sizeof *w.parts);
	if (nested) {
		memcpy(&offset, &state.nested_offset, sizeof offset);
		w.arg[NESTED_BLOCK] = state.nested_blocksize;
		w.arg[NESTED_OFFSET] = offset;
	}
	tfs_scaled_mark(&w, f->state);
	return tfs_schemes_add(s, codes->name, codes->name_len, state.shape, state.ndim, &w);
}

/* Bytes of its name from where it says that it is a state; 0: it isn't one. */
static size_t state_of(const struct tfs_tensor *t, const struct names *n)
{
	const char *at;

	if (n != names) /* only bitsandbytes' has the type after it */
		return tfs_name_ends(t, n->state) ? strlen(n->state) : 0;
	at = memmem(t->name, t->name_len, n->state, strlen(n->state));
	return at ? t->name_len - (size_t)(at - t->name) : 0;
}

static int find_4bit(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	for (size_t i = 0; i < N_NAMES; i++) {
		const size_t drop = state_of(t, &names[i]);

		if (drop) {
			struct found f = find_parts(s, t, drop, &names[i]);

			f.state = t;
			/* What GPTQModel calls so might be anything. */
			if (i && !f.part[ABSMAX] && !f.part[QUANT_MAP])
				return 0;
			return add_4bit(s, &f);
		}
	}
	return 0;
}

/* Codes, or a quantised absmax, that nothing explains would be shown as numbers. */
static int find_stateless(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	for (size_t i = 0; i < N_NAMES; i++) {
		const struct names *n = &names[i];
		const size_t drop = tfs_name_ends(t, n->part[ABSMAX]) ? strlen(n->part[ABSMAX]) : 0;

		if (!tfs_schemes_part(s, t, drop, n->part[ABSMAX]) || !tfs_schemes_part(s, t, drop, n->part[QUANT_MAP]))
			continue;
		if (i ? tfs_schemes_part(s, t, drop, n->state) != NULL :
			tfs_schemes_part(s, t, drop, ".quant_state.bitsandbytes__nf4") ||
				    tfs_schemes_part(s, t, drop, ".quant_state.bitsandbytes__fp4"))
			return 0;
		struct found f = find_parts(s, t, drop, n);
		if (!f.part[CODES])
			return 0;
		if (f.part[CODES]->code)
			continue;
		return refuse(s, &f, "there is no quant_state");
	}
	return 0;
}

/* --- 8 bits ---------------------------------------------------------------------------------------------------------- */

static const struct tfs_scaled_ops int8_ops = { .prepare = tfs_prepare_plain };

/* 1 / 127 as bitsandbytes has it. */
static const float per_127 = 0.007874015718698502f;

static int find_8bit(struct tfs_schemes *s, const struct tfs_tensor *t, size_t weight)
{
	const struct tfs_tensor *scb = tfs_schemes_part(s, t, weight, "SCB"),
				*format = tfs_schemes_part(s, t, weight, "weight_format");
	char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	uint8_t layout = 0;

	if (!scb)
		scb = tfs_schemes_part(s, t, 0, "_scb");
	if (!scb && !format)
		return 0;
	tfs_schemes_hide(s, format);
	if (format && (!tfs_is(format, "U8") || tfs_schemes_read(s, format, &layout, sizeof layout) != sizeof layout))
		return tfs_schemes_refuse(s, t, tfs_scheme_bnb.name, "its weight_format can't be read");
	if (!scb)
		return tfs_schemes_refuse(s, t, tfs_scheme_bnb.name, "there is no SCB");
	/* autograd/_functions.py: 1 is col32, 2 col_turing, 3 col_ampere. */
	if (layout)
		return tfs_schemes_refuse(s, t, tfs_scheme_bnb.name, "it is in tiles (weight_format %u), which is not supported",
					  layout);
	if (t->ndim != 2 || !are_floats(scb, t->shape[0])) {
		tfs_schemes_hide(s, scb);
		return tfs_schemes_refuse(s, t, tfs_scheme_bnb.name, "SCB of %s doesn't go with codes of %s",
					  tfs_shape_of(scb, scales), tfs_shape_of(t, shape));
	}
	struct tfs_scaled w = { .scheme = tfs_scheme_bnb.name,
				.formula = "code * SCB / 127",
				.ops = &int8_ops,
				.n_parts = 2,
				.parts = { t, scb },
				.bits = 8,
				.value = TFS_VALUE_SIGNED,
				.form = TFS_SCALED_TIMES,
				.factor = per_127,
				.experts = 1,
				.rows = t->shape[0],
				.cols = t->shape[1],
				.row_bytes = t->shape[1],
				.row_block = 1,
				.col_block = 1,
				.per_row = 1,
				.n_scales = t->shape[0] };
	tfs_scaled_mark(&w, format);
	return tfs_schemes_add(s, t->name, t->name_len, t->shape, t->ndim, &w);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	const size_t weight = tfs_schemes_weight(t);
	int r;

	if (tfs_is(t, "I8"))
		return weight == SIZE_MAX ? 0 : find_8bit(s, t, weight);
	if (!tfs_is(t, "U8"))
		return 0;
	r = find_4bit(s, t);
	return r ? r : find_stateless(s, t);
}

const struct tfs_scheme tfs_scheme_bnb = { "bitsandbytes", find };
