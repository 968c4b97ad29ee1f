/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/diff/impl.h"
#include "cli/reading.h"
#include "tensor/scaled.h"

/* What is read of two files at the same time, by one thread. */
struct job {
	size_t pair;
	struct tfs_file_id files[TFS_SIDES];
	struct tfs_numbers numbers[TFS_SIDES]; /* without values, only the width matters: 1 */
	bool one;			       /* only A, as B's bytes are the same */
	bool valued;			       /* by how much do they differ? Or only whether they do */
	bool by_value;			       /* their bytes say nothing */
	uint64_t at, len;		       /* in values, or bytes */
	/* The result. */
	bool differs;
	uint64_t equal; /* values or bytes before the first that differs */
	struct tfs_difference d;
};

struct jobs {
	struct job *jobs;
	size_t n, room;
};

struct compare {
	struct tfs_diff *diff;
	struct tfs_loader *loaders[TFS_SIDES];
	struct jobs *jobs;
	_Atomic bool stop; /* a difference was found, and that's all that was asked */
	_Atomic int error;
};

static const struct tfs_model *model_of(const struct compare *c, int side)
{
	return c->diff->sides[side].arg.model;
}

/* --- One job -------------------------------------------------------------------------------------------------------------- */

static void compare_piece(struct job *j, const uint8_t *const *data, uint64_t n)
{
	const struct tfs_numbers *f = &j->numbers[TFS_A], *g = &j->numbers[TFS_B];

	if (!j->differs && !j->by_value && !j->one && !memcmp(data[TFS_A], data[TFS_B], n * f->width)) {
		j->equal += n;
		return;
	}
	j->differs = true;
	if (j->valued)
		tfs_difference_add(&j->d, f, data[TFS_A], g, data[TFS_B], n);
}

/* What both have at the moment. 0, and *@ret_n is 0 at the end. */
static int peek(struct tfs_reading *readings, const struct job *j, const uint8_t **data, uint64_t *ret_n)
{
	*ret_n = UINT64_MAX;
	for (int i = 0; i < (j->one ? 1 : TFS_SIDES); i++) {
		size_t len;
		int r = tfs_reading_peek(&readings[i], &data[i], &len);

		if (r)
			return r;
		*ret_n = len / j->numbers[i].width < *ret_n ? len / j->numbers[i].width : *ret_n;
	}
	if (j->one)
		data[TFS_B] = data[TFS_A];
	return 0;
}

/* Has a difference been found? Values that are read may all be the same. */
static bool found(const struct job *j)
{
	return j->by_value ? j->d.differ || j->d.not_finite : j->differs;
}

static int run_job(struct compare *c, struct job *j)
{
	const int sides = j->one ? 1 : TFS_SIDES;
	struct tfs_reading readings[TFS_SIDES] = { 0 };
	const uint8_t *data[TFS_SIDES] = { NULL };
	uint64_t n;
	int r = 0;

	for (int i = 0; i < sides && !r; i++)
		r = tfs_reading_begin(&readings[i], model_of(c, i), c->loaders[i], j->files[i], j->at * j->numbers[i].width,
				      j->len * j->numbers[i].width);
	while (!r && !c->stop && !(r = peek(readings, j, data, &n)) && n) {
		compare_piece(j, data, n);
		for (int i = 0; i < sides; i++) {
			tfs_reading_take(&readings[i], n * j->numbers[i].width);
			tfs_progress_add(&c->diff->progress, n * j->numbers[i].width);
		}
		/* Without values one difference is enough. */
		if (found(j) && (c->diff->brief || !j->valued))
			break;
	}
	for (int i = 0; i < sides; i++)
		tfs_reading_end(&readings[i]);
	if (found(j) && c->diff->brief)
		c->stop = true;
	return r;
}

static void run_one(void *arg, size_t i)
{
	struct compare *c = arg;
	int none = 0, r = c->error || c->stop ? 0 : run_job(c, &c->jobs->jobs[i]);

	if (r)
		atomic_compare_exchange_strong(&c->error, &none, r);
}

static int run(struct compare *c, struct jobs *jobs, const char *step)
{
	uint64_t total = 0;

	for (size_t i = 0; i < jobs->n; i++)
		for (int side = 0; side < (jobs->jobs[i].one ? 1 : TFS_SIDES); side++)
			total += jobs->jobs[i].len * jobs->jobs[i].numbers[side].width;
	c->jobs = jobs;
	tfs_progress_begin(&c->diff->progress, step, 1, 1, total);
	tfs_parallel_for(jobs->n, tfs_readers(), run_one, c);
	tfs_progress_end(&c->diff->progress, -1);
	return c->error;
}

/* --- Which jobs ----------------------------------------------------------------------------------------------------------- */

static int add_job(struct jobs *jobs, const struct job *j)
{
	if (tfs_array_room(jobs->jobs, jobs->n, jobs->room))
		return -ENOMEM;
	jobs->jobs[jobs->n++] = *j;
	return 0;
}

