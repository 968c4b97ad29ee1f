/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "cli/moments.h"
#include "cli/reading.h"
#include "cli/verify/digest.h"
#include "cli/verify/impl.h"
#include "content/values.h"

/* A tensor that is read: its bytes, for a checksum or only to see whether they can be read, or its values. */
struct file {
	struct tfs_item item;
	const struct tfs_sum *sum; /* NULL: none */
	bool valued;
	struct tfs_numbers numbers; /* if it is */
};

struct tensors {
	struct tfs_verify *v;
	struct file *files;
	struct tfs_file_id *ids; /* of the same */
	size_t n, room, room_ids;
	struct tfs_ranges ranges;
	/* For each range. */
	int *codes;
	struct tfs_moments *moments;
	struct tfs_digest **digests;
};

/* --- What is read --------------------------------------------------------------------------------------------------------- */

static int add_file(struct tensors *t, struct tfs_item item, const struct tfs_sum *sum)
{
	const struct tfs_model *m = t->v->arg.model;
	struct file f = { .item = item, .sum = sum };

	f.valued = !sum && tfs_numbers_of(tfs_item_tensor(m, item), &f.numbers);
	const struct tfs_file_id id = { item.set, item.tensor, f.valued ? f.numbers.view : TFS_RAW };
	if (tfs_array_room(t->files, t->n, t->room) || tfs_array_room(t->ids, t->n, t->room_ids))
		return -ENOMEM;
	t->files[t->n] = f;
	t->ids[t->n] = id;
	/* A checksum is computed from the beginning to the end, by one thread. */
	if (!sum)
		return tfs_ranges_add(&t->ranges, m, id, t->n++);
	if (tfs_array_room(t->ranges.ranges, t->ranges.n, t->ranges.room))
		return -ENOMEM;
	t->ranges.ranges[t->ranges.n++] = (struct tfs_range){ t->n++, 0, tfs_body_size(m, id) };
	return 0;
}

/* Everything once: what weights are computed from is read for these. */
static int add_set(struct tensors *t, uint32_t set)
{
	const struct tfs_set *s = &t->v->arg.model->sets[set];
	int r = 0;

	for (size_t i = 0; i < s->n_tensors && !r; i++) {
		const uint32_t k = s->by_offset[i];

		if (!tfs_set_scaled_of(s, k))
			r = add_file(t, (struct tfs_item){ set, k }, NULL);
	}
	for (uint32_t i = 0; i < s->n_scaled && !r; i++)
		r = add_file(t, (struct tfs_item){ set, (uint32_t)s->n_tensors + i }, NULL);
	return r;
}

static int add_all(struct tensors *t)
{
	const struct tfs_verify *v = t->v;
	int r = 0;

	for (uint32_t s = 0; s < v->arg.model->n_sets && !r; s++)
		r = add_set(t, s);
	for (size_t i = 0; i < v->sums.n && !r; i++)
		if (v->sums.all[i].node == UINT32_MAX)
			r = add_file(t, v->sums.all[i].item, &v->sums.all[i]);
	return r;
}

/* --- What is found -------------------------------------------------------------------------------------------------------- */

static int visit(void *arg, size_t range, const uint8_t *data, size_t len)
{
	struct tensors *t = arg;
	const struct file *f = &t->files[t->ranges.ranges[range].item];

	if (f->sum)
		tfs_digest_add(t->digests[range], data, len);
	else if (f->valued)
		tfs_moments_check(&t->moments[range], &f->numbers, data, len / f->numbers.width);
	return 0;
}

static void judge_sum(struct tensors *t, size_t i, size_t range)
{
	const struct tfs_sum *sum = t->files[i].sum;
	char hex[65];

	tfs_digest_end(t->digests[range], hex);
	t->v->checked[sum->kind]++;
	if (strcmp(hex, sum->hex) != 0)
		tfs_verify_find(t->v, TFS_DAMAGED, tfs_item_tensor(t->v->arg.model, t->files[i].item)->source, &t->files[i].item,
				"%s is %s, but by %s %s", tfs_digest_names[sum->kind], hex, sum->by, sum->hex);
}

