/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/pattern.h"
#include "cli/reading.h"
#include "cli/report/impl.h"
#include "cli/terminal.h"
#include "content/values.h"
#include "tensor/scaled.h"

enum { OPT_QUICK = 256 };

static const struct tfs_option report_options[] = {
	{ OPT_QUICK, "no-values", NULL, "read headers only: no ranges, means and histograms of values" },
	{ TFS_OPT_SET, "set", "STEM",
	  "the weight set to use where there are several: STEM, or DIR/STEM, as sets/ of a mount calls it" },
	{ 0 },
};

struct options {
	struct tfs_model_options model;
	bool quick;
};

static bool take(void *arg, int id, const char *value)
{
	struct options *o = arg;

	if (id != OPT_QUICK)
		return tfs_model_options_take(&o->model, id, value);
	o->quick = true;
	return true;
}

/* --- Groups --------------------------------------------------------------------------------------------------------------- */

/* An item, and what it is grouped by. */
struct keyed {
	struct tfs_item item;
	const struct tfs_tensor *t;
	const char *dtype;
	char *pattern;
	size_t len;
};

static int compare_keys(const void *a, const void *b)
{
	const struct keyed *k = a, *l = b;
	int c = tfs_pattern_compare(k->pattern, k->len, l->pattern, l->len);

	c = c ? c : strcmp(k->dtype, l->dtype);
	c = c ? c : (tfs_is_scaled(k->t) > tfs_is_scaled(l->t)) - (tfs_is_scaled(k->t) < tfs_is_scaled(l->t));
	return c ? c : tfs_pattern_compare(k->t->name, k->t->name_len, l->t->name, l->t->name_len);
}

static bool same_group(const struct keyed *k, const struct keyed *l)
{
	return k->len == l->len && !memcmp(k->pattern, l->pattern, k->len) && !strcmp(k->dtype, l->dtype) &&
	       tfs_is_scaled(k->t) == tfs_is_scaled(l->t);
}

static uint64_t elements_of(const struct tfs_tensor *t)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->shape[i];
	return n;
}

/* The group of the keys [from, to). */
static int add_group(struct tfs_report *r, const struct keyed *keys, size_t from, size_t to)
{
	struct tfs_report_group g = {
		.first = from, .n = to - from, .dtype = keys[from].dtype, .computed = tfs_is_scaled(keys[from].t)
	};
	const struct tfs_tensor *t = keys[from].t;

	g.name = g.n > 1 ? tfs_safe(keys[from].pattern, keys[from].len, "/%") : tfs_safe(t->name, t->name_len, "/%");
	g.valued = tfs_has_values(t);
	if (!g.name || tfs_array_room(r->groups, r->n, r->room)) {
		free(g.name);
		return -ENOMEM;
	}
	for (size_t i = from; i < to; i++) {
		g.elements += elements_of(keys[i].t);
		g.bytes += g.computed ? 0 : keys[i].t->nbytes;
		if (g.computed || !tfs_set_scaled_of(&r->arg.model->sets[keys[i].item.set], keys[i].item.tensor))
			r->elements += elements_of(keys[i].t);
	}
	r->bytes += g.bytes;
	r->tensors += g.computed ? 0 : g.n;
	r->groups[r->n++] = g;
	return 0;
}

static int compare_groups(const void *a, const void *b)
{
	const struct tfs_report_group *g = a, *h = b;

	return g->bytes != h->bytes ? (g->bytes < h->bytes) - (g->bytes > h->bytes) : (g->first > h->first) - (g->first < h->first);
}

static int make_keys(struct tfs_report *r, struct keyed *keys)
{
	for (size_t i = 0; i < r->items.n; i++) {
		struct keyed *k = &keys[i];

		k->item = r->items.items[i];
		k->t = tfs_item_tensor(r->arg.model, k->item);
		k->dtype = tfs_is_scaled(k->t) ? k->t->encoding->scaled->scheme : k->t->dtype->name;
		k->pattern = malloc((size_t)k->t->name_len + 1);
		if (!k->pattern)
			return -ENOMEM;
		k->len = tfs_pattern_of(k->t->name, k->t->name_len, k->pattern);
	}
	return 0;
}

static int find_groups(struct tfs_report *r)
{
	struct keyed *keys = calloc(r->items.n + 1, sizeof *keys);
	int code = keys ? make_keys(r, keys) : -ENOMEM;

	if (!code && r->items.n)
		qsort(keys, r->items.n, sizeof *keys, compare_keys);
	for (size_t from = 0, to; from < r->items.n && !code; from = to) {
		for (to = from + 1; to < r->items.n && same_group(&keys[from], &keys[to]);)
			to++;
		code = add_group(r, keys, from, to);
	}
	for (size_t i = 0; keys && i < r->items.n; i++) {
		if (!code)
			r->items.items[i] = keys[i].item;
		free(keys[i].pattern);
	}
	free(keys);
	if (r->n)
		qsort(r->groups, r->n, sizeof *r->groups, compare_groups);
	return code;
}

/* --- Values --------------------------------------------------------------------------------------------------------------- */

struct pass {
	const struct tfs_ranges *ranges;
	size_t *groups; /* of items */
	struct tfs_numbers *numbers;
	struct tfs_report *report;
	struct tfs_moments *moments; /* for each range; or */
	uint64_t *counts;	     /* TFS_REPORT_BINS for each range */
};

