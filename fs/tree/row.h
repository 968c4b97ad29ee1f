/* SPDX-License-Identifier: MIT */
/*
 * A tensor as a row of a table, with the columns of index.tsv, index.json and tensorfs ls; tensorfs(7) describes them.
 */
#ifndef TFS_TREE_ROW_H
#define TFS_TREE_ROW_H

#include <stdint.h>
#include <stdio.h>

#include "tree/tree.h"

enum tfs_column {
	TFS_COLUMN_NAME,
	TFS_COLUMN_DTYPE,
	TFS_COLUMN_SHAPE,
	TFS_COLUMN_BYTES,
	TFS_COLUMN_SET,
	TFS_COLUMN_SOURCE,
	TFS_COLUMN_OFFSET,
	TFS_COLUMN_PATH,
	TFS_COLUMN_SCHEME,
	TFS_COLUMNS,
};
extern const char *const tfs_column_names[TFS_COLUMNS];

struct tfs_row {
	const struct tfs_tensor *tensor;
	const char *set;    /* "dir/model" */
	const char *source; /* path of its file in the model */
	const char *dir;    /* its tensors/ in the mount, or f32/ for a scaled weight … */
	const char *file;   /* … and its name there */
	const char *scheme; /* of a scaled weight; "" for a stored tensor */
};

/* Makes rows, quickly if adjacent ones have much in common. Not thread-safe. */
struct tfs_rows;

/* Model and tree must outlive it. NULL: out of memory. */
struct tfs_rows *tfs_rows_create(const struct tfs_model *model, struct tfs_tree *tree);
void tfs_rows_destroy(struct tfs_rows *rows); /* takes NULL */

/* The row of a tensor, valid until the next one is requested. 0, -ENOMEM or -ENAMETOOLONG. */
int tfs_rows_get(struct tfs_rows *rows, uint32_t set, uint32_t tensor, struct tfs_row *ret_row);

/* One column as in index.tsv: without tabs, newlines or other control characters. */
void tfs_row_put(FILE *f, const struct tfs_row *row, enum tfs_column column);

/* All columns: a line of index.tsv, ended by a newline; an object of index.json. */
void tfs_row_put_tsv_head(FILE *f);
void tfs_row_put_tsv(FILE *f, const struct tfs_row *row);
void tfs_row_put_json(FILE *f, const struct tfs_row *row);

#endif