static void judge_values(struct tensors *t, size_t i, const struct tfs_moments *m)
{
	const struct tfs_item *item = &t->files[i].item;
	const uint32_t node = tfs_item_tensor(t->v->arg.model, *item)->source;

	if (m->nan)
		tfs_verify_find(t->v, TFS_VALUES, node, item, "%" PRIu64 " of %" PRIu64 " values are NaN", m->nan, m->n);
	if (m->inf || m->neg_inf)
		tfs_verify_find(t->v, TFS_VALUES, node, item, "%" PRIu64 " of %" PRIu64 " values are infinite", m->inf + m->neg_inf,
				m->n);
	if (m->n && m->zeros == m->n)
		tfs_verify_find(t->v, TFS_NOTE, node, item, m->n == 1 ? "its value is zero" : "all values are zero");
}

/* The ranges of a file are adjacent. */
static int judge(struct tensors *t)
{
	for (size_t range = 0; range < t->ranges.n;) {
		const size_t i = t->ranges.ranges[range].item, first = range;
		struct tfs_moments all = { 0 };
		int r = 0;

		for (; range < t->ranges.n && t->ranges.ranges[range].item == i; range++) {
			r = r ? r : t->codes[range];
			tfs_moments_merge(&all, &t->moments[range]);
		}
		if (r == -ENOMEM || r == -ECANCELED)
			return r;
		if (r)
			tfs_verify_find(t->v, TFS_DAMAGED, tfs_item_tensor(t->v->arg.model, t->files[i].item)->source,
					&t->files[i].item, "can't be read: %s", strerror(-r));
		else if (t->files[i].sum)
			judge_sum(t, i, first);
		else
			judge_values(t, i, &all);
	}
	return 0;
}

static int make_room(struct tensors *t)
{
	const size_t n = t->ranges.n + 1;

	t->codes = calloc(n, sizeof *t->codes);
	t->moments = calloc(n, sizeof *t->moments);
	t->digests = calloc(n, sizeof(struct tfs_digest *));
	if (!t->codes || !t->moments || !t->digests)
		return -ENOMEM;
	for (size_t i = 0; i < t->ranges.n; i++) {
		if (!t->files[t->ranges.ranges[i].item].sum)
			continue;
		t->digests[i] = tfs_digest_create(TFS_XXH128, t->ranges.ranges[i].len);
		if (!t->digests[i])
			return -ENOMEM;
	}
	return 0;
}

static int scan(struct tensors *t)
{
	struct tfs_verify *v = t->v;
	struct tfs_scan scan = { .model = v->arg.model,
				 .files = t->ids,
				 .ranges = &t->ranges,
				 .progress = &v->progress,
				 .visit = visit,
				 .arg = t,
				 .codes = t->codes };
	uint64_t total = 0;
	int r = tfs_reading_open(v->arg.model, &scan.loader);

	if (r)
		return r;
	for (size_t i = 0; i < t->ranges.n; i++)
		total += t->ranges.ranges[i].len;
	tfs_progress_begin(&v->progress, "tensors", 1, 1, total);
	r = tfs_scan_run(&scan);
	tfs_progress_end(&v->progress, -1);
	tfs_reading_close(scan.loader);
	v->bytes += total;
	return r;
}

int tfs_verify_tensors(struct tfs_verify *v)
{
	struct tensors t = { .v = v };
	int r = add_all(&t);

	v->tensors = t.n;
	if (!r)
		r = make_room(&t);
	if (!r)
		r = scan(&t);
	if (!r)
		r = judge(&t);
	for (size_t i = 0; t.digests && i < t.ranges.n; i++)
		tfs_digest_destroy(t.digests[i]);
	free(t.digests);
	free(t.moments);
	free(t.codes);
	free(t.ranges.ranges);
	free(t.files);
	free(t.ids);
	return r;
}
