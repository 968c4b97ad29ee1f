/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "cli/diff/impl.h"
#include "cli/output.h"
#include "cli/pattern.h"
#include "cli/table.h"

static const struct tfs_tensor *any_of(const struct tfs_diff_pair *p)
{
	return p->t[TFS_A] ? p->t[TFS_A] : p->t[TFS_B];
}

static char *label_of(const struct tfs_diff *d, const struct tfs_diff_pair *p)
{
	const int side = p->t[TFS_A] ? TFS_A : TFS_B;

	return tfs_item_label(d->sides[side].arg.model, &d->sides[side].scope, p->items[side]);
}

/* --- The table ------------------------------------------------------------------------------------------------------------ */

static void put_shape(FILE *f, const struct tfs_tensor *t)
{
	putc('[', f);
	for (unsigned i = 0; i < t->ndim; i++)
		fprintf(f, "%s%" PRIu64, i ? "," : "", t->shape[i]);
	putc(']', f);
}

/* "BF16 -> gptq [4096,4096]": what both have in common once. */
static void add_what(struct tfs_table *table, const struct tfs_diff_pair *p, const char *arrow)
{
	const struct tfs_tensor *a = p->t[TFS_A], *b = p->t[TFS_B];
	cleanup_free char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		table->failed = -ENOMEM;
		return;
	}
	fputs(tfs_diff_dtype(any_of(p)), f);
	if (a && b && strcmp(tfs_diff_dtype(a), tfs_diff_dtype(b)) != 0)
		fprintf(f, " %s %s", arrow, tfs_diff_dtype(b));
	putc(' ', f);
	put_shape(f, any_of(p));
	if (b && p->kind == TFS_OTHER_SHAPE) {
		fprintf(f, " %s ", arrow);
		put_shape(f, b);
	}
	if (fclose(f))
		table->failed = -ENOMEM;
	else
		tfs_table_add(table, text);
}

static void add_number(struct tfs_table *table, double v)
{
	if (isnan(v))
		tfs_table_add(table, "-");
	else
		tfs_table_addf(table, "%.3g", v);
}

static void add_figures(struct tfs_table *table, const struct tfs_diff_pair *p)
{
	const double cosine = tfs_difference_cosine(&p->d);

	/* Without values none is defined. */
	add_number(table, tfs_difference_max(&p->d));
	add_number(table, tfs_difference_mean(&p->d));
	add_number(table, tfs_difference_relative(&p->d));
	if (!isnan(cosine))
		tfs_table_addf(table, "%.6f", cosine);
	else
		tfs_table_add(table, "-");
}

static int add_pair(struct tfs_table *table, const struct tfs_diff *d, const struct tfs_diff_pair *p, const char *arrow)
{
	static const char *const marks[] = {
		[TFS_ONLY_A] = "-", [TFS_ONLY_B] = "+", [TFS_OTHER_DTYPE] = "t", [TFS_OTHER_SHAPE] = "s", [TFS_OTHER_CONTENT] = "!",
	};
	cleanup_free char *label = label_of(d, p);

	if (!label)
		return -ENOMEM;
	tfs_table_add(table, marks[p->kind]);
	tfs_table_add(table, label);
	add_what(table, p, arrow);
	add_figures(table, p);
	return table->failed;
}

static int print_table(const struct tfs_diff *d, const struct tfs_terminal *terminal)
{
	struct tfs_table table = { .columns = "lBlrrrr", .colours = { [0] = TFS_RED } };
	const char *const heads[] = { "", "name", "dtype and shape", "max", "mean", "rel. L2", "cosine" };
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		tfs_table_add(&table, heads[i]);
	for (size_t i = 0; i < d->n && !r; i++) {
		if (d->pairs[i].kind == TFS_EQUAL)
			continue;
		any = true;
		r = add_pair(&table, d, &d->pairs[i], terminal->utf8 ? "\u2192" : "->");
	}
	if (!r && any)
		r = tfs_table_print(&table, terminal, true);
	tfs_table_fini(&table);
	return r;
}

