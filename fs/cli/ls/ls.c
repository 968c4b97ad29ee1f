/* SPDX-License-Identifier: MIT */
/* tensorfs ls: what is in a model, without a mount. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sort.h"
#include "cli/commands.h"
#include "cli/ls/impl.h"
#include "cli/pattern.h"
#include "cli/table.h"
#include "tree/row.h"

enum format { SUMMARY, LONG, TSV };

struct options {
	struct tfs_model_options model;
	enum format format;
	int sort; /* enum tfs_ls_sort */
	int by;	  /* enum tfs_ls_by */
};

enum { OPT_LONG = 'l', OPT_TSV = 256, OPT_SORT, OPT_BY };

static const struct tfs_option ls_options[] = {
	{ OPT_LONG, "long", NULL, "one tensor a line, with all columns and exact bytes" },
	{ OPT_BY, "by", "layer|dtype|file", "summarise by this rather than by name" },
	{ OPT_SORT, "sort", "size|name|file", "order: the largest first, by name, as in the files" },
	{ OPT_TSV, "tsv", NULL, "for programs: one tensor a line, columns separated by tabs, as in .tensorfs/index.tsv" },
	{ 0 },
};

static bool take(void *arg, int id, const char *value)
{
	static const char *const sorts[] = { "size", "name", "file", NULL }, *const bys[] = { "layer", "dtype", "file", NULL };
	struct options *o = arg;

	switch (id) {
	case OPT_LONG:
		o->format = LONG;
		return true;
	case OPT_TSV:
		o->format = TSV;
		return true;
	case OPT_SORT:
		if (!tfs_value_word("--sort", value, sorts, &o->sort))
			return false;
		o->sort += TFS_LS_BY_SIZE;
		return true;
	case OPT_BY:
		if (!tfs_value_word("--by", value, bys, &o->by))
			return false;
		o->by += TFS_LS_LAYERS;
		return true;
	default:
		return tfs_model_options_take(&o->model, id, value);
	}
}

/* --- Order ---------------------------------------------------------------------------------------------------------------- */

struct sorted {
	struct tfs_item item;
	const struct tfs_tensor *t;
};

static int compare_size(const void *a, const void *b)
{
	const struct tfs_tensor *s = ((const struct sorted *)a)->t, *t = ((const struct sorted *)b)->t;

	return (s->nbytes < t->nbytes) - (s->nbytes > t->nbytes);
}

static int compare_name(const void *a, const void *b)
{
	const struct tfs_tensor *s = ((const struct sorted *)a)->t, *t = ((const struct sorted *)b)->t;

	return tfs_pattern_compare(s->name, s->name_len, t->name, t->name_len);
}

static int compare_file(const void *a, const void *b)
{
	const struct tfs_tensor *s = ((const struct sorted *)a)->t, *t = ((const struct sorted *)b)->t;

	if (s->source != t->source)
		return s->source < t->source ? -1 : 1;
	return (s->offset > t->offset) - (s->offset < t->offset);
}

static int sort_items(const struct tfs_model *m, struct tfs_items *items, enum tfs_ls_sort how)
{
	cleanup_free struct sorted *all = calloc(items->n + 1, sizeof *all);
	cleanup_free const void **order = calloc(2 * items->n + 1, sizeof *order);

	if (!all || !order)
		return -ENOMEM;
	for (size_t i = 0; i < items->n; i++) {
		all[i] = (struct sorted){ items->items[i], tfs_item_tensor(m, items->items[i]) };
		order[i] = &all[i];
	}
	if (how == TFS_LS_BY_SIZE)
		tfs_sort(order, items->n, order + items->n, compare_size);
	else if (how == TFS_LS_BY_NAME)
		tfs_sort(order, items->n, order + items->n, compare_name);
	else
		tfs_sort(order, items->n, order + items->n, compare_file);
	for (size_t i = 0; i < items->n; i++)
		items->items[i] = ((const struct sorted *)order[i])->item;
	return 0;
}

/* --- Lists ---------------------------------------------------------------------------------------------------------------- */

/* Call @act for each row until it returns other than 0, and return that. */
static int each(struct tfs_rows *rows, const struct tfs_items *items, int (*act)(void *arg, const struct tfs_row *row), void *arg)
{
	struct tfs_row row;
	int r = 0;

	for (size_t i = 0; i < items->n && !r; i++) {
		r = tfs_rows_get(rows, items->items[i].set, items->items[i].tensor, &row);
		if (!r)
			r = act(arg, &row);
	}
	return r;
}

static int put_tsv(void *arg, const struct tfs_row *row)
{
	(void)arg;
	tfs_row_put_tsv(stdout, row);
	return 0;
}

static int print_tsv(struct tfs_rows *rows, const struct tfs_items *items)
{
	tfs_row_put_tsv_head(stdout);
	return each(rows, items, put_tsv, NULL);
}

