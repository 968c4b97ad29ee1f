/* SPDX-License-Identifier: MIT */
/* A table for people: cells of text in columns that are as wide as needed. */
#ifndef TFS_CLI_TABLE_H
#define TFS_CLI_TABLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "cli/terminal.h"

enum { TFS_TABLE_COLUMNS = 12 };

/* Embedded; set the first fields and leave the others zero. */
struct tfs_table {
	/*
	 * A letter for each: 'l' aligned left, 'r' right. What is aligned left may be shortened where the terminal is too narrow: at its
	 * beginning ('B'), as names differ in layers and modules, which come later, or at its end ('E').
	 */
	const char *columns;
	const char *colours[TFS_TABLE_COLUMNS]; /* TFS_BLUE …; NULL: none */

	struct tfs_arena arena;
	const char **cells; /* row by row */
	size_t n, room;
	int failed; /* -ENOMEM: from then on nothing is added */
};

void tfs_table_fini(struct tfs_table *t);

/* Add the next cell, row by row. What could affect a terminal is escaped, as tfs_put_safe() does. */
void tfs_table_add(struct tfs_table *t, const char *text);
void tfs_table_addf(struct tfs_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One with the name of a tensor, of @len bytes, escaped as a file name is. */
void tfs_table_add_name(struct tfs_table *t, const char *name, size_t len);

/* Print to standard output, which is @terminal; @heading: the first row is one. 0 or -ENOMEM. */
int tfs_table_print(const struct tfs_table *t, const struct tfs_terminal *terminal, bool heading);

#endif
