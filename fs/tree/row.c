/* SPDX-License-Identifier: MIT */
#include "tree/row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "tensor/scaled.h"

const char *const tfs_column_names[TFS_COLUMNS] = {
	[TFS_COLUMN_NAME] = "name",	[TFS_COLUMN_DTYPE] = "dtype", [TFS_COLUMN_SHAPE] = "shape",
	[TFS_COLUMN_BYTES] = "bytes",	[TFS_COLUMN_SET] = "set",     [TFS_COLUMN_SOURCE] = "source",
	[TFS_COLUMN_OFFSET] = "offset", [TFS_COLUMN_PATH] = "path",   [TFS_COLUMN_SCHEME] = "scheme",
};

/* --- Making them --------------------------------------------------------------------------------------------------------- */

/* What the rows of a set have in common; and those of a source, as adjacent ones usually have the same. */
struct tfs_rows {
	const struct tfs_model *model;
	struct tfs_tree *tree;
	uint32_t set_index, source_node; /* of the last row; UINT32_MAX: none */
	char set[TFS_PATH_SIZE];	 /* DIR/STEM */
	char views[TFS_PATH_SIZE];	 /* the path of its tensors/ in the mount */
	char f32[TFS_PATH_SIZE];	 /* that of its f32/ */
	char source[TFS_PATH_SIZE];
	char file[TFS_NAME_MAX + 1];
};

struct tfs_rows *tfs_rows_create(const struct tfs_model *model, struct tfs_tree *tree)
{
	struct tfs_rows *rows = malloc(sizeof *rows);

	if (rows) {
		rows->model = model;
		rows->tree = tree;
		rows->set_index = rows->source_node = UINT32_MAX;
	}
	return rows;
}

void tfs_rows_destroy(struct tfs_rows *rows)
{
	free(rows);
}

static int enter_set(struct tfs_rows *rows, uint32_t set)
{
	const struct tfs_set *s = &rows->model->sets[set];
	int r = tfs_tree_view_path(rows->tree, set, TFS_VIEW_TENSORS, rows->views, sizeof rows->views);

	if (!r && s->n_scaled)
		r = tfs_tree_view_path(rows->tree, set, TFS_VIEW_F32, rows->f32, sizeof rows->f32);
	rows->set[0] = 0;
	if (!r && s->dir != TFS_NODE_ROOT)
		r = tfs_model_path(rows->model, s->dir, rows->set, sizeof rows->set);
	size_t len = strlen(rows->set), room = sizeof rows->set - len;
	if (!r && snprintf(rows->set + len, room, "%s%s", len ? "/" : "", s->stem) >= (int)room)
		r = -ENAMETOOLONG;
	rows->set_index = r ? UINT32_MAX : set;
	return r;
}

static int enter_source(struct tfs_rows *rows, uint32_t node)
{
	int r = tfs_model_path(rows->model, node, rows->source, sizeof rows->source);

	rows->source_node = r ? UINT32_MAX : node;
	return r;
}

int tfs_rows_get(struct tfs_rows *rows, uint32_t set, uint32_t tensor, struct tfs_row *ret_row)
{
	const struct tfs_tensor *t = tfs_set_tensor(&rows->model->sets[set], tensor);
	const bool scaled = tensor >= rows->model->sets[set].n_tensors;
	struct tfs_inode inode = {
		.kind = TFS_INO_TENSOR, .view = scaled ? TFS_VIEW_F32 : TFS_VIEW_TENSORS, .set = set, .tensor = tensor
	};

	int r = rows->set_index == set ? 0 : enter_set(rows, set);
	if (!r && rows->source_node != t->source)
		r = enter_source(rows, t->source);
	if (!r)
		r = tfs_tree_file_name(rows->tree, inode, rows->file);
	if (!r)
		*ret_row = (struct tfs_row){ t,
					     rows->set,
					     rows->source,
					     scaled ? rows->f32 : rows->views,
					     rows->file,
					     scaled ? t->encoding->scaled->scheme : "" };
	return r;
}

/* --- Text ---------------------------------------------------------------------------------------------------------------- */

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* Writes @s up to the first byte for which @special is true, and returns its position, or @end. */
static const char *put_plain(FILE *f, const char *s, const char *end, bool (*special)(unsigned char))
{
	const char *p = s;
	while (p < end && !special(*p))
		p++;
	fwrite_unlocked(s, 1, (size_t)(p - s), f);
	return p;
}

/* A path in a line: directories of the model may have any name; tensors' names are already escaped. */
static void put_path(FILE *f, const char *s)
{
	const char *end = s + strlen(s);
	while ((s = put_plain(f, s, end, is_control)) < end)
		fprintf(f, "%%%02X", (unsigned char)*s++);
}