static int put_json(void *arg, const struct tfs_row *row)
{
	bool *first = arg;

	fputs(*first ? "\n" : ",\n", stdout);
	*first = false;
	tfs_row_put_json(stdout, row);
	return 0;
}

static int print_json(struct tfs_rows *rows, const struct tfs_items *items)
{
	bool first = true;

	putchar('[');
	int r = each(rows, items, put_json, &first);
	puts("\n]");
	return r;
}

struct listing {
	struct tfs_table table;
	/* The cell that was made last. */
	FILE *f;
	char *text;
	size_t len;
};

static int add_row(void *arg, const struct tfs_row *row)
{
	struct listing *l = arg;

	for (int c = 0; c < TFS_COLUMNS; c++) {
		rewind(l->f);
		tfs_row_put(l->f, row, c);
		putc(0, l->f);
		if (fflush(l->f))
			return -ENOMEM;
		tfs_table_add(&l->table, l->text);
	}
	return l->table.failed;
}

static int print_long(struct tfs_rows *rows, const struct tfs_items *items)
{
	const struct tfs_terminal terminal = tfs_terminal_of(STDOUT_FILENO);
	struct listing l = { .table = { .columns = "lllrllrll" } };
	int r;

	l.f = open_memstream(&l.text, &l.len);
	for (int c = 0; c < TFS_COLUMNS; c++)
		tfs_table_add(&l.table, tfs_column_names[c]);
	r = l.f ? each(rows, items, add_row, &l) : -ENOMEM;
	if (!r)
		r = tfs_table_print(&l.table, &terminal, true);
	if (l.f)
		fclose(l.f);
	free(l.text);
	tfs_table_fini(&l.table);
	return r;
}

/* --- The command ----------------------------------------------------------------------------------------------------- */

static int print_items(const struct tfs_model_arg *arg, struct tfs_items *items, const struct options *o, bool named)
{
	struct tfs_rows *rows = tfs_rows_create(arg->model, arg->tree);
	int r = !rows ? -ENOMEM : o->sort ? sort_items(arg->model, items, o->sort) : 0;

	if (!r)
		r = o->model.json     ? print_json(rows, items) :
		    o->format == TSV  ? print_tsv(rows, items) :
		    o->format == LONG ? print_long(rows, items) :
					tfs_ls_summary(arg->model, items, o->by, o->sort, named);
	tfs_rows_destroy(rows);
	if (r)
		tfs_log_error("listing the model: %s", strerror(-r));
	return r ? r : tfs_command_flush();
}

/* Without --set and names all sets are listed, as in the indexes. */
static int find_scope(const struct tfs_model *m, const char *set, bool named, struct tfs_scope *ret_scope)
{
	struct tfs_scope all = { .n = m->n_sets };

	if (set || named)
		return tfs_scope_find(m, set, ret_scope);
	all.sets = reallocarray(NULL, m->n_sets + 1, sizeof *all.sets);
	if (!all.sets)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_sets; i++)
		all.sets[i] = i;
	*ret_scope = all;
	return 0;
}

static int list(const struct tfs_model_arg *arg, const struct options *o, char **names, int n)
{
	struct tfs_items items = { 0 };
	struct tfs_scope scope;

	int found = find_scope(arg->model, o->model.set, n, &scope);
	if (found)
		return TFS_EXIT_USAGE;
	found = tfs_items_select(arg, &scope, names, n, &items);
	int status = found == -ENOENT ? TFS_EXIT_FAILED : TFS_EXIT_OK;
	if (found == -ENOMEM) {
		tfs_log_error("out of memory");
		status = TFS_EXIT_USAGE;
	} else if ((!found || items.n) && print_items(arg, &items, o, n)) { /* no heading for an empty table */
		status = TFS_EXIT_USAGE;
	}
	free(items.items);
	tfs_scope_fini(&scope);
	return status;
}

static int ls_main(int argc, char **argv)
{
	struct options o = { 0 };
	struct tfs_model_arg arg;
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_ls_command, argc, argv, take, &o, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_model_arg_open(argv[first], &arg))
		return TFS_EXIT_USAGE;
	const int status = list(&arg, &o, argv + first + 1, argc - first - 1);
	tfs_model_arg_close(&arg);
	return status;
}

const struct tfs_command tfs_ls_command = {
	.name = "tensorfs ls",
	.summary = "list a model's tensors, or summarise them",
	.operands = "MODEL [NAME...]",
	.min_operands = 1,
	.max_operands = INT_MAX,
	.about =
		"Say what is in a model, which may be a directory or one weight file: a line for all tensors whose names differ only in "
		"numbers, and totals. NAME is a tensor, a glob, or a path in the mount, such as "
		"tensors, sets/STEM/tensors or 'unet/tensors/*.bias'.",
	.status = "Exit status: 0 listed, 1 a NAME matches nothing, 2 failed, or a usage error. See tensorfs-ls(1).",
	.tables = { ls_options, tfs_model_options },
	.run = ls_main,
};
