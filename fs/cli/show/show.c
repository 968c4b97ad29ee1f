/* SPDX-License-Identifier: MIT */
/* tensorfs show: what a tensor is, and what its values are like. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/moments.h"
#include "cli/output.h"
#include "cli/show/impl.h"
#include "cli/terminal.h"
#include "tensor/scaled.h"

enum { BINS = 16, OPT_BINS = 256, BINS_MAX = 1000 };

struct options {
	struct tfs_model_options model;
	unsigned bins;
};

static const struct tfs_option show_options[] = {
	{ OPT_BINS, "bins", "N", "bins of the histogram; 0: none (default 16)" },
	{ 0 },
};

static bool take(void *arg, int id, const char *value)
{
	struct options *o = arg;

	if (id == OPT_BINS)
		return tfs_value_count("--bins", value, 0, BINS_MAX, &o->bins);
	return tfs_model_options_take(&o->model, id, value);
}

struct show {
	const struct tfs_model_arg *arg;
	const struct options *options;
	struct tfs_scope scope;
	struct tfs_loader *loader;
	struct tfs_progress progress;
	struct tfs_terminal terminal;
	json_t *json; /* an array, or NULL: print */
	bool any;     /* something was printed */
};

/* --- Values --------------------------------------------------------------------------------------------------------------- */

struct values {
	struct tfs_moments all;
	uint64_t *counts; /* of the histogram, bins of them; NULL: there is none */
	struct tfs_histogram histogram;
};

/* One pass over them. */
struct pass {
	struct tfs_moments *moments; /* for each range; or */
	uint64_t *counts;	     /* bins for each range */
	const struct tfs_histogram *histogram;
	struct tfs_numbers numbers;
};

static int visit(void *arg, size_t range, const uint8_t *data, size_t len)
{
	struct pass *p = arg;

	if (p->moments)
		tfs_moments_add(&p->moments[range], &p->numbers, data, len / p->numbers.width);
	else
		tfs_histogram_add(p->histogram, p->counts + range * p->histogram->bins, &p->numbers, data, len / p->numbers.width);
	return 0;
}

static int read_moments(struct tfs_scan *scan, const struct tfs_numbers *numbers, struct values *v)
{
	cleanup_free struct tfs_moments *moments = calloc(scan->ranges->n, sizeof *moments);
	struct pass pass = { .moments = moments, .numbers = *numbers };

	scan->arg = &pass;
	int r = moments ? tfs_scan_run(scan) : -ENOMEM;
	for (size_t i = 0; !r && i < scan->ranges->n; i++)
		tfs_moments_merge(&v->all, &moments[i]);
	return r;
}

static int read_histogram(struct tfs_scan *scan, const struct tfs_numbers *numbers, struct values *v, unsigned bins)
{
	cleanup_free uint64_t *counts = calloc(scan->ranges->n * bins, sizeof *counts);
	struct pass pass = { .counts = counts, .histogram = &v->histogram, .numbers = *numbers };

	v->histogram = (struct tfs_histogram){ v->all.min, v->all.max, bins };
	v->counts = calloc(bins, sizeof *v->counts);
	scan->arg = &pass;
	int r = counts && v->counts ? tfs_scan_run(scan) : -ENOMEM;
	for (size_t i = 0; !r && i < scan->ranges->n * bins; i++)
		v->counts[i % bins] += counts[i];
	return r;
}

/* The range of the values has to be known before they can be counted, so they are read twice. */
static int read_values(struct show *s, struct tfs_item item, const struct tfs_numbers *numbers, struct values *v)
{
	const struct tfs_file_id id = { item.set, item.tensor, numbers->view };
	struct tfs_ranges ranges = { 0 };
	struct tfs_scan scan = { .model = s->arg->model,
				 .loader = s->loader,
				 .files = &id,
				 .ranges = &ranges,
				 .progress = &s->progress,
				 .visit = visit };
	int r = tfs_ranges_add(&ranges, s->arg->model, id, 0);

	tfs_progress_begin(&s->progress, "reading", 1, 1, 2 * tfs_body_size(s->arg->model, id));
	if (!r)
		r = read_moments(&scan, numbers, v);
	if (!r && s->options->bins && tfs_moments_finite(&v->all) && v->all.min < v->all.max)
		r = read_histogram(&scan, numbers, v, s->options->bins);
	tfs_progress_end(&s->progress, -1);
	free(ranges.ranges);
	return r;
}

