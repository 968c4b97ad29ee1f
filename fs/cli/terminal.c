/* SPDX-License-Identifier: MIT */
#include "cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/safe.h"

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

void tfs_put_safe(FILE *f, const char *s, size_t len, const char *more)
{
	const char *end = s + len;
	unsigned n;

	while (s < end) {
		const char *from = s;

		while (s < end && tfs_safe_bytes(s, end, more, &n))
			s += n;
		fwrite_unlocked(from, 1, (size_t)(s - from), f);
		if (s == end)
			break;
		tfs_safe_bytes(s, end, more, &n);
		for (; n; n--)
			fprintf(f, "%%%02X", (unsigned char)*s++);
	}
}

void tfs_complain(const char *fmt, ...)
{
	cleanup_free char *text = NULL, *safe = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		safe = tfs_safe(text, strlen(text), "");
	fprintf(stderr, "%s\n", safe ? safe : "out of memory");
}

bool tfs_is_safe(const char *s, size_t len, const char *more)
{
	const char *end = s + len;
	unsigned n;

	while (s < end && tfs_safe_bytes(s, end, more, &n))
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
