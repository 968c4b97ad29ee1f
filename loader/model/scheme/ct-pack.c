/* SPDX-License-Identifier: MIT */
/*
 * compressed-tensors' pack-quantized: codes of 1 to 8 bits in words, along the rows of the weight.
 * compressed-tensors, compressors/pack_quantized/helpers.py pack_to_int32(), and as that was before 2026-05 (3f01c782);
 * quantization/lifecycle/forward.py dequantize(). Its other packed formats are refused: Marlin's 2:4, and the sparse ones.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

/* struct tfs_scaled.arg: which part it is, 0 for none; words that a column of zero points has, 0 where they aren't packed */
enum { ZERO_POINT, G_IDX, ZERO_WORDS };

static uint64_t blocks(uint64_t n, uint64_t block)
{
	return n / block + !!(n % block);
}

/* --- What is made when it is read ------------------------------------------------------------------------------------ */

static uint32_t word_at(const uint8_t *bytes, uint64_t at)
{
	uint32_t word;

	memcpy(&word, bytes + at * sizeof word, sizeof word);
	return le32toh(word);
}

/* Zero points are packed down the columns of the scales, as the codes are along rows, and have the same number added. */
static void unpack_zeros(const struct tfs_scaled *w, const uint8_t *bytes, float *ret)
{
	const uint64_t groups = w->per_row ? w->per_row : 1, rows = w->n_scales / w->experts / groups;
	const uint32_t mask = (1u << w->bits) - 1;

	for (uint64_t e = 0; e < w->experts; e++, bytes += w->arg[ZERO_WORDS] * groups * sizeof(uint32_t)) {
		for (uint64_t r = 0; r < rows; r++) {
			const uint64_t bit = w->packing == TFS_PACKED_WORDS ?
						     r / (32 / w->bits) * 32 + r % (32 / w->bits) * w->bits :
						     r * w->bits;
			const uint64_t row = bit / 32 * groups;
			const unsigned shift = bit % 32;

			for (uint64_t g = 0; g < groups; g++) {
				uint32_t x = word_at(bytes, row + g) >> shift;

				if (shift + w->bits > 32)
					x |= word_at(bytes, row + groups + g) << (32 - shift);
				*ret++ = (float)(x & mask);
			}
		}
	}
}

/* Where one is -1, none was ever set (forward_helpers.py): then groups follow each other. */
static int prepare_groups(const struct tfs_scaled *w, const uint8_t *bytes, uint32_t *ret, struct tfs_error *err)
{
	bool unset = false;

	for (uint64_t c = 0; c < w->cols; c++) {
		ret[c] = word_at(bytes, c);
		unset |= ret[c] == UINT32_MAX;
	}
	for (uint64_t c = 0; c < w->cols; c++) {
		if (unset)
			ret[c] = (uint32_t)(c / w->col_block);
		if (ret[c] >= w->per_row)
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its weight_g_idx has group %" PRIu32 ", of %" PRIu64,
					     ret[c], w->per_row);
	}
	return 0;
}

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	const uint64_t zero = w->arg[ZERO_POINT], g_idx = w->arg[G_IDX];
	const int half = 1 << (w->bits - 1);

	tfs_floats_of(w->parts[1], w->parts[1]->dtype->name, parts[1], ret->scale);
	if (!zero) {
		for (int i = 0; i < 2 * half; i++)
			ret->table[i] = (float)(i - half);
	} else if (w->arg[ZERO_WORDS]) {
		unpack_zeros(w, parts[zero], ret->offset);
	} else {
		for (size_t i = 0; i < w->n_scales; i++)
			ret->offset[i] = (float)((int8_t)parts[zero][i] + half);
	}
	return g_idx ? prepare_groups(w, parts[g_idx], ret->group, err) : 0;
}

static const struct tfs_scaled_ops ops = { .prepare = prepare };

/* --- Bits and layout ------------------------------------------------------------------------------------------------- */

struct found {
	const struct tfs_tensor *codes, *scale, *shape, *zero, *g_idx;
	uint64_t rows, words; /* a row's; rows: of one expert */
	uint64_t groups;      /* 0: one scale for all */
	uint64_t cols;
};

/* How codes may be packed: in a stream, or, before 2026-05, so many as fit to a word. The same where bits divide 32. */
struct layout {
	unsigned bits;
	bool stream;
};

static uint64_t words_of(uint64_t n, struct layout l)
{
	/* n is of a tensor in memory, so this fits */
	return l.stream ? blocks(n, 32) * l.bits - (blocks(n, 32) * 32 - n) * l.bits / 32 : blocks(n, 32 / l.bits);
}