static int visit(void *arg, size_t range, const uint8_t *data, size_t len)
{
	struct pass *p = arg;
	const size_t item = p->ranges->ranges[range].item;
	const struct tfs_report_group *g = &p->report->groups[p->groups[item]];
	const struct tfs_numbers *f = &p->numbers[item];
	const struct tfs_histogram h = { g->moments.min, g->moments.max, TFS_REPORT_BINS };

	if (p->moments)
		tfs_moments_add(&p->moments[range], f, data, len / f->width);
	else if (h.low < h.high)
		tfs_histogram_add(&h, p->counts + range * TFS_REPORT_BINS, f, data, len / f->width);
	return 0;
}

static int run_pass(struct tfs_scan *scan, struct pass *p, bool histogram)
{
	const size_t n = p->ranges->n;
	int r;

	p->moments = histogram ? NULL : calloc(n + 1, sizeof *p->moments);
	p->counts = histogram ? calloc(n + 1, TFS_REPORT_BINS * sizeof *p->counts) : NULL;
	r = p->moments || p->counts ? tfs_scan_run(scan) : -ENOMEM;
	for (size_t i = 0; i < n && !r; i++) {
		struct tfs_report_group *g = &p->report->groups[p->groups[p->ranges->ranges[i].item]];

		if (p->moments)
			tfs_moments_merge(&g->moments, &p->moments[i]);
		for (size_t k = 0; p->counts && k < TFS_REPORT_BINS; k++)
			g->counts[k] += p->counts[i * TFS_REPORT_BINS + k];
	}
	free(p->moments);
	free(p->counts);
	return r;
}

/* Twice: the range of the values has to be known before they can be counted. */
static int read_values(struct tfs_report *r)
{
	cleanup_free struct tfs_file_id *files = calloc(r->items.n + 1, sizeof *files);
	cleanup_free size_t *groups = calloc(r->items.n + 1, sizeof *groups);
	cleanup_free struct tfs_numbers *numbers = calloc(r->items.n + 1, sizeof *numbers);
	struct tfs_ranges ranges = { 0 };
	struct pass pass = { .ranges = &ranges, .groups = groups, .numbers = numbers, .report = r };
	struct tfs_scan scan = {
		.model = r->arg.model, .files = files, .ranges = &ranges, .progress = &r->progress, .visit = visit, .arg = &pass
	};
	uint64_t total = 0;
	int code = files && groups && numbers ? 0 : -ENOMEM;

	for (size_t g = 0; g < r->n && !code; g++)
		for (size_t i = r->groups[g].first; i < r->groups[g].first + r->groups[g].n && r->groups[g].valued && !code; i++) {
			groups[i] = g;
			tfs_numbers_of(tfs_item_tensor(r->arg.model, r->items.items[i]), &numbers[i]);
			files[i] = (struct tfs_file_id){ r->items.items[i].set, r->items.items[i].tensor, numbers[i].view };
			total += tfs_body_size(r->arg.model, files[i]);
			code = tfs_ranges_add(&ranges, r->arg.model, files[i], i);
		}
	if (!code)
		code = tfs_reading_open(r->arg.model, &scan.loader);
	tfs_progress_begin(&r->progress, "values", 1, 1, 2 * total);
	if (!code)
		code = run_pass(&scan, &pass, false);
	if (!code)
		code = run_pass(&scan, &pass, true);
	tfs_progress_end(&r->progress, -1);
	tfs_reading_close(scan.loader);
	free(ranges.ranges);
	return code;
}

/* --- The command ---------------------------------------------------------------------------------------------------------- */

static int make(struct tfs_report *r, const struct options *o)
{
	if (tfs_scope_find(r->arg.model, o->model.set, &r->scope))
		return TFS_EXIT_USAGE;
	int code = tfs_items_all(r->arg.model, &r->scope, &r->items);
	if (!code)
		code = find_groups(r);
	if (!code && !o->quick)
		code = read_values(r);
	if (!code)
		code = tfs_report_print(r);
	if (code)
		tfs_log_error("%s: %s", r->path, strerror(-code));
	for (size_t i = 0; i < r->n; i++)
		free(r->groups[i].name);
	free(r->groups);
	free(r->items.items);
	tfs_scope_fini(&r->scope);
	return code || tfs_command_flush() ? TFS_EXIT_USAGE : TFS_EXIT_OK;
}

static int report_main(int argc, char **argv)
{
	struct options o = { 0 };
	struct tfs_report r = { 0 };
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_report_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	r.path = argv[first];
	if (tfs_model_arg_open(r.path, &r.arg))
		return TFS_EXIT_USAGE;
	tfs_progress_init(&r.progress, false);
	const int status = make(&r, &o);
	tfs_model_arg_close(&r.arg);
	return status;
}

const struct tfs_command tfs_report_command = {
	.name = "tensorfs report",
	.summary = "describe a model in a page of HTML",
	.operands = "MODEL",
	.min_operands = 1,
	.max_operands = 1,
	.about =
		"Write a page of HTML about a model to standard output: a map of its tensors by size and dtype, and a table with the ranges, "
		"means, deviations and histograms of their values. The page needs nothing else, and has no scripts.",
	.status = "Exit status: 0 written, 2 failed, or a usage error. See tensorfs-report(1).",
	.tables = { report_options },
	.run = report_main,
};
