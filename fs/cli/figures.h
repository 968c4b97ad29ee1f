/* SPDX-License-Identifier: MIT */
/* Human-readable figures. */
#ifndef TFS_CLI_FIGURES_H
#define TFS_CLI_FIGURES_H

#include <stdbool.h>

/*
 * A bar of @width columns at most, @share (0 to 1) of them filled, into @buf (4 * @width + 1 bytes); never empty if @share isn't 0.
 * In eighths of a column if the terminal has UTF-8, else of '#'. Returns the columns that it uses.
 */
unsigned tfs_figures_bar(char *buf, unsigned width, double share, bool utf8);

/* "7.62 B": thousands, millions, billions, as models' sizes are given; @buf as below. Returns @buf. */
char *tfs_figures_count(char *buf, double count);

/* "2.15 GB", decimal, as storage is counted; @buf has TFS_FIGURES_BYTES bytes. Returns @buf. */
enum { TFS_FIGURES_BYTES = 16 };
char *tfs_figures_bytes(char *buf, double bytes);

#endif
