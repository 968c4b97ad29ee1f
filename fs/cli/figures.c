/* SPDX-License-Identifier: MIT */
#include "cli/figures.h"

#include <stdio.h>
#include <string.h>

unsigned tfs_figures_bar(char *buf, unsigned width, double share, bool utf8)
{
	/* U+2588 FULL BLOCK down to U+258F LEFT ONE EIGHTH BLOCK: e2 96 88 to e2 96 8f. */
	unsigned parts = utf8 ? 8 : 1, n = 0;

	share = share > 0 ? share < 1 ? share : 1 : 0; /* NaN is 0 */
	unsigned filled = (unsigned)(share * width * parts + 0.5);
	if (share > 0 && !filled && width)
		filled = 1;
	for (unsigned i = 0; i < filled / parts; i++, n++)
		buf = stpcpy(buf, utf8 ? "\u2588" : "#");
	if (filled % parts) {
		*buf++ = (char)0xe2;
		*buf++ = (char)0x96;
		*buf++ = (char)(0x88 + parts - filled % parts);
		n++;
	}
	*buf = 0;
	return n;
}

static char *scaled(char *buf, double n, const char *const *units, unsigned n_units)
{
	unsigned u = 0;

	/* What would be rounded to four digits is written in the next larger unit. */
	while (n >= 999.5 && u < n_units - 1) {
		n /= 1000;
		u++;
	}
	const int digits = !u || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
	snprintf(buf, TFS_FIGURES_BYTES, "%.*f%s%s", digits, n, *units[u] ? " " : "", units[u]);
	return buf;
}

char *tfs_figures_bytes(char *buf, double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };

	return scaled(buf, bytes, units, sizeof units / sizeof *units);
}

char *tfs_figures_count(char *buf, double count)
{
	static const char *const units[] = { "", "K", "M", "B", "T" };

	return scaled(buf, count, units, sizeof units / sizeof *units);
}
