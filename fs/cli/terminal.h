/* SPDX-License-Identifier: MIT */
/* What output may look like where it goes; and text from files that must not affect a terminal. */
#ifndef TFS_CLI_TERMINAL_H
#define TFS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct tfs_terminal {
	bool is;	/* a terminal at all, and one that can move its cursor */
	bool colour;	/* a terminal, and NO_COLOR (no-color.org) isn't set */
	bool utf8;	/* the locale's encoding, terminal or not */
	unsigned width; /* columns; 100 if it isn't a terminal */
};

/* Of a descriptor: STDOUT_FILENO or STDERR_FILENO. Sets the locale's encoding, so not thread-safe. */
struct tfs_terminal tfs_terminal_of(int fd);

/* Its width now: windows are resized. */
unsigned tfs_terminal_width(int fd);

/* Escape sequences, without the ESC [ and the m: "1" is bold. */
#define TFS_BOLD  "1"
#define TFS_DIM	  "2"
#define TFS_RED	  "31"
#define TFS_GREEN "32"
#define TFS_BLUE  "36"

/*
 * Write text of any origin. What could affect a terminal (base/safe.h) is written as %XX, and so are the characters in @more, as in file
 * names of the mount ("/%").
 */
void tfs_put_safe(FILE *f, const char *s, size_t len, const char *more);

/* A line on standard error, written so. */
void tfs_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same as a string, malloc()ed; NULL: out of memory. And: would it be the text itself? */
char *tfs_safe(const char *s, size_t len, const char *more);
bool tfs_is_safe(const char *s, size_t len, const char *more);

/* Columns of text that tfs_put_safe() wrote, as well as can be told without a table of wide characters. */
unsigned tfs_text_width(const char *s, size_t len);

#endif
