/* SPDX-License-Identifier: MIT */
#include "format/draft.h"

#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/scan.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "storage/storage.h"

struct tfs_draft_row {
	struct tfs_draft t;
	const char *shown; /* the name that it gets */
	size_t shown_len;
};

void tfs_drafts_init(struct tfs_drafts *d, const struct tfs_input *in, struct tfs_catalog *catalog, struct tfs_error *err)
{
	*d = (struct tfs_drafts){ .catalog = catalog, .in = in, .err = err };
}

void tfs_drafts_fini(struct tfs_drafts *d)
{
	free(d->all);
	free(d->runs);
	free(d->paths);
	tfs_arena_fini(&d->arena);
}

/* --- Adding ---------------------------------------------------------------------------------------------------------- */

static int check_name(struct tfs_drafts *d, const struct tfs_draft *t)
{
	size_t n_left_out;

	tfs_catalog_left_out(d->catalog, &n_left_out);
	if (d->n + n_left_out >= TFS_DRAFT_MAX_TENSORS)
		return tfs_error_set(d->err, -EINVAL, t->at, "more than %u tensors", TFS_DRAFT_MAX_TENSORS);
	if (t->name_len > TFS_DRAFT_MAX_NAME)
		return tfs_error_set(d->err, -EINVAL, t->at, "the name of a tensor has %zu bytes, more than %u", t->name_len,
				     TFS_DRAFT_MAX_NAME);
	if (!tfs_utf8_valid(t->name, t->name_len))
		return tfs_error_set(d->err, -EINVAL, t->at, "the name of a tensor isn't valid UTF-8");
	return 0;
}

int tfs_drafts_leave_out(struct tfs_drafts *d, const struct tfs_draft *t, const char *fmt, ...)
{
	char why[sizeof((struct tfs_error *)0)->what];
	int r = check_name(d, t);
	va_list ap;

	if (r)
		return r;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	return tfs_catalog_leave_out(d->catalog, t->name, t->name_len, t->at, "%s", why);
}

/* All that it points to, in the arena. */
static int copy(struct tfs_drafts *d, const struct tfs_draft *from, struct tfs_draft *to)
{
	const size_t dims = from->ndim * sizeof *from->shape, n = from->scales.n;
	uint64_t *shape = tfs_arena_array(&d->arena, from->ndim, 2 * sizeof *shape, alignof(uint64_t));
	float *scales = tfs_arena_array(&d->arena, n, 2 * sizeof *scales, alignof(float));

	*to = *from;
	to->name = tfs_arena_copy(&d->arena, from->name, from->name_len);
	to->location = from->location ? tfs_arena_copy(&d->arena, from->location, from->location_len) : NULL;
	if (!to->name || !shape || !scales || (from->location && !to->location))
		return -ENOMEM;
	if (dims)
		memcpy(shape, from->shape, dims);
	to->shape = shape;
	if (from->strides && dims)
		to->strides = memcpy(shape + from->ndim, from->strides, dims);
	if (from->scales.scales)
		to->scales.scales = memcpy(scales, from->scales.scales, n * sizeof *scales);
	if (from->scales.zeros)
		to->scales.zeros = memcpy(scales + n, from->scales.zeros, n * sizeof *scales);
	return 0;
}

int tfs_drafts_add(struct tfs_drafts *d, const struct tfs_draft *t)
{
	uint64_t nbytes = 0, end;
	int r = check_name(d, t);

	if (r)
		return r;
	if (t->ndim > TFS_MAX_DIMS)
		return tfs_drafts_leave_out(d, t, "%u dimensions; the limit is %d", t->ndim, TFS_MAX_DIMS);
	if (tfs_dtype_nbytes_padded(t->dtype, t->shape, t->ndim, &nbytes))
		return tfs_drafts_leave_out(d, t, "the shape has more than 2^64-1 bits");
	if (nbytes != t->stored)
		return tfs_drafts_leave_out(d, t, "dtype %s and the shape make %" PRIu64 " bytes, but %" PRIu64 " are stored",
					    t->dtype->name, nbytes, t->stored);
	if (!t->location && !t->run && (ckd_add(&end, t->offset, nbytes) || end > d->in->size))
		return tfs_drafts_leave_out(d, t, "%" PRIu64 " bytes at %" PRIu64 "; the file ends at byte %" PRIu64, nbytes,
					    t->offset, d->in->size);
	if (tfs_share_scratch(d->in->share, sizeof *d->all + 3 * sizeof(void *) + t->name_len + 2 * t->ndim * sizeof *t->shape +
						    2 * t->scales.n * sizeof(float)) ||
	    tfs_array_room(d->all, d->n, d->room))
		return -ENOMEM;
	r = copy(d, t, &d->all[d->n].t);
	if (r)
		return r;
	d->all[d->n].shown = d->all[d->n].t.name;
	d->all[d->n++].shown_len = t->name_len;
	d->name_bytes += t->name_len;
	d->dims += t->ndim;
	return 0;
}

