/* SPDX-License-Identifier: MIT */
#include "cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"

enum { WIDTH_OF_TERMINAL = 80, WIDTH_OF_FILE = 100 };

unsigned tfs_terminal_width(int fd)
{
	struct winsize w = { 0 };

	if (!isatty(fd))
		return WIDTH_OF_FILE;
	return ioctl(fd, TIOCGWINSZ, &w) || !w.ws_col ? WIDTH_OF_TERMINAL : w.ws_col;
}

struct tfs_terminal tfs_terminal_of(int fd)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	struct tfs_terminal t = { .is = isatty(fd) && !(term && !strcmp(term, "dumb")) };

	setlocale(LC_CTYPE, "");
	t.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	t.colour = t.is && !(no_colour && no_colour[0]);
	t.width = tfs_terminal_width(fd);
	return t;
}

/* Does this sequence of two or more bytes control a terminal: U+0080 to U+009F, or U+200E, U+202A and the like? */
static bool is_control_sequence(const unsigned char *s, unsigned len)
{
	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0;
	if (len != 3 || s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && ((s[2] >= 0x8e && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

/* Bytes of the character at @s that may be written as they are; 0: it has to be escaped, for which it has *@ret_len bytes. */
static unsigned plain(const char *s, const char *end, const char *more, unsigned *ret_len)
{
	const unsigned char c = (unsigned char)*s;

	*ret_len = 1;
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f && !strchr(more, c);
	const unsigned n = tfs_utf8_sequence(s, end);
	if (!n)
		return 0;
	*ret_len = n;
	return is_control_sequence((const unsigned char *)s, n) ? 0 : n;
}

void tfs_put_safe(FILE *f, const char *s, size_t len, const char *more)
{
	const char *end = s + len;
	unsigned n;

	while (s < end) {
		const char *from = s;

		while (s < end && plain(s, end, more, &n))
			s += n;
		fwrite_unlocked(from, 1, (size_t)(s - from), f);
		if (s == end)
			break;
		plain(s, end, more, &n);
		for (; n; n--)
			fprintf(f, "%%%02X", (unsigned char)*s++);
	}
}

bool tfs_is_safe(const char *s, size_t len, const char *more)
{
	const char *end = s + len;
	unsigned n;

	while (s < end && plain(s, end, more, &n))
		s += n;
	return s == end;
}

char *tfs_safe(const char *s, size_t len, const char *more)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	tfs_put_safe(f, s, len, more);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

unsigned tfs_text_width(const char *s, size_t len)
{
	unsigned width = 0;

	for (size_t i = 0; i < len; i++)
		width += (s[i] & 0xc0) != 0x80;
	return width;
}
