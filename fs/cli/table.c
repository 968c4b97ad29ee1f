/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

/* A wider cell shifts the rest of its row: names may have 64 KiB, and a single one shouldn't shift all rows. */
enum { WIDTH_MAX = 100 };

/* A column that is shortened keeps this many columns of the terminal. */
enum { WIDTH_MIN = 12 };

void tfs_table_fini(struct tfs_table *t)
{
	tfs_arena_fini(&t->arena);
	free(t->cells);
}

void tfs_table_add(struct tfs_table *t, const char *text)
{
	cleanup_free char *safe = tfs_is_safe(text, strlen(text), "") ? NULL : tfs_safe(text, strlen(text), "");
	const char *copy = t->failed ? NULL : tfs_arena_copy(&t->arena, safe ? safe : text, strlen(safe ? safe : text));

	if (!copy || tfs_array_room(t->cells, t->n, t->room))
		t->failed = -ENOMEM;
	else
		t->cells[t->n++] = copy;
}

void tfs_table_addf(struct tfs_table *t, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;
	tfs_table_add(t, text ? text : "");
	if (!text)
		t->failed = -ENOMEM;
}

void tfs_table_add_name(struct tfs_table *t, const char *name, size_t len)
{
	cleanup_free char *text = tfs_safe(name, len, "/%");

	tfs_table_add(t, text ? text : "");
	if (!text)
		t->failed = -ENOMEM;
}

static bool is_shortened(char column)
{
	return column == 'B' || column == 'E';
}

static const char *skip_columns(const char *text, unsigned n)
{
	for (; n; n--)
		for (text++; (*text & 0xc0) == 0x80;)
			text++;
	return text;
}

/* @text, which takes @width columns, in at most @room of them. */
static void put_short(const char *text, unsigned width, unsigned room, char column, bool utf8)
{
	const char *dots = utf8 ? "\u2026" : "...";
	const unsigned for_dots = tfs_text_width(dots, strlen(dots));

	if (width <= room)
		fputs(text, stdout);
	else if (column == 'E')
		printf("%.*s%s", (int)(skip_columns(text, room - for_dots) - text), text, dots);
	else
		printf("%s%s", dots, skip_columns(text, width - room + for_dots));
}

static void put_row(const struct tfs_table *t, const char *const *cells, const unsigned *widths,
		    const struct tfs_terminal *terminal, bool heading)
{
	unsigned n = (unsigned)strlen(t->columns);

	while (n && !cells[n - 1][0])
		n--;
	for (unsigned c = 0; c < n; c++) {
		const unsigned width = tfs_text_width(cells[c], strlen(cells[c])), room = widths[c];
		const int pad = width < room ? (int)(room - width) : 0;
		const bool right = t->columns[c] == 'r', last = c + 1 == n;
		const char *colour = !terminal->colour ? NULL : heading ? TFS_BOLD : t->colours[c];

		printf("%*s", right ? pad : 0, "");
		if (colour && width)
			printf("\033[%sm", colour);
		put_short(cells[c], width, is_shortened(t->columns[c]) && terminal->is ? room : width, t->columns[c],
			  terminal->utf8);
		if (colour && width)
			fputs("\033[0m", stdout);
		printf("%*s", last ? 0 : right ? 2 : pad + 2, "");
	}
	putchar('\n');
}

/* Of the columns that can still be shortened. */
static unsigned *widest(const struct tfs_table *t, unsigned *widths)
{
	unsigned *found = NULL;

	for (unsigned c = 0; t->columns[c]; c++)
		if (is_shortened(t->columns[c]) && widths[c] > (found ? *found : WIDTH_MIN))
			found = &widths[c];
	return found;
}

int tfs_table_print(const struct tfs_table *t, const struct tfs_terminal *terminal, bool heading)
{
	const unsigned n = (unsigned)strlen(t->columns);
	unsigned widths[TFS_TABLE_COLUMNS] = { 0 }, total = 2 * (n - 1);

	if (t->failed)
		return t->failed;
	for (size_t i = 0; i < t->n; i++) {
		const unsigned width = tfs_text_width(t->cells[i], strlen(t->cells[i]));
		if (width > widths[i % n])
			widths[i % n] = width < WIDTH_MAX ? width : WIDTH_MAX;
	}
	for (unsigned c = 0; c < n; c++)
		total += widths[c];
	for (unsigned *w; terminal->is && total > terminal->width && (w = widest(t, widths)); total--)
		--*w;
	for (size_t i = 0; i + n <= t->n; i += n)
		put_row(t, t->cells + i, widths, terminal, heading && !i);
	return 0;
}
