/* SPDX-License-Identifier: MIT */
/* tensorfs ls: the tensors of a model, without a mount. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/model-arg.h"
#include "tree/resolve.h"
#include "tree/row.h"

enum format { SHORT, LONG, TSV, JSON };

enum { OPT_LONG = 'l', OPT_TSV = 256, OPT_JSON };

static const struct tfs_option ls_options[] = {
	{ OPT_LONG, "long", NULL, "also file, offset and path in the mount; bytes in full" },
	{ OPT_TSV, "tsv", NULL, "for programs: all columns with tabs between them, as in .tensorfs/index.tsv" },
	{ OPT_JSON, "json", NULL, "for programs: one JSON array, as in .tensorfs/index.json" },
	{ 0 },
};

static bool take(void *arg, int id, const char *value)
{
	enum format *format = arg;

	(void)value;
	*format = id == OPT_LONG ? LONG : id == OPT_TSV ? TSV : JSON;
	return true;
}

/* --- Which tensors --------------------------------------------------------------------------------------------------- */

static int add_all(const struct tfs_model *m, struct tfs_files *files)
{
	for (uint32_t s = 0; s < m->n_sets; s++)
		for (uint32_t t = 0; t < tfs_set_n_all(&m->sets[s]); t++) {
			if (tfs_array_room(files->ids, files->n, files->room))
				return -ENOMEM;
			files->ids[files->n++] = (struct tfs_file_id){ s, t, t < m->sets[s].n_tensors ? TFS_RAW : TFS_F32 };
		}
	return 0;
}

/* What is wrong is printed, and what else is named is found all the same. */
static int add_named(struct tfs_tree *tree, char **names, int n, struct tfs_files *files)
{
	int result = 0;

	for (int i = 0; i < n; i++) {
		int r = tfs_resolve_name(tree, names[i], files);
		if (r == -ENOMEM)
			return r;
		if (r) {
			tfs_log_error("%s: no tensor has that name, and no directory of tensors", names[i]);
			result = r;
		}
	}
	return result;
}

/* Call @act for each row until it returns other than 0, and return that. */
static int each(struct tfs_rows *rows, const struct tfs_files *files, int (*act)(void *arg, const struct tfs_row *row), void *arg)
{
	struct tfs_row row;
	int r = 0;

	for (size_t i = 0; i < files->n && !r; i++) {
		r = tfs_rows_get(rows, files->ids[i].set, files->ids[i].tensor, &row);
		if (!r)
			r = act(arg, &row);
	}
	return r;
}

/* --- Lines for programs ---------------------------------------------------------------------------------------------- */

static int put_tsv(void *arg, const struct tfs_row *row)
{
	(void)arg;
	tfs_row_put_tsv(stdout, row);
	return 0;
}

static int print_tsv(struct tfs_rows *rows, const struct tfs_files *files)
{
	tfs_row_put_tsv_head(stdout);
	return each(rows, files, put_tsv, NULL);
}

static int put_json(void *arg, const struct tfs_row *row)
{
	bool *first = arg;

	fputs(*first ? "\n" : ",\n", stdout);
	*first = false;
	tfs_row_put_json(stdout, row);
	return 0;
}

static int print_json(struct tfs_rows *rows, const struct tfs_files *files)
{
	bool first = true;

	putchar('[');
	int r = each(rows, files, put_json, &first);
	puts("\n]");
	return r;
}

/* --- A table for people ---------------------------------------------------------------------------------------------- */

/* A wider cell moves the rest of its line: names may have 64 KiB, and one of those is not to move all lines. */
enum { WIDTH_MAX = 100 };

struct table {
	bool full; /* bytes, not the likes of "2.15 GB" */
	unsigned n;
	enum tfs_column columns[TFS_COLUMNS];
	int widths[TFS_COLUMNS];
	/* The cell that was made last. */
	FILE *f;
	char *text;
	size_t len;
};

static bool is_number(enum tfs_column c)
{
	return c == TFS_COLUMN_BYTES || c == TFS_COLUMN_OFFSET;
}

/* Columns of a terminal that UTF-8 takes, as near as it can be said without a locale. */
static int width_of(const char *s, size_t len)
{
	int width = 0;

	for (size_t i = 0; i < len; i++)
		width += (s[i] & 0xc0) != 0x80;
	return width;
}