/* @j for all ranges of its files. */
static int add_ranges(const struct compare *c, struct jobs *jobs, const struct job *j)
{
	struct tfs_ranges ranges[TFS_SIDES] = { 0 };
	int r = 0;

	for (int i = 0; i < TFS_SIDES && !r; i++)
		r = tfs_ranges_add(&ranges[i], model_of(c, i), j->files[i], 0);
	/* The longer ones, as one may have to be read in order. */
	const int side = ranges[TFS_B].n < ranges[TFS_A].n ? TFS_B : TFS_A;
	for (size_t i = 0; i < ranges[side].n && !r; i++) {
		struct job part = *j;

		part.at = ranges[side].ranges[i].at / j->numbers[side].width;
		part.len = ranges[side].ranges[i].len / j->numbers[side].width;
		r = part.len ? add_job(jobs, &part) : 0;
	}
	free(ranges[TFS_A].ranges);
	free(ranges[TFS_B].ranges);
	return r;
}

/* Are these the same bytes of one file, as with links in a cache? */
static bool same_place(const struct compare *c, const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return !a->encoding && !b->encoding && a->offset == b->offset &&
	       tfs_identity_unchanged(&model_of(c, TFS_A)->nodes[a->source].id, &model_of(c, TFS_B)->nodes[b->source].id);
}

static int add_bytes(const struct compare *c, struct jobs *jobs, size_t pair, struct tfs_item a, struct tfs_item b, bool values)
{
	const struct tfs_tensor *t = tfs_item_tensor(model_of(c, TFS_A), a), *u = tfs_item_tensor(model_of(c, TFS_B), b);
	struct job j = {
		.pair = pair,
		.files = { { a.set, a.tensor, TFS_RAW }, { b.set, b.tensor, TFS_RAW } },
	};

	j.valued = values && tfs_numbers_of(t, &j.numbers[TFS_A]) && j.numbers[TFS_A].view == TFS_RAW;
	if (!j.valued)
		j.numbers[TFS_A] = (struct tfs_numbers){ .width = 1 };
	j.numbers[TFS_B] = j.numbers[TFS_A];
	return !t->nbytes || same_place(c, t, u) ? 0 : add_ranges(c, jobs, &j);
}

static bool same_part(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	return !strcmp(a->dtype->name, b->dtype->name) && a->nbytes == b->nbytes && a->ndim == b->ndim &&
	       (!a->ndim || !memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape));
}

/* Are both computed in the same way from parts that may have the same bytes? */
static bool same_recipe(const struct tfs_tensor *a, const struct tfs_tensor *b)
{
	const struct tfs_scaled v = tfs_scaled_of(a), w = tfs_scaled_of(b);

	if (v.ops != w.ops || v.n_parts != w.n_parts || v.factor != w.factor || memcmp(v.arg, w.arg, sizeof v.arg) != 0)
		return false;
	for (unsigned i = 0; i < v.n_parts; i++)
		if (!same_part(v.parts[i], w.parts[i]))
			return false;
	return true;
}

static struct tfs_item item_of(const struct tfs_model *m, uint32_t set, const struct tfs_tensor *t)
{
	return (struct tfs_item){ set, (uint32_t)(t - m->sets[set].tensors) };
}

static int add_parts(const struct compare *c, struct jobs *jobs, size_t pair)
{
	const struct tfs_diff_pair *p = &c->diff->pairs[pair];
	const struct tfs_scaled v = tfs_scaled_of(p->t[TFS_A]), w = tfs_scaled_of(p->t[TFS_B]);
	int r = 0;

	for (unsigned i = 0; i < v.n_parts && !r; i++)
		r = add_bytes(c, jobs, pair, item_of(model_of(c, TFS_A), p->items[TFS_A].set, v.parts[i]),
			      item_of(model_of(c, TFS_B), p->items[TFS_B].set, w.parts[i]), false);
	return r;
}

static int add_values_of(const struct compare *c, struct jobs *jobs, size_t pair)
{
	struct tfs_diff_pair *p = &c->diff->pairs[pair];
	struct job j = { .pair = pair, .valued = true, .by_value = true };

	for (int i = 0; i < TFS_SIDES; i++) {
		if (!tfs_numbers_of(p->t[i], &j.numbers[i]))
			return 0;
		j.files[i] = (struct tfs_file_id){ p->items[i].set, p->items[i].tensor, j.numbers[i].view };
	}
	p->valued = true;
	return p->t[TFS_A]->nbytes && p->t[TFS_B]->nbytes ? add_ranges(c, jobs, &j) : 0;
}