/* --- As text -------------------------------------------------------------------------------------------------------------- */

static void put_label(const struct show *s, const char *label)
{
	if (s->terminal.colour)
		printf("\033[%sm%-8s\033[0m", TFS_DIM, label);
	else
		printf("%-8s", label);
}

static void put_shape(const struct tfs_tensor *t)
{
	putchar('[');
	for (unsigned i = 0; i < t->ndim; i++)
		printf("%s%" PRIu64, i ? ", " : "", t->shape[i]);
	putchar(']');
}

static uint64_t elements_of(const struct tfs_tensor *t)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->shape[i];
	return n;
}

static void put_text(const char *text)
{
	tfs_put_safe(stdout, text, strlen(text), "");
}

static void put_place(const struct show *s, const struct tfs_tensor *t)
{
	char path[TFS_PATH_SIZE];

	if (tfs_model_path(s->arg->model, t->source, path, sizeof path))
		path[0] = 0;
	put_text(path);
	printf(", byte %" PRIu64, t->offset);
	if (!t->encoding)
		return;
	static const char *const how[] = {
		[TFS_STORED] = "", [TFS_DEFLATED] = ", deflated", [TFS_VARINT] = ", as varints", [TFS_LATIN1] = ", as text"
	};
	fputs(how[t->encoding->coding], stdout);
	if (t->encoding->swap)
		fputs(", big-endian", stdout);
	if (t->encoding->strides)
		fputs(", not in C order", stdout);
}

static void put_dtype(const struct tfs_tensor *t)
{
	put_text(t->dtype->name);
	printf("  ");
	put_shape(t);
}

static void put_heading(const struct show *s, struct tfs_item item)
{
	cleanup_free char *label = tfs_item_label(s->arg->model, &s->scope, item);

	if (s->any)
		putchar('\n');
	if (s->terminal.colour)
		printf("\033[%sm%s\033[0m\n", TFS_BOLD, label ? label : "");
	else
		puts(label ? label : "");
}

static void put_description(const struct show *s, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(s->arg->model, item);
	const struct tfs_set *set = &s->arg->model->sets[item.set];
	const struct tfs_tensor *of = tfs_set_scaled_of(set, item.tensor);
	char bytes[TFS_FIGURES_BYTES];

	put_heading(s, item);
	if (tfs_is_scaled(t)) {
		const struct tfs_scaled w = tfs_scaled_of(t);

		put_label(s, "shape");
		put_shape(t);
		printf(", %" PRIu64 " elements\n", elements_of(t));
		put_label(s, "scheme");
		printf("%s: %s\n", w.scheme, w.formula);
		for (unsigned i = 0; i < w.n_parts; i++) {
			put_label(s, i ? "" : "from");
			tfs_put_safe(stdout, w.parts[i]->name, w.parts[i]->name_len, "/%");
			printf("  ");
			put_dtype(w.parts[i]);
			printf("  ");
			put_place(s, w.parts[i]);
			putchar('\n');
		}
		return;
	}
	put_label(s, "dtype");
	put_text(t->dtype->name);
	putchar('\n');
	put_label(s, "shape");
	put_shape(t);
	printf(", %" PRIu64 " elements\n", elements_of(t));
	put_label(s, "bytes");
	printf("%" PRIu64 " (%s)\n", t->nbytes, tfs_figures_bytes(bytes, (double)t->nbytes));
	put_label(s, "file");
	put_place(s, t);
	putchar('\n');
	if (of) {
		put_label(s, "part of");
		tfs_put_safe(stdout, of->name, of->name_len, "/%");
		printf(", whose values are %s\n", of->encoding->scaled->formula);
	}
}