/* Column @c of @row, or with NULL its heading, into table->text. */
static int make_cell(struct table *table, const struct tfs_row *row, enum tfs_column c)
{
	char bytes[TFS_FIGURES_BYTES];

	rewind(table->f);
	if (!row)
		fputs(tfs_column_names[c], table->f);
	else if (c == TFS_COLUMN_BYTES && !table->full)
		fputs(tfs_figures_bytes(bytes, (double)row->tensor->nbytes), table->f);
	else
		tfs_row_put(table->f, row, c);
	return fflush(table->f) ? -ENOMEM : 0;
}

static int measure(void *arg, const struct tfs_row *row)
{
	struct table *table = arg;

	for (unsigned i = 0; i < table->n; i++) {
		if (make_cell(table, row, table->columns[i]))
			return -ENOMEM;
		int width = width_of(table->text, table->len);
		if (width > table->widths[i])
			table->widths[i] = width < WIDTH_MAX ? width : WIDTH_MAX;
	}
	return 0;
}

static int print(void *arg, const struct tfs_row *row)
{
	struct table *table = arg;

	for (unsigned i = 0; i < table->n; i++) {
		bool last = i + 1 == table->n, right = is_number(table->columns[i]);
		if (make_cell(table, row, table->columns[i]))
			return -ENOMEM;
		int pad = table->widths[i] - width_of(table->text, table->len);
		if (pad < 0)
			pad = 0;
		printf("%*s", right ? pad : 0, "");
		fwrite(table->text, 1, table->len, stdout);
		printf("%*s", last ? 0 : right ? 2 : pad + 2, "");
	}
	putchar('\n');
	return 0;
}

static int print_table(struct tfs_rows *rows, const struct tfs_files *files, bool several_sets, bool scaled, bool all_columns)
{
	struct table table = { .full = all_columns };

	for (int c = 0; c < TFS_COLUMNS; c++)
		if (all_columns || c <= TFS_COLUMN_BYTES || (c == TFS_COLUMN_SET && several_sets) ||
		    (c == TFS_COLUMN_SCHEME && scaled))
			table.columns[table.n++] = c;
	table.f = open_memstream(&table.text, &table.len);
	int r = table.f ? measure(&table, NULL) : -ENOMEM;
	if (!r)
		r = each(rows, files, measure, &table);
	if (!r)
		r = print(&table, NULL);
	if (!r)
		r = each(rows, files, print, &table);
	if (table.f)
		fclose(table.f);
	free(table.text);
	return r;
}

/* --- The command ----------------------------------------------------------------------------------------------------- */

static bool has_scaled(const struct tfs_model *m)
{
	for (size_t i = 0; i < m->n_sets; i++)
		if (m->sets[i].n_scaled)
			return true;
	return false;
}

static int print_files(const struct tfs_model_arg *arg, const struct tfs_files *files, enum format format)
{
	struct tfs_rows *rows = tfs_rows_create(arg->model, arg->tree);

	int r = !rows	       ? -ENOMEM :
		format == TSV  ? print_tsv(rows, files) :
		format == JSON ? print_json(rows, files) :
				 print_table(rows, files, arg->model->n_sets > 1, has_scaled(arg->model), format == LONG);
	tfs_rows_destroy(rows);
	if (r)
		tfs_log_error("listing the model: %s", strerror(-r));
	return r ? r : tfs_command_flush();
}

static int ls_main(int argc, char **argv)
{
	enum format format = SHORT;
	struct tfs_files files = { 0 };
	struct tfs_model_arg arg;
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_ls_command, argc, argv, take, &format, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	if (tfs_model_arg_open(argv[first], &arg))
		return TFS_EXIT_FAILED;
	int n_names = argc - first - 1;
	int found = n_names ? add_named(arg.tree, argv + first + 1, n_names, &files) : add_all(arg.model, &files);
	int printed = 0;
	if (found == -ENOMEM)
		tfs_log_error("out of memory");
	else if (!found || files.n) /* no head of a table with nothing in it */
		printed = print_files(&arg, &files, format);
	free(files.ids);
	tfs_model_arg_close(&arg);
	return found || printed ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

const struct tfs_command tfs_ls_command = {
	.name = "tensorfs ls",
	.summary = "list a model's tensors",
	.operands = "MODEL [NAME...]",
	.min_operands = 1,
	.max_operands = INT_MAX,
	.about =
		"List the tensors of a model, which may be a directory or one weight file: name, dtype, shape, bytes, and the set "
		"where there are several. NAME is a tensor, a glob of tensors, or a path in the mount, such as tensors, sets/STEM/tensors "
		"or 'unet/tensors/*.bias'.",
	.status = "Exit status: 0 listed, 1 failed, or no tensor has a name, 2 wrong usage. See tensorfs-ls(1).",
	.tables = { ls_options },
	.run = ls_main,
};
