/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "cli/figures.h"
#include "cli/ls/impl.h"
#include "cli/pattern.h"
#include "cli/table.h"
#include "tensor/scaled.h"

/* Tensors that share a line. */
struct group {
	uint32_t set;
	const char *key; /* a pattern, a layer, a path; in the arena */
	size_t key_len;
	const struct tfs_dtype *dtype; /* PATTERNS and DTYPES; else NULL */
	const char *scheme;	       /* of computed weights, else NULL */
	size_t first;		       /* in the items */
	uint64_t tensors, elements, bytes;
	const uint64_t *shape; /* of the first */
	uint64_t differs;      /* bit for each dimension that isn't the same in all */
	uint8_t ndim;
	bool ndim_differs;
};

struct summary {
	const struct tfs_model *model;
	const struct tfs_items *items;
	enum tfs_ls_by by;
	struct tfs_arena arena; /* keys */
	char *buf;		/* a key in the making */
	size_t buf_size;
	struct group *groups;
	size_t n, room;
	uint32_t *table; /* hash table of groups: index + 1 */
	size_t table_size;
	uint64_t bytes; /* of all groups */
};

static uint64_t elements_of(const struct tfs_tensor *t)
{
	uint64_t n = 1;

	for (unsigned i = 0; i < t->ndim; i++)
		n *= t->shape[i]; /* fits in a file, except where another is 0 */
	return n;
}

/* --- Grouping ------------------------------------------------------------------------------------------------------------- */

static int make_room(struct summary *s, size_t size)
{
	char *more;

	if (size <= s->buf_size)
		return 0;
	more = realloc(s->buf, 2 * size);
	if (!more)
		return -ENOMEM;
	s->buf = more;
	s->buf_size = 2 * size;
	return 0;
}

/* What @t is grouped by, into @g without a copy of its key. */
static int identify(struct summary *s, struct tfs_item item, const struct tfs_tensor *t, struct group *g)
{
	uint64_t number;
	int r = 0;

	g->set = item.set;
	g->key = t->name;
	g->scheme = tfs_is_scaled(t) ? t->encoding->scaled->scheme : NULL;
	switch (s->by) {
	case TFS_LS_PATTERNS:
		g->dtype = t->dtype;
		r = make_room(s, (size_t)t->name_len + 1);
		if (!r) {
			g->key_len = tfs_pattern_of(t->name, t->name_len, s->buf);
			g->key = s->buf;
		}
		break;
	case TFS_LS_LAYERS:
		g->key_len = tfs_pattern_layer(t->name, t->name_len, &number);
		break;
	case TFS_LS_DTYPES:
		g->dtype = t->dtype;
		g->key = t->dtype->name;
		g->key_len = strlen(g->key);
		break;
	case TFS_LS_FILES:
		r = make_room(s, TFS_PATH_SIZE);
		if (!r)
			r = tfs_model_path(s->model, t->source, s->buf, s->buf_size);
		if (!r) {
			g->key = s->buf;
			g->key_len = strlen(s->buf);
		}
		break;
	}
	return r;
}

static bool is_same(const struct group *a, const struct group *b)
{
	return a->set == b->set && a->dtype == b->dtype && a->scheme == b->scheme && a->key_len == b->key_len &&
	       !memcmp(a->key, b->key, a->key_len);
}

static size_t slot_of(const struct summary *s, const struct group *g)
{
	size_t i = XXH3_64bits(g->key, g->key_len) & (s->table_size - 1);

	while (s->table[i] && !is_same(&s->groups[s->table[i] - 1], g))
		i = (i + 1) & (s->table_size - 1);
	return i;
}

/* Before the table is half full. */
static int grow(struct summary *s)
{
	const size_t size = s->table_size ? 2 * s->table_size : 1024;
	uint32_t *table;

	if (2 * (s->n + 1) <= s->table_size)
		return 0;
	table = calloc(size, sizeof *table);
	if (!table)
		return -ENOMEM;
	free(s->table);
	s->table = table;
	s->table_size = size;
	for (size_t i = 0; i < s->n; i++)
		table[slot_of(s, &s->groups[i])] = (uint32_t)i + 1;
	return 0;
}

static void join(struct group *g, const struct tfs_tensor *t)
{
	g->tensors++;
	g->elements += elements_of(t);
	if (!tfs_is_scaled(t))
		g->bytes += t->nbytes;
	if (t->ndim != g->ndim)
		g->ndim_differs = true;
	for (unsigned i = 0; i < t->ndim && !g->ndim_differs; i++)
		if (t->shape[i] != g->shape[i])
			g->differs |= UINT64_C(1) << i;
}