/* What is compared by bytes first; the others by value only. */
static int add_first(const struct compare *c, size_t i, struct jobs *bytes, struct jobs *values)
{
	const struct tfs_diff_pair *p = &c->diff->pairs[i];
	const struct tfs_tensor *a = p->t[TFS_A], *b = p->t[TFS_B];

	if (p->kind == TFS_OTHER_DTYPE)
		return add_values_of(c, values, i);
	if (p->kind != TFS_EQUAL)
		return 0;
	if (tfs_is_scaled(a))
		return same_recipe(a, b) ? add_parts(c, bytes, i) : add_values_of(c, values, i);
	if (a->nbytes == b->nbytes)
		return add_bytes(c, bytes, i, p->items[TFS_A], p->items[TFS_B], true);
	c->diff->pairs[i].kind = TFS_OTHER_CONTENT;
	return add_values_of(c, values, i);
}

/* Of a pair that differs: what of A has been found equal, which counts for the lengths of both. */
static int add_equal(const struct compare *c, const struct job *j, struct jobs *more)
{
	const struct tfs_diff_pair *p = &c->diff->pairs[j->pair];
	struct job rest = *j;

	rest.len = j->differs ? j->equal : j->len;
	rest.one = true;
	rest.differs = true;
	rest.d = (struct tfs_difference){ 0 };
	return p->kind == TFS_OTHER_CONTENT && j->valued && rest.len ? add_job(more, &rest) : 0;
}

/* After the bytes: which pairs differ, and what else has to be read to say by how much. */
static int judge(struct compare *c, const struct jobs *bytes, struct jobs *more)
{
	struct tfs_diff *d = c->diff;
	int r = 0;

	for (size_t i = 0; i < bytes->n; i++) {
		const struct job *j = &bytes->jobs[i];
		struct tfs_diff_pair *p = &d->pairs[j->pair];

		if (!j->differs)
			continue;
		if (p->kind == TFS_EQUAL) {
			p->kind = TFS_OTHER_CONTENT;
			/* What couldn't be compared piece by piece: codes, and blocks of GGUF. */
			if (!d->brief && !j->valued)
				r = add_values_of(c, more, j->pair);
			p->valued |= j->valued;
		}
		if (r)
			return r;
		tfs_difference_merge(&p->d, &j->d);
	}
	for (size_t i = 0; i < bytes->n && !r && !d->brief; i++)
		r = add_equal(c, &bytes->jobs[i], more);
	return r;
}

static void merge_values(struct tfs_diff *d, const struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->n; i++)
		tfs_difference_merge(&d->pairs[jobs->jobs[i].pair].d, &jobs->jobs[i].d);
	/* Computed in different ways, and the same nevertheless? */
	for (size_t i = 0; i < jobs->n; i++) {
		const struct job *j = &jobs->jobs[i];
		struct tfs_diff_pair *p = &d->pairs[j->pair];

		if (j->by_value && p->kind == TFS_EQUAL && found(j))
			p->kind = TFS_OTHER_CONTENT;
	}
}

/* In the order of A's files, as storage likes it. */
static int compare_jobs(const void *a, const void *b, void *arg)
{
	const struct job *j = a, *k = b;
	const struct tfs_model *m = arg;
	const struct tfs_tensor *s = tfs_set_tensor(&m->sets[j->files[TFS_A].set], j->files[TFS_A].tensor);
	const struct tfs_tensor *t = tfs_set_tensor(&m->sets[k->files[TFS_A].set], k->files[TFS_A].tensor);

	if (s->source != t->source)
		return s->source < t->source ? -1 : 1;
	if (s->offset != t->offset)
		return s->offset < t->offset ? -1 : 1;
	return (j->at > k->at) - (j->at < k->at);
}

static void sort_jobs(const struct compare *c, struct jobs *jobs)
{
	if (jobs->n)
		qsort_r(jobs->jobs, jobs->n, sizeof *jobs->jobs, compare_jobs, (void *)model_of(c, TFS_A));
}

static int compare_all(struct compare *c)
{
	struct jobs bytes = { 0 }, values = { 0 };
	int r = 0;

	for (size_t i = 0; i < c->diff->n && !r; i++)
		r = add_first(c, i, &bytes, &values);
	sort_jobs(c, &bytes);
	if (!r)
		r = run(c, &bytes, "bytes");
	if (!r)
		r = judge(c, &bytes, &values);
	sort_jobs(c, &values);
	if (!r && !c->stop)
		r = run(c, &values, "values");
	if (!r)
		merge_values(c->diff, &values);
	free(bytes.jobs);
	free(values.jobs);
	return r;
}

int tfs_diff_compare(struct tfs_diff *d)
{
	struct compare c = { .diff = d };
	int r = 0;

	for (int i = 0; i < TFS_SIDES && !r; i++)
		r = tfs_reading_open(d->sides[i].arg.model, &c.loaders[i]);
	if (!r) {
		r = compare_all(&c);
		if (r)
			tfs_log_error("the models couldn't be compared: %s", strerror(-r));
	}
	for (int i = 0; i < TFS_SIDES; i++)
		tfs_reading_close(c.loaders[i]);
	return r;
}
