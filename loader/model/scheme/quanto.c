/* SPDX-License-Identifier: MIT */
/*
 * quanto: X._data times X._scale, of 8 bits (optimum-quanto, QBytesDequantizer). Those of 4 and 2 bits, X._data._data, are refused: they
 * are in groups, [n / group, group], and the shape of the weight is nowhere in the files.
 */
#include <string.h>

#include "base/checked.h"
#include "model/schemes.h"

static const struct tfs_scaled_ops ops = { .prepare = tfs_prepare_plain };

/* A scale for each of the first axis, of weights of any rank (a convolution's have 4), as quanto keeps them: [n, 1, ..]. */
static bool spread_first(struct tfs_scaled *w, const struct tfs_tensor *t, const struct tfs_tensor *scale)
{
	if (t->ndim < 2 || scale->ndim != t->ndim || scale->shape[0] != t->shape[0])
		return false;
	w->cols = 1;
	for (unsigned i = 1; i < t->ndim; i++)
		if (scale->shape[i] != 1 || ckd_mul(&w->cols, w->cols, t->shape[i]))
			return false;
	w->experts = w->row_block = w->col_block = w->per_row = 1;
	w->rows = w->n_scales = t->shape[0];
	return true;
}

static int find(struct tfs_schemes *s, const struct tfs_tensor *t)
{
	static const char data[] = "._data", packed[] = "._data._data";
	const size_t end = sizeof data - 1;
	const bool int8 = tfs_is(t, "I8"), e4m3 = tfs_is(t, "F8_E4M3");
	char shape[TFS_SHAPE_SIZE], scales[TFS_SHAPE_SIZE];
	struct tfs_scaled w = { .scheme = tfs_scheme_quanto.name,
				.formula = "code * scale",
				.ops = &ops,
				.n_parts = 2,
				.bits = 8,
				.factor = 1,
				.value = int8 ? TFS_VALUE_SIGNED :
					 e4m3 ? TFS_VALUE_E4M3 :
						TFS_VALUE_E5M2,
				.parts = { t } };

	if (!tfs_name_ends(t, data))
		return 0;
	if (tfs_name_ends(t, packed) && tfs_schemes_part(s, t, sizeof packed - 1, "._scale"))
		return tfs_schemes_refuse(s, t, w.scheme, "it is of less than 8 bits, and nothing says of which shape");
	w.parts[1] = tfs_schemes_part(s, t, end, "._scale");
	if (!w.parts[1])
		return tfs_name_ends(t, ".weight._data") ? tfs_schemes_refuse(s, t, w.scheme, "its scale is missing") : 0;
	if ((!int8 && !e4m3 && !tfs_is(t, "F8_E5M2")) || !tfs_is_float(w.parts[1]) ||
	    (!spread_first(&w, t, w.parts[1]) && !tfs_schemes_spread(s, &w, t->shape, t->ndim, w.parts[1]))) {
		tfs_schemes_hide(s, w.parts[1]);
		return tfs_schemes_refuse(s, t, w.scheme, "scales of %s %s don't go with codes of %s %s", w.parts[1]->dtype->name,
					  tfs_shape_of(w.parts[1], scales), t->dtype->name, tfs_shape_of(t, shape));
	}
	w.row_bytes = w.cols;
	w.group_size = w.per_col ? w.col_block : 0;
	return tfs_schemes_add(s, t->name, t->name_len - end, t->shape, t->ndim, &w);
}

const struct tfs_scheme tfs_scheme_quanto = { "quanto", find };