static int add(struct summary *s, size_t index)
{
	const struct tfs_item item = s->items->items[index];
	const struct tfs_tensor *t = tfs_item_tensor(s->model, item);
	struct group g = { .first = index, .shape = t->shape, .ndim = t->ndim };
	int r = identify(s, item, t, &g);

	if (r || (r = grow(s)))
		return r;
	const size_t slot = slot_of(s, &g);
	if (!s->table[slot]) {
		g.key = tfs_arena_copy(&s->arena, g.key, g.key_len);
		if (!g.key || tfs_array_room(s->groups, s->n, s->room))
			return -ENOMEM;
		s->groups[s->n++] = g;
		s->table[slot] = (uint32_t)s->n;
	}
	join(&s->groups[s->table[slot] - 1], t);
	if (!tfs_is_scaled(t))
		s->bytes += t->nbytes;
	return 0;
}

/* --- Order ---------------------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct group *g = a, *h = b;
	int c = g->set == h->set ? tfs_pattern_compare(g->key, g->key_len, h->key, h->key_len) : g->set < h->set ? -1 : 1;

	return c ? c : (g->first > h->first) - (g->first < h->first);
}

static int compare_sizes(const void *a, const void *b)
{
	const struct group *g = a, *h = b;

	return g->bytes != h->bytes ? (g->bytes < h->bytes) - (g->bytes > h->bytes) : compare_names(a, b);
}

/* --- Output --------------------------------------------------------------------------------------------------------------- */

/* "[*,4096]": '*' for what differs. */
static void put_shape(FILE *f, const struct group *g)
{
	putc('[', f);
	for (unsigned i = 0; i < g->ndim && !g->ndim_differs; i++) {
		if (g->differs >> i & 1)
			fprintf(f, "%s*", i ? "," : "");
		else
			fprintf(f, "%s%" PRIu64, i ? "," : "", g->shape[i]);
	}
	fputs(g->ndim_differs ? "...]" : "]", f);
}

static void add_shape(struct tfs_table *table, const struct group *g)
{
	cleanup_free char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f) {
		if (g->scheme)
			fprintf(f, "%s ", g->scheme);
		else
			fprintf(f, "%s ", g->dtype->name);
		put_shape(f, g);
		if (!fclose(f)) {
			tfs_table_add(table, text);
			return;
		}
	}
	table->failed = -ENOMEM;
}

/* What a narrow terminal has no room for beside the rest. */
static unsigned bar_width(const struct tfs_terminal *terminal)
{
	return !terminal->is || terminal->width >= 100 ? 20 : terminal->width >= 60 ? 8 : 0;
}

static bool has_share(const struct tfs_terminal *terminal)
{
	return !terminal->is || terminal->width >= 50;
}

/* The bytes of a group, and its part of all. */
static void add_size(struct tfs_table *table, const struct summary *s, const struct group *g, const struct tfs_terminal *terminal)
{
	const double share = s->bytes ? (double)g->bytes / (double)s->bytes : 0;
	char text[TFS_FIGURES_BYTES], bar[4 * 32 + 1];

	if (g->scheme) { /* its codes are listed, too */
		tfs_table_add(table, "-");
		tfs_table_add(table, "");
		tfs_table_add(table, "");
		return;
	}
	tfs_table_add(table, tfs_figures_bytes(text, (double)g->bytes));
	if (has_share(terminal))
		tfs_table_addf(table, "%.1f %%", 100 * share);
	else
		tfs_table_add(table, "");
	tfs_figures_bar(bar, bar_width(terminal), share, terminal->utf8);
	tfs_table_add(table, bar);
}

static void add_set(struct tfs_table *table, const struct tfs_model *m, uint32_t set)
{
	char path[TFS_PATH_SIZE] = "";

	if (m->sets[set].dir != TFS_NODE_ROOT && tfs_model_path(m, m->sets[set].dir, path, sizeof path))
		path[0] = 0;
	tfs_table_addf(table, "%s%s%s", path, path[0] ? "/" : "", m->sets[set].stem);
}