static void put_histogram(const struct show *s, const struct values *v)
{
	enum { MAX = 60, MIN = 4, FIGURES = 8 + 14 + 12 };
	const unsigned room = s->terminal.width > FIGURES + MAX ? MAX :
			      s->terminal.width > FIGURES + MIN ? s->terminal.width - FIGURES :
								  MIN;
	char bar[4 * MAX + 1];
	uint64_t most = 1;

	for (unsigned i = 0; i < v->histogram.bins; i++)
		most = v->counts[i] > most ? v->counts[i] : most;
	for (unsigned i = 0; i < v->histogram.bins; i++) {
		const int width = (int)tfs_figures_bar(bar, room, (double)v->counts[i] / (double)most, s->terminal.utf8);

		put_label(s, "");
		printf("%12.5g  ", tfs_histogram_edge(&v->histogram, i));
		if (s->terminal.colour)
			printf("\033[%sm%s\033[0m", TFS_BLUE, bar);
		else
			fputs(bar, stdout);
		printf("%*s %" PRIu64 "\n", v->counts[i] ? 0 : 1 - width, "", v->counts[i]);
	}
	put_label(s, "");
	printf("%12.5Lg\n", v->histogram.high);
}

static void put_values(const struct show *s, const struct values *v)
{
	const struct tfs_moments *m = &v->all;

	put_label(s, "values");
	if (tfs_moments_finite(m))
		printf("min %.6Lg  max %.6Lg  mean %.6Lg  std %.6g\n", m->min, m->max, m->mean, tfs_moments_deviation(m));
	else
		puts(m->n ? "none is finite" : "none");
	if (m->n) {
		put_label(s, "");
		printf("zeros %" PRIu64 "  NaN %" PRIu64 "  inf %" PRIu64 "  -inf %" PRIu64 "\n", m->zeros, m->nan, m->inf,
		       m->neg_inf);
	}
	if (v->counts)
		put_histogram(s, v);
}

/* --- As JSON -------------------------------------------------------------------------------------------------------------- */

static json_t *place_json(const struct show *s, const struct tfs_tensor *t)
{
	char path[TFS_PATH_SIZE];

	if (tfs_model_path(s->arg->model, t->source, path, sizeof path))
		path[0] = 0;
	return json_pack("{s:o, s:o, s:o, s:I, s:o, s:I}", "name", tfs_json_name(t), "dtype", tfs_json_text(t->dtype->name),
			 "shape", tfs_json_shape(t), "bytes", (json_int_t)t->nbytes, "source", tfs_json_text(path), "offset",
			 (json_int_t)t->offset);
}

static json_t *describe(const struct show *s, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(s->arg->model, item);
	const struct tfs_tensor *of = tfs_set_scaled_of(&s->arg->model->sets[item.set], item.tensor);
	const bool scaled = tfs_is_scaled(t);
	json_t *o = scaled ? json_pack("{s:o, s:s, s:o}", "name", tfs_json_name(t), "dtype", t->dtype->name, "shape",
				       tfs_json_shape(t)) :
			     place_json(s, t);

	json_object_set_new(o, "elements", json_integer((json_int_t)elements_of(t)));
	if (scaled) {
		const struct tfs_scaled w = tfs_scaled_of(t);
		json_t *parts = json_array();

		json_object_set_new(o, "scheme", json_string(w.scheme));
		json_object_set_new(o, "formula", json_string(w.formula));
		for (unsigned i = 0; i < w.n_parts; i++)
			json_array_append_new(parts, place_json(s, w.parts[i]));
		json_object_set_new(o, "parts", parts);
	} else if (of) {
		json_object_set_new(o, "part_of", tfs_json_name(of));
	}
	return o;
}