/* --- The grid: a row for each module, a column for each layer, and how much is different there ---------------------------- */

enum level { NOT_THERE, SAME, LEVEL_1, LEVEL_2, LEVEL_3, LEVEL_4, OTHERWISE, LEVELS };

/* Above these relative L2 norms a level ends. */
static const double limits[] = { [LEVEL_1] = 1e-3, [LEVEL_2] = 1e-2, [LEVEL_3] = 1e-1 };

struct cell {
	const char *pattern; /* in the arena */
	size_t len;
	uint64_t layer;
	enum level level;
};

struct grid {
	struct cell *cells;
	size_t n, room;
	struct tfs_arena arena;
	uint64_t layers; /* the highest number, plus 1 */
	uint64_t lowest;
	bool differs;
};

static enum level level_of(const struct tfs_diff_pair *p)
{
	if (p->kind == TFS_EQUAL)
		return SAME;
	if (!p->valued || p->d.not_finite || p->kind == TFS_OTHER_SHAPE)
		return OTHERWISE;
	const double relative = tfs_difference_relative(&p->d);
	if (!p->d.differ)
		return SAME;
	for (int i = LEVEL_1; i < LEVEL_4; i++)
		if (relative <= limits[i])
			return (enum level)i;
	return LEVEL_4;
}

static int add_cell(struct grid *g, const struct tfs_diff_pair *p)
{
	const struct tfs_tensor *t = any_of(p);
	uint64_t layer;

	tfs_pattern_layer(t->name, t->name_len, &layer);
	if (layer >= UINT32_MAX)
		return 0;
	char *pattern = tfs_arena_alloc(&g->arena, (size_t)t->name_len + 1, 1);
	if (!pattern || tfs_array_room(g->cells, g->n, g->room))
		return -ENOMEM;
	const size_t len = tfs_pattern_of(t->name, t->name_len, pattern);
	g->lowest = !g->n || layer < g->lowest ? layer : g->lowest;
	g->cells[g->n++] = (struct cell){ pattern, len, layer, level_of(p) };
	g->layers = layer >= g->layers ? layer + 1 : g->layers;
	g->differs |= level_of(p) > SAME;
	return 0;
}

static int compare_cells(const void *a, const void *b)
{
	const struct cell *c = a, *e = b;

	return tfs_pattern_compare(c->pattern, c->len, e->pattern, e->len);
}

static void put_cell(enum level level, const struct tfs_terminal *terminal)
{
	static const char *const shades[LEVELS] = { " ", "\u00b7", "\u2591", "\u2592", "\u2593", "\u2588", "!" };
	static const char *const letters[LEVELS] = { " ", ".", "-", "+", "*", "#", "!" };
	static const char *const colours[LEVELS] = { "0", TFS_DIM, TFS_BLUE, TFS_GREEN, "33", TFS_RED, "1;31" };
	const char *text = terminal->utf8 ? shades[level] : letters[level];

	if (terminal->colour && level != NOT_THERE)
		printf("\033[%sm%s\033[0m", colours[level], text);
	else
		fputs(text, stdout);
}

/* Columns for layers, and how many layers each of them is for. */
struct columns {
	unsigned label, n;
	uint64_t layers;
};

static struct columns columns_of(const struct grid *g, const struct tfs_terminal *terminal)
{
	struct columns c = { .label = 0 };

	for (size_t i = 0; i < g->n; i++)
		c.label = g->cells[i].len > c.label ? (unsigned)(g->cells[i].len > 60 ? 60 : g->cells[i].len) : c.label;
	if (c.label > terminal->width / 2)
		c.label = terminal->width / 2;
	const uint64_t room = terminal->width > c.label + 12 ? terminal->width - c.label - 2 : 10;
	c.layers = (g->layers + room - 1) / room;
	c.n = (unsigned)((g->layers + c.layers - 1) / c.layers);
	return c;
}