int tfs_drafts_run(struct tfs_drafts *d, size_t *ret_run)
{
	if (tfs_share_scratch(d->in->share, sizeof *d->runs) || tfs_array_room(d->runs, d->n_runs, d->room_runs))
		return -ENOMEM;
	d->runs[d->n_runs] = (struct tfs_run){ .number = d->n_runs, .first = d->n_paths, .total = UINT64_MAX };
	*ret_run = ++d->n_runs;
	return 0;
}

void tfs_drafts_total(struct tfs_drafts *d, uint64_t total)
{
	d->runs[d->n_runs - 1].total = total;
}

int tfs_drafts_path(struct tfs_drafts *d, const char *path, size_t len)
{
	if (tfs_share_scratch(d->in->share, sizeof *d->paths + len + 1) || tfs_array_room(d->paths, d->n_paths, d->room_paths))
		return -ENOMEM;
	d->paths[d->n_paths] = tfs_arena_copy(&d->arena, path, len);
	if (!d->paths[d->n_paths])
		return -ENOMEM;
	d->n_paths++;
	d->runs[d->n_runs - 1].n++;
	return 0;
}

/* --- All of them ----------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct tfs_draft_row *x = a, *y = b;

	return tfs_name_cmp(x->t.name, x->t.name_len, y->t.name, y->t.name_len);
}

/* Append `~2` to the second with a name, and so on; @order is by name. No two such names are equal, but the file may have one. */
static int rename_others(struct tfs_drafts *d, const void *const *order)
{
	size_t nth = 1;

	for (size_t i = 1; i < d->n; i++) {
		struct tfs_draft_row *row = (struct tfs_draft_row *)order[i], renamed;
		const size_t len = row->t.name_len;
		char *s;

		if (by_name(order[i - 1], row)) {
			nth = 1;
			continue;
		}
		if (d->strict) {
			char quoted[TFS_QUOTE_SIZE];

			return tfs_error_set(d->err, -EINVAL, row->t.at, "tensor %s: duplicate name",
					     tfs_quote(quoted, sizeof quoted, row->t.name, len));
		}
		if (tfs_share_scratch(d->in->share, len + 24) || !(s = tfs_arena_alloc(&d->arena, len + 24, 1)))
			return -ENOMEM;
		memcpy(s, row->t.name, len);
		renamed.t.name = s;
		do
			renamed.t.name_len = len + sprintf(s + len, "~%zu", ++nth);
		while (tfs_sorted_have(order, d->n, &renamed, by_name));
		row->shown = s;
		row->shown_len = renamed.t.name_len;
		d->name_bytes += row->shown_len - len;
	}
	return 0;
}

/* The tensor added to the catalog last is codes. */
static int add_recipe(struct tfs_drafts *d, const struct tfs_draft_scales *s)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(d->catalog, &n) + n - 1;
	struct tfs_recipe recipe = {
		.kind = s->affine ? TFS_RECIPE_AFFINE : TFS_RECIPE_GIVEN,
		.op = s->op,
		.parts[TFS_RECIPE_CODES] = { t->name, t->name_len },
		.args[TFS_RECIPE_AXIS] = s->axis,
		.numbers = { s->scales, s->zeros, s->n, s->by, s->plus, s->round },
		.wrong = s->wrong,
	};

	return tfs_catalog_add_recipe(d->catalog, &recipe);
}

static int add_row(struct tfs_drafts *d, const struct tfs_draft_row *row)
{
	const struct tfs_draft *t = &row->t;
	const struct tfs_encoding encoding = { .coding = TFS_STORED, .swap = t->swap, .strides = t->strides, .length = t->stored };
	int r;

	if (t->run && !d->runs[t->run - 1].n)
		return tfs_drafts_leave_out(d, t, "no file is named that has its bytes");
	r = tfs_catalog_add(d->catalog, row->shown, row->shown_len, t->dtype, t->shape, t->ndim, t->offset, t->stored);

	if (!r && (t->swap > 1 || t->strides) && t->stored)
		r = tfs_catalog_encode(d->catalog, NULL, &encoding);
	if (!r && t->location)
		r = tfs_catalog_external(d->catalog, t->location, t->location_len);
	if (!r && t->run)
		r = tfs_catalog_joined(d->catalog, &d->runs[t->run - 1], d->paths + d->runs[t->run - 1].first);
	if (!r && t->scales.op)
		r = add_recipe(d, &t->scales);
	return r;
}

int tfs_drafts_catalog(struct tfs_drafts *d)
{
	cleanup_free const void **order = reallocarray(NULL, d->n + 1, 2 * sizeof *order); /* n may be 0 */
	int r;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < d->n; i++)
		order[i] = &d->all[i];
	tfs_sort(order, d->n, order + d->n, by_name);
	r = rename_others(d, order);
	if (!r)
		r = tfs_catalog_reserve(d->catalog, d->n, d->name_bytes, d->dims);
	for (size_t i = 0; i < d->n && !r; i++)
		r = add_row(d, &d->all[i]);
	return r;
}