/* What the configuration says of all weights; 0 where it says nothing, or several things. */
struct said {
	unsigned any_bits; /* 1 << bits, of all that there are */
	int64_t bits, group_size;
	unsigned symmetric_bits, unordered_bits; /* the same of groups that may have no zero points, or no g_idx */
};

static struct said configured(struct tfs_schemes *s)
{
	const json_t *groups = json_object_get(tfs_schemes_config(s), "config_groups");
	struct said said = { 0 };
	bool first = true;
	const char *key;
	json_t *group;

	json_object_foreach((json_t *)(uintptr_t)groups, key, group)
	{
		const json_t *weights = json_object_get(group, "weights");
		const int64_t bits = tfs_config_integer(weights, "num_bits", 0),
			      size = tfs_config_integer(weights, "group_size", 0);

		if (bits < 1 || bits > 8)
			continue;
		said.any_bits |= 1u << bits;
		if (!json_is_false(json_object_get(weights, "symmetric")))
			said.symmetric_bits |= 1u << bits;
		if (strcmp(tfs_config_string(weights, "actorder"), "group") != 0)
			said.unordered_bits |= 1u << bits;
		said.bits = first || said.bits == bits ? bits : 0;
		said.group_size = first || said.group_size == size ? size : 0;
		first = false;
	}
	return said;
}

/* So much of a tensor is read where the layouts can't be told by shapes, and so many words have to agree. */
enum { HEAD = 4096, ENOUGH = 32 };

/* Does any of the first words have bits that codes of @bits, so many as fit to a word, leave empty? -1: it isn't known. */
static int has_left_over(struct tfs_schemes *s, const struct tfs_tensor *t, unsigned bits)
{
	struct tfs_tensor head = *t;
	uint8_t bytes[HEAD];
	int64_t n;

	if (head.nbytes > sizeof bytes)
		head.nbytes = sizeof bytes;
	n = tfs_schemes_read(s, &head, bytes, sizeof bytes) / (int64_t)sizeof(uint32_t);
	for (int64_t i = 0; i < n; i++)
		if (word_at(bytes, (uint64_t)i) >> (32 / bits * bits))
			return 1;
	return n >= ENOUGH ? 0 : -1;
}

/* The layouts, of bits out of @mask, that make so many words of a row, and how many. */
static unsigned layouts_of(const struct found *f, unsigned mask, struct layout ret[16])
{
	/* One word is the same in both, unless zero points are packed too. */
	const bool one = f->words == 1 && !(f->zero && tfs_is(f->zero, "I32"));
	unsigned n = 0;

	for (unsigned bits = 1; bits <= 8; bits++) {
		const struct layout stream = { bits, true }, words = { bits, false };

		if (!(mask & 1u << bits))
			continue;
		if (words_of(f->cols, stream) == f->words)
			ret[n++] = stream;
		if (32 % bits && !one && words_of(f->cols, words) == f->words)
			ret[n++] = words;
	}
	return n;
}

/*
 * Which layout it is: of a number of bits that the configuration has, if any of these fits. Where two do, as with narrow rows, what
 * one leaves empty tells. False: it can't be told.
 */
static bool find_layout(struct tfs_schemes *s, const struct found *f, const struct said *said, struct layout *ret)
{
	struct layout fits[16];
	unsigned n = layouts_of(f, said->any_bits, fits), left = 0;

	if (!n)
		n = layouts_of(f, ~0u, fits);
	for (unsigned i = 0; i < n; i++) {
		const int over = n == 1 || fits[i].stream ? 1 : has_left_over(s, f->codes, fits[i].bits);

		if (over < 0)
			return false;
		if (!over) { /* no codes of another layout are so by chance */
			*ret = fits[i];
			return true;
		}
		if (n == 1 || fits[i].stream)
			fits[left++] = fits[i];
	}
	if (left == 1)
		*ret = fits[0];
	return left == 1;
}

/* --- Shapes ---------------------------------------------------------------------------------------------------------- */

/*
 * Kimi-K2 has 70,000 of these weights, and a weight_shape beside each, all of which would have to be read at mount. It says
 * nothing new where the configuration has one number of bits, which divides 32, and one size of groups. Columns are a multiple of
 * the number of groups; if a column more in each group is at least a word more, only one multiple makes so many words; and it has
 * to be the one that is configured.
 */
static bool cols_of_groups(const struct found *f, const struct said *said)
{
	const uint64_t bits = (uint64_t)said->bits;
	uint64_t cols;

	return bits && !(32 % bits) && said->group_size > 0 && f->groups * bits >= 32 &&
	       !ckd_mul(&cols, f->groups, (uint64_t)said->group_size) && cols / (32 / bits) == f->words && !(cols % (32 / bits));
}