static void put_label(const struct cell *c, unsigned width)
{
	cleanup_free char *name = tfs_safe(c->pattern, c->len, "/%");
	const unsigned used = name ? tfs_text_width(name, strlen(name)) : 0;
	const char *text = name ? name : "";

	/* The end says more than the beginning. */
	for (unsigned drop = used > width ? used - width : 0; drop; drop--)
		for (text++; (*text & 0xc0) == 0x80;)
			text++;
	printf("%s%*s", text, used < width ? (int)(width - used) + 2 : 2, "");
}

static void put_legend(const struct columns *c, const struct tfs_terminal *terminal)
{
	static const char *const texts[LEVELS] = { [SAME] = "equal",	 [LEVEL_1] = "to 0.001", [LEVEL_2] = "to 0.01",
						   [LEVEL_3] = "to 0.1", [LEVEL_4] = "more",	 [OTHERWISE] = "other" };

	printf("%*s", (int)c->label + 2, "");
	if (c->layers > 1)
		printf("0, %" PRIu64 ", ... (%" PRIu64 " layers a column, the worst of them)\n", c->layers, c->layers);
	else
		puts("layer 0, 1, ...");
	printf("relative L2: ");
	for (int i = SAME; i < LEVELS; i++) {
		put_cell((enum level)i, terminal);
		printf(" %s%s", texts[i], i + 1 < LEVELS ? "   " : "\n");
	}
}

static int print_rows(const struct grid *g, const void *const *order, const struct columns *c, const struct tfs_terminal *terminal)
{
	cleanup_free enum level *row = calloc(c->n, sizeof *row);

	if (!row)
		return -ENOMEM;
	for (size_t i = 0; i < g->n;) {
		const struct cell *first = order[i];

		memset(row, 0, c->n * sizeof *row);
		for (; i < g->n && !compare_cells(order[i], first); i++) {
			const struct cell *cell = order[i];
			enum level *at = &row[cell->layer / c->layers];
			*at = cell->level > *at ? cell->level : *at;
		}
		put_label(first, c->label);
		for (unsigned k = 0; k < c->n; k++)
			put_cell(row[k], terminal);
		putchar('\n');
	}
	return 0;
}

static int print_grid(const struct tfs_diff *d, const struct tfs_terminal *terminal)
{
	struct grid g = { 0 };
	int r = 0;

	for (size_t i = 0; i < d->n && !r; i++)
		r = add_cell(&g, &d->pairs[i]);
	cleanup_free const void **order = calloc(2 * g.n + 1, sizeof *order);
	r = r ? r : order ? 0 : -ENOMEM;
	/* One layer would say what the table says. */
	if (!r && g.differs && g.lowest + 1 < g.layers) {
		const struct columns c = columns_of(&g, terminal);

		for (size_t i = 0; i < g.n; i++)
			order[i] = &g.cells[i];
		tfs_sort(order, g.n, order + g.n, compare_cells);
		putchar('\n');
		r = print_rows(&g, order, &c, terminal);
		put_legend(&c, terminal);
	}
	free(g.cells);
	tfs_arena_fini(&g.arena);
	return r;
}

/* --- All of it ------------------------------------------------------------------------------------------------------------ */

static void count(const struct tfs_diff *d, size_t counts[TFS_OTHER_CONTENT + 1], struct tfs_difference *all)
{
	for (size_t i = 0; i < d->n; i++) {
		counts[d->pairs[i].kind]++;
		if (d->pairs[i].valued)
			tfs_difference_merge(all, &d->pairs[i].d);
	}
}