static void add_group(struct tfs_table *table, const struct summary *s, const struct group *g, const struct tfs_terminal *terminal)
{
	char text[TFS_FIGURES_BYTES];

	const struct tfs_tensor *first = tfs_item_tensor(s->model, s->items->items[g->first]);

	if (s->by == TFS_LS_FILES)
		tfs_table_add(table, g->key);
	else if (s->by == TFS_LS_PATTERNS && g->tensors == 1)
		tfs_table_add_name(table, first->name, first->name_len);
	else
		tfs_table_add_name(table, g->key, g->key_len);
	tfs_table_addf(table, s->by == TFS_LS_PATTERNS && terminal->utf8 ? "%" PRIu64 " \u00d7" : "%" PRIu64, g->tensors);
	if (s->by == TFS_LS_PATTERNS)
		add_shape(table, g);
	else
		tfs_table_add(table, tfs_figures_count(text, (double)g->elements));
	add_size(table, s, g, terminal);
	if (s->model->n_sets > 1)
		add_set(table, s->model, g->set);
}

static int print_groups(const struct summary *s, const void *const *order)
{
	static const char *const names[] = { "name", "layer", "dtype", "file" };
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	const bool sets = s->model->n_sets > 1;
	struct tfs_table table = { .columns = sets ? "BrlrrlB" : "Brlrrl", .colours = { [5] = TFS_BLUE } };

	if (s->by != TFS_LS_PATTERNS)
		table.columns = sets ? "lrrrrll" : "lrrrrl";
	tfs_table_add(&table, names[s->by]);
	tfs_table_add(&table, s->by == TFS_LS_PATTERNS ? "" : "tensors");
	tfs_table_add(&table, s->by == TFS_LS_PATTERNS ? "dtype and shape" : "elements");
	tfs_table_add(&table, "bytes");
	tfs_table_add(&table, has_share(&terminal) ? "share" : "");
	tfs_table_add(&table, "");
	if (sets)
		tfs_table_add(&table, "set");
	for (size_t i = 0; i < s->n; i++)
		add_group(&table, s, order[i], &terminal);
	int r = tfs_table_print(&table, &terminal, true);
	tfs_table_fini(&table);
	return r;
}

/* --- Totals --------------------------------------------------------------------------------------------------------------- */

struct of_dtype {
	const char *name;
	uint64_t tensors, bytes;
};

/* More than there are. */
enum { SCHEMES_MAX = 64 };

struct totals {
	uint64_t tensors, parameters, bytes, computed;
	struct of_dtype *dtypes;
	size_t n_dtypes, room;
	const char *schemes[SCHEMES_MAX]; /* those of computed weights; the names are static */
	uint64_t of_scheme[SCHEMES_MAX];
	unsigned n_schemes;
};

static int count_dtype(struct totals *t, const struct tfs_tensor *tensor)
{
	size_t i = 0;

	while (i < t->n_dtypes && strcmp(t->dtypes[i].name, tensor->dtype->name) != 0)
		i++;
	if (i == t->n_dtypes) {
		if (tfs_array_room(t->dtypes, t->n_dtypes, t->room))
			return -ENOMEM;
		t->dtypes[t->n_dtypes++] = (struct of_dtype){ .name = tensor->dtype->name };
	}
	t->dtypes[i].tensors++;
	t->dtypes[i].bytes += tensor->nbytes;
	return 0;
}

static void count_scheme(struct totals *t, const char *scheme)
{
	unsigned i = 0;

	while (i < t->n_schemes && strcmp(t->schemes[i], scheme) != 0)
		i++;
	assert(i < SCHEMES_MAX);
	if (i == t->n_schemes)
		t->schemes[t->n_schemes++] = scheme;
	t->of_scheme[i]++;
	t->computed++;
}

/* Parameters are those of the model: of a quantised weight its values, not its codes and scales. */
static int count(const struct tfs_model *m, struct tfs_item item, struct totals *t)
{
	const struct tfs_tensor *tensor = tfs_item_tensor(m, item);

	if (tfs_is_scaled(tensor)) {
		count_scheme(t, tensor->encoding->scaled->scheme);
		t->parameters += elements_of(tensor);
		return 0;
	}
	if (!tfs_set_scaled_of(&m->sets[item.set], item.tensor))
		t->parameters += elements_of(tensor);
	t->tensors++;
	t->bytes += tensor->nbytes;
	return count_dtype(t, tensor);
}