static json_t *values_json(const struct values *v)
{
	const struct tfs_moments *m = &v->all;
	const bool any = tfs_moments_finite(m);
	json_t *o = json_object();

	json_object_set_new(o, "count", json_integer((json_int_t)m->n));
	json_object_set_new(o, "min", any ? tfs_json_real((double)m->min) : json_null());
	json_object_set_new(o, "max", any ? tfs_json_real((double)m->max) : json_null());
	json_object_set_new(o, "mean", any ? tfs_json_real((double)m->mean) : json_null());
	json_object_set_new(o, "std", any ? tfs_json_real(tfs_moments_deviation(m)) : json_null());
	json_object_set_new(o, "zeros", json_integer((json_int_t)m->zeros));
	json_object_set_new(o, "nan", json_integer((json_int_t)m->nan));
	json_object_set_new(o, "inf", json_integer((json_int_t)m->inf));
	json_object_set_new(o, "neg_inf", json_integer((json_int_t)m->neg_inf));
	if (!v->counts)
		return o;
	json_t *edges = json_array(), *counts = json_array();
	for (unsigned i = 0; i <= v->histogram.bins; i++)
		json_array_append_new(edges, tfs_json_real(tfs_histogram_edge(&v->histogram, i)));
	for (unsigned i = 0; i < v->histogram.bins; i++)
		json_array_append_new(counts, json_integer((json_int_t)v->counts[i]));
	json_object_set_new(o, "edges", edges);
	json_object_set_new(o, "counts", counts);
	return o;
}

/* --- Items ---------------------------------------------------------------------------------------------------------------- */

static int show_item(struct show *s, struct tfs_item item)
{
	const struct tfs_tensor *t = tfs_item_tensor(s->arg->model, item);
	struct values v = { 0 };
	struct tfs_numbers numbers;
	const bool has = tfs_numbers_of(t, &numbers);
	int r = has ? read_values(s, item, &numbers, &v) : 0;

	if (r) {
		free(v.counts);
		return r;
	}
	if (s->json) {
		json_t *o = describe(s, item);
		json_object_set_new(o, "values", has ? values_json(&v) : json_null());
		json_array_append_new(s->json, o);
	} else {
		put_description(s, item);
		if (has)
			put_values(s, &v);
	}
	s->any = true;
	free(v.counts);
	return 0;
}

/* The elements of one tensor, after its name if there are @several. */
static int show_elements(struct show *s, struct tfs_item item, const char *choice, bool several)
{
	const struct tfs_tensor *t = tfs_item_tensor(s->arg->model, item);
	json_t *elements = s->json ? json_array() : NULL;
	struct tfs_slice slice;
	char why[160];

	int r = tfs_slice_parse(choice, t->shape, t->ndim, &slice, why, sizeof why);
	if (r) {
		tfs_log_error("%s: %s", choice, why);
	} else {
		if (several && !s->json)
			put_heading(s, item);
		r = tfs_show_elements(s->arg->model, s->loader, item, &slice, elements);
		if (r == -EOPNOTSUPP)
			tfs_log_error("elements of type %s can't be printed", t->dtype->name);
	}
	if (elements && !r) {
		json_t *o = describe(s, item), *value = json_array_get(elements, 0);
		json_object_set(o, "elements", value ? value : elements);
		json_array_append_new(s->json, o);
	}
	json_decref(elements);
	s->any = true;
	return r;
}

static int compare_items(const void *a, const void *b)
{
	const struct tfs_item *i = a, *k = b;

	return i->set != k->set ? (i->set > k->set) - (i->set < k->set) : (i->tensor > k->tensor) - (i->tensor < k->tensor);
}

/*
 * Without the codes of weights that have the same name, and are there, too: only the weights have values. In the order of the model, each
 * once.
 */