/* A tensor's name, escaped as in its file name, but not truncated. */
static void put_name(FILE *f, const struct tfs_tensor *t)
{
	const char *s = t->name, *end = s + t->name_len;
	while ((s = put_plain(f, s, end, tfs_must_escape)) < end)
		fprintf(f, "%%%02X", (unsigned char)*s++);
}

static void put_shape(FILE *f, const struct tfs_tensor *t)
{
	putc_unlocked('[', f);
	for (unsigned i = 0; i < t->ndim; i++)
		fprintf(f, "%s%" PRIu64, i ? "," : "", t->shape[i]);
	putc_unlocked(']', f);
}

void tfs_row_put(FILE *f, const struct tfs_row *row, enum tfs_column column)
{
	const struct tfs_tensor *t = row->tensor;

	switch (column) {
	case TFS_COLUMN_NAME:
		if (tfs_name_is_cut(t->name, t->name_len) || *row->scheme)
			put_name(f, t);
		else
			fputs(row->file, f);
		break;
	case TFS_COLUMN_DTYPE:
		fputs(t->dtype->name, f);
		break;
	case TFS_COLUMN_SHAPE:
		put_shape(f, t);
		break;
	case TFS_COLUMN_BYTES:
		fprintf(f, "%" PRIu64, t->nbytes);
		break;
	case TFS_COLUMN_SET:
		put_path(f, row->set);
		break;
	case TFS_COLUMN_SOURCE:
		put_path(f, row->source);
		break;
	case TFS_COLUMN_OFFSET:
		fprintf(f, "%" PRIu64, t->offset);
		break;
	case TFS_COLUMN_PATH:
		put_path(f, row->dir);
		fprintf(f, "/%s", row->file);
		break;
	case TFS_COLUMN_SCHEME:
		fputs(*row->scheme ? row->scheme : "-", f);
		break;
	case TFS_COLUMNS:
		break;
	}
}

void tfs_row_put_tsv_head(FILE *f)
{
	for (int c = 0; c < TFS_COLUMNS; c++)
		fprintf(f, "%s%c", tfs_column_names[c], c + 1 < TFS_COLUMNS ? '\t' : '\n');
}

void tfs_row_put_tsv(FILE *f, const struct tfs_row *row)
{
	for (int c = 0; c < TFS_COLUMNS; c++) {
		tfs_row_put(f, row, c);
		putc_unlocked(c + 1 < TFS_COLUMNS ? '\t' : '\n', f);
	}
}

static bool is_special_in_json(unsigned char c)
{
	return is_control(c) || c == '"' || c == '\\' || c >= 0x80;
}

/* A JSON string; bytes that aren't UTF-8 (the name of a file or directory may be anything) are shown as '?'. */
static void put_string(FILE *f, const char *s, size_t len)
{
	const char *end = s + len;

	putc_unlocked('"', f);
	while ((s = put_plain(f, s, end, is_special_in_json)) < end) {
		unsigned char c = *s;
		unsigned n = tfs_utf8_sequence(s, end);
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (is_control(c))
			fprintf(f, "\\u%04x", c);
		else if (n)
			fwrite_unlocked(s, 1, n, f);
		else
			putc_unlocked('?', f);
		s += n ? n : 1;
	}
	putc_unlocked('"', f);
}

static void put_member(FILE *f, const char *key, const char *s)
{
	fprintf(f, ", \"%s\": ", key);
	put_string(f, s, strlen(s));
}

void tfs_row_put_json(FILE *f, const struct tfs_row *row)
{
	const struct tfs_tensor *t = row->tensor;

	fputs("{\"name\": ", f);
	put_string(f, t->name, t->name_len);
	put_member(f, "dtype", t->dtype->name); /* a descr may have quotes in it */
	fputs(", \"shape\": ", f);
	put_shape(f, t);
	fprintf(f, ", \"bytes\": %" PRIu64, t->nbytes);
	put_member(f, "set", row->set);
	put_member(f, "source", row->source);
	fprintf(f, ", \"offset\": %" PRIu64 ", \"path\": ", t->offset);
	/* A tensor's file name needs no escaping beyond that of any string. */
	char path[TFS_PATH_SIZE + TFS_NAME_MAX + 2];
	int len = snprintf(path, sizeof path, "%s/%s", row->dir, row->file);
	put_string(f, path, (size_t)len);
	if (*row->scheme)
		put_member(f, "scheme", row->scheme);
	else
		fputs(", \"scheme\": null", f);
	putc_unlocked('}', f);
}
