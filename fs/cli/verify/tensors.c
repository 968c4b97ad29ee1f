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

/* A file of a tensor that is read once: for checksums of its bytes, for its values, for both; or only to see whether it can be read. */
struct file {
	struct tfs_item item;
	const struct tfs_sum *sums; /* of its bytes; n_sums of them, adjacent */
	size_t n_sums;
	bool valued;
	struct tfs_numbers numbers; /* if it is */
};

struct tensors {
	struct tfs_verify *v;
	struct file *files;
	struct tfs_file_id *ids; /* of the same */
	size_t n, room, room_ids;
	const struct tfs_tensor *inflated; /* the last one that was counted as a CRC */
	struct tfs_ranges ranges;
	/* For each range. */
	int *codes;
	struct tfs_moments *moments;
	struct tfs_digest **digests;
};

/* --- What is read --------------------------------------------------------------------------------------------------------- */

/* Add @f, whose bytes are those of @view. */
static int add_file(struct tensors *t, const struct file *f, enum tfs_view_id view)
{
	const struct tfs_model *m = t->v->arg.model;
	const struct tfs_file_id id = { f->item.set, f->item.tensor, view };

	if (tfs_array_room(t->files, t->n, t->room) || tfs_array_room(t->ids, t->n, t->room_ids))
		return -ENOMEM;
	t->files[t->n] = *f;
	t->ids[t->n] = id;
	if (!f->n_sums)
		return tfs_ranges_add(&t->ranges, m, id, t->n++);
	/* A checksum is computed from the beginning to the end, by one thread. */
	if (tfs_array_room(t->ranges.ranges, t->ranges.n, t->ranges.room))
		return -ENOMEM;
	t->ranges.ranges[t->ranges.n++] = (struct tfs_range){ t->n++, 0, tfs_body_size(m, id) };
	return 0;
}

/* Is @t read to the end of a deflated member of a zip file? Then its CRC is checked: content/inflate.c. */
static bool checks_crc(const struct tfs_tensor *t)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t len = t->nbytes;

	if (!p || p->coding != TFS_DEFLATED || !len)
		return false;
	for (unsigned i = 0; p->strides && i < t->ndim; i++)
		len = (i ? len : t->dtype->block_bytes) + (t->shape[i] - 1) * p->strides[i];
	return p->skip + len == p->unpacked;
}

/* Tensors may be parts of one member, and are adjacent then. */
static void count_crc(struct tensors *t, struct tfs_item item)
{
	const struct tfs_tensor *is = tfs_item_tensor(t->v->arg.model, item), *was = t->inflated;

	if (!checks_crc(is) || (was && was->source == is->source && was->offset == is->offset))
		return;
	t->inflated = is;
	t->v->crcs++;
}

/* @read: not only if there are sums of it. Where values aren't its bytes, as of codes, there are two files. */
static int add_tensor(struct tensors *t, struct tfs_item item, bool read)
{
	struct file f = { .item = item };
	int r = 0;

	f.sums = tfs_sums_of_tensor(&t->v->sums, item, &f.n_sums);
	f.valued = read && tfs_numbers_of(tfs_item_tensor(t->v->arg.model, item), &f.numbers);
	t->v->tensors += read;
	if (read)
		count_crc(t, item);
	if (f.n_sums && f.valued && f.numbers.view != TFS_RAW) {
		const struct file bytes = { .item = item, .sums = f.sums, .n_sums = f.n_sums };

		r = add_file(t, &bytes, TFS_RAW);
		f.n_sums = 0;
	}
	if (!r && (read || f.n_sums))
		r = add_file(t, &f, f.valued ? f.numbers.view : TFS_RAW);
	return r;
}

/* Everything once: what weights are computed from is read for these. */
static int add_all(struct tensors *t)
{
	const struct tfs_model *m = t->v->arg.model;
	int r = 0;

	for (uint32_t s = 0; s < m->n_sets; s++) {
		const struct tfs_set *set = &m->sets[s];

		for (size_t i = 0; i < set->n_tensors && !r; i++)
			r = add_tensor(t, (struct tfs_item){ s, set->by_offset[i] }, !tfs_set_scaled_of(set, set->by_offset[i]));
		for (uint32_t i = 0; i < set->n_scaled && !r; i++)
			r = add_tensor(t, (struct tfs_item){ s, (uint32_t)set->n_tensors + i }, true);
	}
	return r;
}

/* --- What is found -------------------------------------------------------------------------------------------------------- */

static int visit(void *arg, size_t range, const uint8_t *data, size_t len)
{
	struct tensors *t = arg;
	const struct file *f = &t->files[t->ranges.ranges[range].item];

	if (f->n_sums)
		tfs_digest_add(t->digests[range], data, len);
	if (f->valued)
		tfs_moments_check(&t->moments[range], &f->numbers, data, len / f->numbers.width);
	return 0;
}

static void judge_sums(struct tensors *t, const struct file *f, size_t range)
{
	const uint32_t node = tfs_item_tensor(t->v->arg.model, f->item)->source;
	char hex[65];

	tfs_digest_end(t->digests[range], hex);
	for (size_t i = 0; i < f->n_sums; i++) {
		t->v->checked[TFS_XXH128]++;
		if (strcmp(hex, f->sums[i].hex) != 0)
			tfs_verify_find(t->v, TFS_DAMAGED, node, &f->item, "%s is %s, but by %s %s", tfs_digest_names[TFS_XXH128],
					hex, f->sums[i].by, f->sums[i].hex);
	}
}

static void judge_values(struct tensors *t, const struct file *f, const struct tfs_moments *m)
{
	const struct tfs_item *item = &f->item;
	const uint32_t node = tfs_item_tensor(t->v->arg.model, *item)->source;

	if (m->nan)
		tfs_verify_find(t->v, TFS_VALUES, node, item, "%" PRIu64 " of %" PRIu64 " values are NaN", m->nan, m->n);
	if (m->inf || m->neg_inf)
		tfs_verify_find(t->v, TFS_VALUES, node, item, "%" PRIu64 " of %" PRIu64 " values are infinite", m->inf + m->neg_inf,
				m->n);
	if (m->n && m->zeros == m->n)
		tfs_verify_find(t->v, TFS_NOTE, node, item, m->n == 1 ? "its value is zero" : "all values are zero");
}

/* What reading @f has come to; range number @first is its first one. */
static int judge_file(struct tensors *t, const struct file *f, size_t first, const struct tfs_moments *moments, int code)
{
	if (code == -ENOMEM || code == -ECANCELED)
		return code;
	if (code) {
		tfs_verify_find(t->v, TFS_DAMAGED, tfs_item_tensor(t->v->arg.model, f->item)->source, &f->item, "can't be read: %s",
				strerror(-code));
		return 0;
	}
	if (f->n_sums)
		judge_sums(t, f, first);
	judge_values(t, f, moments);
	return 0;
}

/* The ranges of a file are adjacent. */
static int judge(struct tensors *t)
{
	int r = 0;

	for (size_t range = 0; range < t->ranges.n && !r;) {
		const size_t i = t->ranges.ranges[range].item, first = range;
		struct tfs_moments all = { 0 };
		int code = 0;

		for (; range < t->ranges.n && t->ranges.ranges[range].item == i; range++) {
			code = code ? code : t->codes[range];
			tfs_moments_merge(&all, &t->moments[range]);
		}
		r = judge_file(t, &t->files[i], first, &all, code);
	}
	return r;
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
		if (!t->files[t->ranges.ranges[i].item].n_sums)
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
