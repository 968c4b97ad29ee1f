/* SPDX-License-Identifier: MIT */
/*
 * HQQ: the weight as a matrix of groups, packed in slabs of rows, high bits first, with zero points that aren't whole numbers.
 * hqq, core/quantize.py Quantizer.dequantize(), core/bitpack.py, core/utils.py encode_safetensor_type().
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "model/schemes.h"

/* A packing: the rows of as many slabs as there are in a unit, each @step bits below the one before it, from @top on. */
static const struct packing {
	const char *name;
	uint8_t unit; /* bytes */
	uint8_t bits, slabs, top, step;
} packings[] = {
	{ "8bit_u8", 1, 8, 1, 0, 0 },				    /* of 5 and 6 bits too */
	{ "4bit_u8", 1, 4, 2, 4, 4 }, { "2bit_u8", 1, 2, 4, 6, 2 }, /* of 1.58 too */
	{ "1bit_u8", 1, 1, 8, 7, 1 }, { "3bit_32", 4, 3, 10, 27, 3 },
};

/* struct tfs_scaled.arg */
enum { PACKING, SLAB_ROWS };

static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *codes)
{
	const struct packing *p = &packings[w->arg[PACKING]];
	const uint8_t mask = (uint8_t)((1u << p->bits) - 1);
	const uint64_t cols = w->cols;

	for (uint64_t r = 0; r < w->rows; r++, codes += cols) {
		const uint8_t *row = stored + r % w->arg[SLAB_ROWS] * cols * p->unit;
		const unsigned shift = p->top - (unsigned)(r / w->arg[SLAB_ROWS]) * p->step;

		if (p->unit == 1) {
			for (uint64_t c = 0; c < cols; c++)
				codes[c] = row[c] >> shift & mask;
			continue;
		}
		for (uint64_t c = 0; c < cols; c++) {
			uint32_t word;

			memcpy(&word, row + c * sizeof word, sizeof word);
			codes[c] = (uint8_t)(le32toh(word) >> shift & mask);
		}
	}
}

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain, .unpack = unpack };

struct found {
	const struct tfs_tensor *codes, *scale, *zero, *shape, *packing;
};

/* The tensors that HQQ saves each setting of a layer as. */
static const char *const settings[] = {
	"nbits",
	"group_size",
	"axis",
	"shape",
	"packing",
	"optimize",
	"round_zero",
	"view_as_float",
	"channel_wise",
	"offload_meta",
	"unpack_view_dtype",
	"compute_dtype",
	"quant_scale",
	"quant_zero",
	"encoded_state_dict",
	"stores_quant_config",
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* The index of the packing that a text names, -1: none. */
static int read_packing(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	char text[16];
	int64_t len = t && tfs_is(t, "U8") ? tfs_schemes_read(s, t, text, sizeof text) : -1;

	for (int i = 0; i < (int)(sizeof packings / sizeof *packings); i++)
		if (len == (int64_t)strlen(packings[i].name) && !memcmp(text, packings[i].name, (size_t)len))
			return i;
	return -1;
}

/* The weight's dimensions, and how many values it has by them. 0: they can't be read, or are none. */
static uint64_t read_shape(struct tfs_schemes *s, const struct tfs_tensor *t, uint64_t dims[TFS_MAX_DIMS], unsigned *ret_ndim)
{
	const uint64_t ndim = t && tfs_is(t, "I64") ? tfs_n_elems(t) : 0;
	uint64_t n = 1;

	if (!ndim || ndim > TFS_MAX_DIMS || tfs_schemes_read(s, t, dims, TFS_MAX_DIMS * sizeof *dims) < 0)
		return 0;
	for (uint64_t i = 0; i < ndim; i++) {
		dims[i] = le64toh(dims[i]);
		if (ckd_mul(&n, n, dims[i]))
			return 0;
	}
	*ret_ndim = (unsigned)ndim;
	return n;
}

/*
 * Rows and columns of the matrix of groups, which W_q has with its rows packed: by what is packed in @n values, and by how scales
 * are spread, as [rows, 1] or [1, columns]. NULL, or why they don't fit.
 */
static const char *spread(struct tfs_scaled *w, const struct found *f, const struct packing *p, uint64_t n)
{
	const struct tfs_tensor *t = f->codes, *scale = f->scale;
	uint64_t row_bytes;

	if (t->ndim != 2 || !t->shape[0] || !t->shape[1])
		return "W_q isn't a matrix";
	/* view_as_float: the units are declared as elements of another type, of which there are fewer. */
	row_bytes = t->nbytes / t->shape[0];
	w->arg[SLAB_ROWS] = t->shape[0];
	w->cols = row_bytes / p->unit;
	if (row_bytes % p->unit || n % w->cols)
		return "W_q doesn't go with the shape";
	w->rows = n / w->cols;
	/* Only ten in a word are filled up with rows that there aren't. */
	const uint64_t rest = w->rows % p->slabs;
	if (w->rows / p->slabs + !!rest != t->shape[0] || (rest && p->unit == 1))
		return "W_q doesn't go with the shape and the packing";
	w->experts = w->row_block = w->col_block = 1;
	w->n_scales = tfs_n_elems(scale);
	if (w->n_scales != 1) {
		if (scale->ndim != 2 || (w->n_scales != w->rows && w->n_scales != w->cols))
			return "there is not one scale for each group";
		w->per_row = scale->shape[0] == w->rows && scale->shape[1] == 1;
		w->per_col = !w->per_row && scale->shape[0] == 1 && scale->shape[1] == w->cols;
		if (!w->per_row && !w->per_col)
			return "there is not one scale for each group";
	}
	w->group_size = w->per_row ? w->cols : w->per_col ? w->rows : 0;
	return tfs_is_float(f->zero) && tfs_n_elems(f->zero) == w->n_scales ? NULL : "there is not one zero for each scale";
}

static int refuse(struct tfs_schemes *s, const struct found *f, size_t drop, const char *why)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		tfs_schemes_hide(s, tfs_schemes_part(s, f->codes, drop, settings[i]));
	tfs_schemes_hide(s, f->scale);
	tfs_schemes_hide(s, f->zero);
	return tfs_schemes_refuse(s, f->codes, tfs_scheme_hqq.name, "%s", why);
}