/* Those of weight_shape, which is [rows, cols], with whatever is in front of it in the codes, if it has that. */
static bool cols_of_shape(struct tfs_schemes *s, struct found *f)
{
	int64_t dims[TFS_MAX_DIMS];
	const unsigned ndim = f->codes->ndim;
	const size_t n = f->shape ? tfs_n_elems(f->shape) : 0, skip = ndim - n;

	if (!f->shape || !tfs_is(f->shape, "I64") || (n != 2 && n != ndim) || tfs_schemes_read(s, f->shape, dims, sizeof dims) < 0)
		return false;
	for (unsigned i = 0; i + 1 < n; i++)
		if (le64toh((uint64_t)dims[i]) != f->codes->shape[skip + i])
			return false;
	f->cols = le64toh((uint64_t)dims[n - 1]);
	return f->cols && f->cols / 32 <= f->words; /* of a bit each, at least */
}

static bool same_but_last(const struct tfs_tensor *a, const struct tfs_tensor *b, unsigned n_last)
{
	return a->ndim == b->ndim && !memcmp(a->shape, b->shape, (a->ndim - n_last) * sizeof *a->shape);
}

static int refuse(struct tfs_schemes *s, const struct found *f, const char *why)
{
	tfs_schemes_hide(s, f->scale);
	tfs_schemes_hide(s, f->shape);
	tfs_schemes_hide(s, f->zero);
	tfs_schemes_hide(s, f->g_idx);
	return tfs_schemes_refuse(s, f->codes, tfs_scheme_ct_pack.name, "%s", why);
}

static int mismatch(struct tfs_schemes *s, const struct found *f, const struct tfs_tensor *other, const char *what)
{
	char shape[TFS_SHAPE_SIZE], others[TFS_SHAPE_SIZE], why[3 * TFS_SHAPE_SIZE];

	snprintf(why, sizeof why, "%s of %s %s doesn't go with words of %s %s", what, other->dtype->name,
		 tfs_shape_of(other, others), f->codes->dtype->name, tfs_shape_of(f->codes, shape));
	return refuse(s, f, why);
}

/* The words of a column of zero points; 0: not packed. False: neither. */
static bool zero_words(const struct found *f, struct layout l, uint64_t *ret)
{
	const struct tfs_tensor *z = f->zero, *scale = f->scale;

	*ret = 0;
	if (tfs_is(z, "I8")) /* before 2025-04 (ed3ac7c1), and those of one scale for all */
		return tfs_n_elems(z) == tfs_n_elems(scale) && (!f->groups || same_but_last(z, scale, 0));
	*ret = words_of(f->rows, l);
	return tfs_is(z, "I32") && f->groups && same_but_last(z, scale, 2) && z->shape[z->ndim - 2] == *ret &&
	       z->shape[z->ndim - 1] == f->groups;
}

/* What weights of so many bits always have here, and this one lacks. NULL: nothing. */
static const char *lacks(const struct found *f, const struct said *said, unsigned bits)
{
	if (!(said->any_bits >> bits & 1))
		return NULL;
	if (!f->zero && !(said->symmetric_bits >> bits & 1))
		return "there is no weight_zero_point, and it isn't symmetric";
	if (!f->g_idx && f->groups > 1 && !(said->unordered_bits >> bits & 1))
		return "there is no weight_g_idx, and the groups are in an order of their own (actorder)";
	return NULL;
}

