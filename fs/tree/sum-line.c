/* SPDX-License-Identifier: MIT */
#include "tree/sum-line.h"

#include <stdbool.h>
#include <string.h>

static void put_escaped(FILE *f, const char *s)
{
	for (; *s; s++)
		if (*s == '\n' || *s == '\r' || *s == '\\')
			fprintf(f, "\\%c", *s == '\n' ? 'n' : *s == '\r' ? 'r' : '\\');
		else
			putc(*s, f);
}

void tfs_sum_line_put(FILE *f, const char *hash, const char *dir, const char *name)
{
	bool escape = strpbrk(dir, "\n\r");

	fprintf(f, "%s%s  ", escape ? "\\" : "", hash);
	if (!escape) {
		fprintf(f, "%s/%s\n", dir, name);
		return;
	}
	put_escaped(f, dir);
	putc('/', f);
	put_escaped(f, name);
	putc('\n', f);
}