int tfs_diff_report(const struct tfs_diff *d)
{
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	size_t n[TFS_OTHER_CONTENT + 1] = { 0 };
	struct tfs_difference all = { 0 };
	int r = print_table(d, &terminal);

	if (!r)
		r = print_grid(d, &terminal);
	count(d, n, &all);
	if (n[TFS_EQUAL] < d->n)
		putchar('\n');
	printf("%zu equal", n[TFS_EQUAL]);
	const struct {
		enum tfs_diff_kind kind;
		const char *text;
	} rows[] = {
		{ TFS_OTHER_CONTENT, "with other values" }, { TFS_OTHER_DTYPE, "of another type" },
		{ TFS_OTHER_SHAPE, "of another shape" },    { TFS_ONLY_A, "only in the first" },
		{ TFS_ONLY_B, "only in the second" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (n[rows[i].kind])
			printf(", %zu %s", n[rows[i].kind], rows[i].text);
	putchar('\n');
	return r;
}

static json_t *pair_json(const struct tfs_diff *d, const struct tfs_diff_pair *p)
{
	static const char *const kinds[] = {
		[TFS_OTHER_DTYPE] = "dtype", [TFS_OTHER_SHAPE] = "shape", [TFS_OTHER_CONTENT] = "content"
	};
	cleanup_free char *label = label_of(d, p);
	json_t *o = json_pack("{s:o, s:s, s:[o, o], s:[o, o]}", "name",
			      d->sides[TFS_A].scope.several && label ? tfs_json_text(label) : tfs_json_name(any_of(p)), "differs",
			      kinds[p->kind], "dtype", tfs_json_text(tfs_diff_dtype(p->t[TFS_A])),
			      tfs_json_text(tfs_diff_dtype(p->t[TFS_B])), "shape", tfs_json_shape(p->t[TFS_A]),
			      tfs_json_shape(p->t[TFS_B]));

	const uint64_t differ = p->d.differ + p->d.not_finite;
	/* Without values no figure is defined either. */
	json_object_set_new(o, "values", p->valued ? json_integer((json_int_t)p->d.n) : json_null());
	json_object_set_new(o, "values_that_differ", p->valued ? json_integer((json_int_t)differ) : json_null());
	json_object_set_new(o, "not_finite", p->valued ? json_integer((json_int_t)p->d.not_finite) : json_null());
	json_object_set_new(o, "max_absolute", tfs_json_real(tfs_difference_max(&p->d)));
	json_object_set_new(o, "mean_absolute", tfs_json_real(tfs_difference_mean(&p->d)));
	json_object_set_new(o, "relative_l2", tfs_json_real(tfs_difference_relative(&p->d)));
	json_object_set_new(o, "cosine", tfs_json_real(tfs_difference_cosine(&p->d)));
	return o;
}

int tfs_diff_report_json(const struct tfs_diff *d)
{
	size_t n[TFS_OTHER_CONTENT + 1] = { 0 };
	struct tfs_difference all = { 0 };
	json_t *only[TFS_SIDES] = { json_array(), json_array() }, *changed = json_array();

	count(d, n, &all);
	for (size_t i = 0; i < d->n; i++) {
		const struct tfs_diff_pair *p = &d->pairs[i];
		cleanup_free char *label = label_of(d, p);

		if (p->kind == TFS_ONLY_A || p->kind == TFS_ONLY_B)
			json_array_append_new(only[p->kind == TFS_ONLY_B], d->sides[TFS_A].scope.several && label ?
										   tfs_json_text(label) :
										   tfs_json_name(any_of(p)));
		else if (p->kind != TFS_EQUAL)
			json_array_append_new(changed, pair_json(d, p));
	}
	json_t *o = json_pack("{s:o, s:o, s:I, s:o, s:o, s:o}", "a", tfs_json_text(d->sides[TFS_A].path), "b",
			      tfs_json_text(d->sides[TFS_B].path), "equal", (json_int_t)n[TFS_EQUAL], "only_a", only[TFS_A],
			      "only_b", only[TFS_B], "changed", changed);
	int r = tfs_json_print(o);
	json_decref(o);
	return r;
}
