/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Replace what a terminal could interpret as a command: C0 controls, DEL, and the C1 controls, which in UTF-8 are C2 80..9F (U+009B
 * starts an escape sequence like ESC [).
 */
static void defuse(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
}

int tfs_error_set(struct tfs_error *err, int code, uint64_t offset, const char *fmt, ...)
{
	char what[sizeof err->what]; /* the arguments may point into @err */
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	defuse(what);
	memcpy(err->what, what, sizeof what);
	err->code = code;
	err->offset = offset;
	return code;
}

void tfs_error_in(struct tfs_error *err, const char *file)
{
	size_t len = strlen(file);

	if (!err || err->file[0])
		return;
	if (len >= sizeof err->file)
		file += len - (sizeof err->file - 1);
	snprintf(err->file, sizeof err->file, "%s", file);
	defuse(err->file);
}

const char *tfs_error_line(const struct tfs_error *err, char *buf, unsigned long size)
{
	char offset[40] = "";

	if (err->offset != TFS_NO_OFFSET)
		snprintf(offset, sizeof offset, "byte %llu: ", (unsigned long long)err->offset);
	snprintf(buf, size, "%s%s%s%s", err->file, err->file[0] ? ": " : "", offset, err->what);
	return buf;
}

bool tfs_error_names_url(const char *text, const char *url)
{
	unsigned long len = strlen(url);

	while (len && url[len - 1] == '/')
		len--;
	return strstr(url, "://") && !strncmp(text, url, len) && (text[len] == '/' || text[len] == ':');
}

const char *tfs_quote(char *buf, unsigned long size, const char *s, unsigned long len)
{
	static const char hex[] = "0123456789abcdef";
	char *out = buf, *end = buf + size - sizeof "...\""; /* room for the closing quote and its NUL */
	unsigned long i;

	*out++ = '"';
	for (i = 0; i < len; i++) {
		unsigned char c = s[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
			if (end - out < 4)
				break;
			*out++ = '\\';
			if (c == '"' || c == '\\') {
				*out++ = c;
				continue;
			}
			*out++ = 'x';
			*out++ = hex[c >> 4];
			*out++ = hex[c & 15];
			continue;
		}
		/* A multi-byte character is copied whole or not at all, so look ahead at its first byte. */
		if (end - out < (c >= 0xc0 ? 4 : 1))
			break;
		*out++ = c;
	}
	memcpy(out, i < len ? "...\"" : "\"", i < len ? 5 : 2);
	return buf;
}