static size_t count_files(const struct tfs_model *m, const struct tfs_items *items)
{
	cleanup_free bool *seen = calloc(m->n_nodes + 1, sizeof *seen);
	size_t n = 0;

	for (size_t i = 0; seen && i < items->n; i++) {
		const uint32_t node = tfs_item_tensor(m, items->items[i])->source;
		n += !seen[node];
		seen[node] = true;
	}
	return n;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* One of a list, of which the line has @at columns already. Returns how many it has then. */
static unsigned put_item(const char *text, unsigned at, unsigned width)
{
	const unsigned len = tfs_text_width(text, strlen(text));

	if (at && at + 2 + len >= width) {
		puts(",");
		at = 0;
	}
	printf("%s%s", at ? ", " : "", text);
	return at + (at ? 2 : 0) + len;
}

static void print_totals(const struct summary *s, const struct totals *t)
{
	const size_t files = count_files(s->model, s->items);
	char count[TFS_FIGURES_BYTES], bytes[TFS_FIGURES_BYTES];

	printf("\n%" PRIu64 " tensor%s, %s parameter%s, %s in %zu file%s\n", t->tensors, plural(t->tensors),
	       tfs_figures_count(count, (double)t->parameters), plural(t->parameters), tfs_figures_bytes(bytes, (double)t->bytes),
	       files, plural(files));
	const unsigned width = tfs_terminal_width(STDOUT_FILENO);
	unsigned at = 0;
	for (size_t i = 0; i < t->n_dtypes && s->by != TFS_LS_DTYPES; i++) {
		cleanup_free char *name = tfs_safe(t->dtypes[i].name, strlen(t->dtypes[i].name), "");
		char text[128];

		snprintf(text, sizeof text, "%s %s", name ? name : "?", tfs_figures_bytes(bytes, (double)t->dtypes[i].bytes));
		at = put_item(text, at, width);
	}
	if (at)
		putchar('\n');
	for (unsigned i = 0; i < t->n_schemes; i++)
		printf("%s%s (%" PRIu64 " weight%s)", i ? ", " : "quantised: ", t->schemes[i], t->of_scheme[i],
		       plural(t->of_scheme[i]));
	if (t->n_schemes)
		putchar('\n');
}

/* The files beside them that are weights, too, but aren't read. */
static void print_unread(const struct tfs_model *model)
{
	enum { MOST = 2 };
	unsigned n = 0;
	const char *what;
	char path[PATH_MAX];

	for (uint32_t node = 0; (what = tfs_model_unread(model, &node)); node++) {
		if (tfs_model_path(model, node, path, sizeof path) || n++ >= MOST)
			continue;
		cleanup_free char *safe = tfs_safe(path, strlen(path), "");

		printf("%s%s (%s)", n > 1 ? ", " : "not read: ", safe ? safe : "?", what);
	}
	if (n > MOST)
		printf(" and %u more", n - MOST);
	if (n)
		putchar('\n');
}

static int compare_dtypes(const void *a, const void *b)
{
	const struct of_dtype *s = a, *t = b;

	return s->bytes != t->bytes ? (s->bytes < t->bytes) - (s->bytes > t->bytes) : strcmp(s->name, t->name);
}

int tfs_ls_summary(const struct tfs_model *model, const struct tfs_items *items, enum tfs_ls_by by, enum tfs_ls_sort sort,
		   bool computed)
{
	struct summary s = { .model = model, .items = items, .by = by };
	struct totals t = { 0 };
	int r = 0;

	for (size_t i = 0; i < items->n && !r; i++) {
		r = count(model, items->items[i], &t);
		if (!r && (computed || !tfs_is_scaled(tfs_item_tensor(model, items->items[i]))))
			r = add(&s, i);
	}
	cleanup_free const void **order = calloc(2 * s.n + 1, sizeof *order);
	r = r ? r : order ? 0 : -ENOMEM;
	for (size_t i = 0; i < s.n && !r; i++)
		order[i] = &s.groups[i];
	/* By file, and as given, they are in the order of their first tensors. */
	if (!r && sort == TFS_LS_BY_SIZE)
		tfs_sort(order, s.n, order + s.n, compare_sizes);
	else if (!r && sort != TFS_LS_BY_FILE && !(sort == TFS_LS_AS_GIVEN && computed))
		tfs_sort(order, s.n, order + s.n, compare_names);
	if (!r)
		r = print_groups(&s, order);
	if (t.n_dtypes)
		qsort(t.dtypes, t.n_dtypes, sizeof *t.dtypes, compare_dtypes);
	if (!r)
		print_totals(&s, &t);
	if (!r)
		print_unread(model);
	free(t.dtypes);
	free(s.groups);
	free(s.table);
	free(s.buf);
	tfs_arena_fini(&s.arena);
	return r;
}