static void drop_codes(const struct tfs_model *m, struct tfs_items *items)
{
	size_t n = 0;

	qsort(items->items, items->n, sizeof *items->items, compare_items);
	/* From the end on, as weights are behind what is stored. */
	for (size_t i = items->n; i--;) {
		const struct tfs_item item = items->items[i];
		const struct tfs_set *set = &m->sets[item.set];
		const struct tfs_tensor *t = tfs_item_tensor(m, item), *of = tfs_set_scaled_of(set, item.tensor);
		const bool same = of && of->name_len == t->name_len && !memcmp(of->name, t->name, t->name_len);
		const struct tfs_item weight = { item.set, same ? (uint32_t)(set->n_tensors + (size_t)(of - set->scaled)) : 0 };

		if (n && !compare_items(&items->items[items->n - n], &item))
			continue;
		if (!same || !bsearch(&weight, items->items + items->n - n, n, sizeof weight, compare_items))
			items->items[items->n - ++n] = item;
	}
	memmove(items->items, items->items + items->n - n, n * sizeof *items->items);
	items->n = n;
}

static int show_all_elements(struct show *s, struct tfs_items *items, const char *choice)
{
	int result = 0;

	drop_codes(s->arg->model, items);
	for (size_t i = 0; i < items->n; i++)
		if (show_elements(s, items->items[i], choice, items->n > 1))
			result = -EINVAL;
	return result;
}

/* 0, -ENOENT: NAME matches nothing; or another error. */
static int show_name(struct show *s, const char *name)
{
	const char *choice = tfs_slice_find(name);
	struct tfs_items items = { 0 };
	int r = tfs_items_named(s->arg, &s->scope, name, &items);

	if (r == -ENOENT && choice) {
		cleanup_free char *stem = strndup(name, (size_t)(choice - name));
		r = stem ? tfs_items_named(s->arg, &s->scope, stem, &items) : -ENOMEM;
		if (!r)
			r = show_all_elements(s, &items, choice);
	} else {
		for (size_t i = 0; !r && i < items.n; i++)
			r = show_item(s, items.items[i]);
	}
	if (r == -ENOENT)
		tfs_log_error("%s: no such tensor, or directory of tensors", name);
	else if (r == -ENOMEM)
		tfs_log_error("out of memory");
	free(items.items);
	return r;
}

static int show_all(struct show *s, char **names, int n)
{
	int status = TFS_EXIT_OK;

	if (tfs_scope_find(s->arg->model, s->options->model.set, &s->scope))
		return TFS_EXIT_USAGE;
	if (tfs_reading_open(s->arg->model, &s->loader)) {
		tfs_scope_fini(&s->scope);
		return TFS_EXIT_USAGE;
	}
	for (int i = 0; i < n; i++) {
		const int r = show_name(s, names[i]);

		if (r == -ENOENT && status == TFS_EXIT_OK)
			status = TFS_EXIT_FAILED;
		else if (r && r != -ENOENT)
			status = TFS_EXIT_USAGE;
	}
	if (s->json && tfs_json_print(s->json))
		status = TFS_EXIT_USAGE;
	tfs_reading_close(s->loader);
	tfs_scope_fini(&s->scope);
	return tfs_command_flush() ? TFS_EXIT_USAGE : status;
}

static int show_main(int argc, char **argv)
{
	struct options o = { .bins = BINS };
	struct tfs_model_arg arg;
	struct show s = { .arg = &arg, .options = &o };
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_show_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_model_arg_open(argv[first], &arg))
		return TFS_EXIT_USAGE;
	s.terminal = tfs_terminal_of(STDOUT_FILENO);
	s.json = o.model.json ? json_array() : NULL;
	tfs_progress_init(&s.progress, false);
	const int status = show_all(&s, argv + first + 1, argc - first - 1);
	json_decref(s.json);
	tfs_model_arg_close(&arg);
	return status;
}

const struct tfs_command tfs_show_command = {
	.name = "tensorfs show",
	.summary = "show what a tensor's values are like, or elements of it",
	.operands = "MODEL NAME...",
	.min_operands = 2,
	.max_operands = INT_MAX,
	.about =
		"Show a tensor's dtype, shape and place, the range, mean and deviation of its values, and a histogram of them. NAME is as "
		"for tensorfs ls; NAME[3,:8] prints elements, chosen as in NumPy.",
	.status = "Exit status: 0 shown, 1 a NAME matches nothing, 2 failed, or a usage error. See tensorfs-show(1).",
	.tables = { show_options, tfs_model_options },
	.run = show_main,
};