/* @drop: bytes of "W_q" in the name of @t, or of "packing". */
static int add(struct tfs_schemes *s, const struct found *f, size_t drop)
{
	const struct tfs_tensor *t = f->codes;
	uint64_t shape[TFS_MAX_DIMS], n;
	unsigned ndim = 0;
	const int packing = read_packing(s, f->packing);
	struct tfs_scaled w = { .scheme = tfs_scheme_hqq.name,
				.formula = "(code - zero) * scale",
				.ops = &ops,
				.n_parts = 3,
				.parts = { t, f->scale, f->zero },
				.value = TFS_VALUE_UNSIGNED,
				.packing = TFS_PACKED_OTHERWISE,
				.form = TFS_SCALED_MINUS_TIMES,
				.factor = 1 };

	if (!f->scale || !tfs_is_float(f->scale) || !f->zero)
		/* scale_q, zero_q: HQQ could once quantise these too. */
		return refuse(s, f, drop, "there is no scale of numbers, or no zero");
	if (packing < 0)
		return refuse(s, f, drop, "its packing is missing, or unknown");
	n = read_shape(s, f->shape, shape, &ndim);
	if (!n)
		return refuse(s, f, drop, "its shape is missing, or can't be read");
	const char *why = spread(&w, f, &packings[packing], n);
	if (why)
		return refuse(s, f, drop, why);
	w.bits = packings[packing].bits;
	w.arg[PACKING] = (uint64_t)packing;
	const size_t len = t->name_len - drop + strlen("weight");
	cleanup_free char *name = malloc(len);
	if (!name)
		return -ENOMEM;
	memcpy(name, t->name, t->name_len - drop);
	memcpy(name + t->name_len - drop, "weight", strlen("weight"));
	for (size_t i = 0; i < N_SETTINGS; i++)
		tfs_scaled_mark(&w, tfs_schemes_part(s, t, drop, settings[i]));
	return tfs_schemes_add(s, name, len, shape, ndim, &w);
}

/*
 * @t is W_q, or its packing: which is asked about first, by the order of names, is W_q; but with view_as_float it has a type of
 * numbers, so that it isn't asked about.
 */
static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const char codes[] = "W_q", packing[] = "packing";
	const char *name = tfs_is(t, "U8") && tfs_name_ends(t, packing) ? packing : codes;
	const size_t drop = strlen(name);
	struct found f;

	if (!(tfs_is(t, "U8") || tfs_is(t, "I32")) || !tfs_name_ends(t, name) ||
	    (t->name_len > drop && t->name[t->name_len - drop - 1] != '.'))
		return 0;
	f = (struct found){ .codes = name == codes ? t : tfs_schemes_part(s, t, drop, codes),
			    .scale = tfs_schemes_part(s, t, drop, "scale"),
			    .zero = tfs_schemes_part(s, t, drop, "zero"),
			    .shape = tfs_schemes_part(s, t, drop, "shape"),
			    .packing = tfs_schemes_part(s, t, drop, packing) };
	if (!f.codes || (f.codes->code && f.codes != t))
		return 0;
	if (!f.scale && !f.zero && !f.packing && !tfs_schemes_has_config(s))
		return 0; /* only called so */
	return add(s, &f, strlen(codes));
}

const struct tfs_scheme tfs_scheme_hqq = { "hqq", find };
