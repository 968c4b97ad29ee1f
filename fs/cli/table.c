/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

/* A wider cell shifts the rest of its row: names may have 64 KiB, and a single one shouldn't shift all rows. */
enum { WIDTH_MAX = 100 };

/* The column that shrinks keeps this many columns of the terminal. */
enum { WIDTH_MIN = 20 };

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

/* @text in at most @room columns, without its beginning: names differ in layers and modules, which come later. */
static void put_short(const char *text, unsigned width, unsigned room, bool utf8)
{
	if (width > room) {
		const char *dots = utf8 ? "\u2026" : "...";

		for (unsigned drop = width - room + tfs_text_width(dots, strlen(dots)); drop; drop--)
			for (text++; (*text & 0xc0) == 0x80;)
				text++;
		fputs(dots, stdout);
	}
	fputs(text, stdout);
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
		put_short(cells[c], width, (int)c == t->shrinks && terminal->is ? room : width, terminal->utf8);
		if (colour && width)
			fputs("\033[0m", stdout);
		printf("%*s", last ? 0 : right ? 2 : pad + 2, "");
	}
	putchar('\n');
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
	if (terminal->is && t->shrinks >= 0 && total > terminal->width) {
		unsigned *w = &widths[t->shrinks], over = total - terminal->width;
		const unsigned least = *w < WIDTH_MIN ? *w : WIDTH_MIN;
		*w = *w > over + least ? *w - over : least;
	}
	for (size_t i = 0; i + n <= t->n; i += n)
		put_row(t, t->cells + i, widths, terminal, heading && !i);
	return 0;
}