static int add(struct tfs_schemes *s, const struct found *f, const struct said *said, struct layout l)
{
	const struct tfs_tensor *t = f->codes;
	uint64_t shape[TFS_MAX_DIMS];
	struct tfs_scaled w = { .scheme = tfs_scheme_ct_pack.name,
				.formula = "(code - zero) * scale",
				.ops = &ops,
				.n_parts = 2,
				.parts = { t, f->scale },
				.bits = (uint8_t)l.bits,
				.value = TFS_VALUE_TABLE,
				.packing = l.stream ? TFS_PACKED_ROWS : TFS_PACKED_WORDS,
				.factor = 1,
				.experts = tfs_n_elems(t) / f->words / f->rows,
				.rows = f->rows,
				.cols = f->cols,
				.row_bytes = f->words * sizeof(uint32_t),
				.row_block = 1,
				.col_block = 1,
				.n_scales = tfs_n_elems(f->scale) };

	if (lacks(f, said, l.bits))
		return refuse(s, f, lacks(f, said, l.bits));
	memcpy(shape, t->shape, t->ndim * sizeof *shape);
	shape[t->ndim - 1] = f->cols;
	if (f->groups) {
		w.col_block = f->cols / f->groups;
		w.group_size = f->groups > 1 ? w.col_block : 0;
		w.per_col = f->groups > 1;
		w.per_row = f->groups;
		w.per_expert = f->groups * f->rows;
	}
	if (f->zero) {
		if (!zero_words(f, l, &w.arg[ZERO_WORDS]))
			return mismatch(s, f, f->zero, "weight_zero_point");
		w.form = TFS_SCALED_MINUS_TIMES;
		w.value = TFS_VALUE_UNSIGNED;
		w.arg[ZERO_POINT] = w.n_parts;
		w.parts[w.n_parts++] = f->zero;
	}
	if (f->g_idx && f->groups > 1) {
		if (!tfs_is(f->g_idx, "I32") || tfs_n_elems(f->g_idx) != f->cols)
			return mismatch(s, f, f->g_idx, "weight_g_idx");
		w.has_groups = true;
		w.arg[G_IDX] = w.n_parts;
		w.parts[w.n_parts++] = f->g_idx;
	}
	tfs_scaled_mark(&w, f->shape);
	if (!w.has_groups)
		tfs_scaled_mark(&w, f->g_idx);
	return tfs_schemes_add(s, t->name, t->name_len - strlen("_packed"), shape, t->ndim, &w);
}

static int find_packed(struct tfs_schemes *s, const struct tfs_tensor *t, size_t drop)
{
	const unsigned ndim = t->ndim;
	const struct said said = configured(s);
	struct found f = { .codes = t,
			   .scale = tfs_schemes_part(s, t, drop, "_scale"),
			   .shape = tfs_schemes_part(s, t, drop, "_shape"),
			   .zero = tfs_schemes_part(s, t, drop, "_zero_point"),
			   .g_idx = tfs_schemes_part(s, t, drop, "_g_idx") };
	struct layout l;

	if (!f.scale)
		return refuse(s, &f, "there is no weight_scale");
	if (ndim < 2 || !tfs_n_elems(t) || !tfs_is_float(f.scale) || !tfs_n_elems(f.scale))
		return mismatch(s, &f, f.scale, "weight_scale");
	f.rows = t->shape[ndim - 2];
	f.words = t->shape[ndim - 1];
	if (same_but_last(t, f.scale, 1))
		f.groups = f.scale->shape[ndim - 1];
	else if (tfs_n_elems(f.scale) > 1)
		return mismatch(s, &f, f.scale, "weight_scale");
	if (cols_of_groups(&f, &said)) {
		f.cols = f.groups * (uint64_t)said.group_size;
		return add(s, &f, &said, (struct layout){ (unsigned)said.bits, true });
	}
	if (!f.shape)
		return refuse(s, &f, "there is no weight_shape");
	if (!cols_of_shape(s, &f))
		return refuse(s, &f, "its weight_shape can't be read, or isn't that of its words");
	if (f.groups && f.cols % f.groups)
		return mismatch(s, &f, f.scale, "weight_scale");
	if (!find_layout(s, &f, &said, &l))
		return refuse(s, &f, "words and weight_shape leave open how many bits a code has, or fit none");
	return add(s, &f, &said, l);
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const char packed[] = "weight_packed", mask[] = "bitmask";
	size_t drop = sizeof packed - 1;

	if (tfs_is(t, "I32") && tfs_name_ends(t, packed) && (t->name_len == drop || t->name[t->name_len - drop - 1] == '.')) {
		if (!tfs_schemes_part(s, t, drop, "scale_packed"))
			return find_packed(s, t, strlen("_packed"));
		/* marlin-24, which compressed-tensors has given up */
		tfs_schemes_hide(s, tfs_schemes_part(s, t, drop, "meta"));
		return tfs_schemes_refuse(s, t, "marlin-24", "Marlin's layout of 2:4 sparse weights is not supported");
	}
	drop = sizeof mask - 1;
	if (!tfs_is(t, "U8") || !tfs_name_ends(t, mask) || t->name_len == drop || t->name[t->name_len - drop - 1] != '.')
		return 0;
	const struct tfs_tensor *compressed = tfs_schemes_part(s, t, drop, "compressed");
	if (!compressed)
		return 0;
	/* sparse-bitmask and sparse-24-bitmask, of values or of codes */
	tfs_schemes_hide(s, tfs_schemes_part(s, t, drop, "shape"));
	tfs_schemes_hide(s, tfs_schemes_part(s, t, drop, "row_offsets"));
	tfs_schemes_hide(s, t);
	return tfs_schemes_refuse(s, compressed, "sparse-bitmask", "weights without their zeros are not supported");
}

const struct tfs_scheme tfs_scheme_ct_pack = { "pack-quantized", find };
