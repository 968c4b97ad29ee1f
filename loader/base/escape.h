/* SPDX-License-Identifier: MIT */
/*
 * Any string as a file name: '/', '%' and control characters, NUL among them, are written as %XX, in capitals; so are "." and "..";
 * the empty string is "%". Each string has one such form, and no two have the same.
 */
#ifndef TFS_BASE_ESCAPE_H
#define TFS_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool tfs_must_escape(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '/' || c == '%';
}

/* The value of a hexadecimal digit in capitals; > 15: it isn't one. */
static inline unsigned tfs_hex_digit(char c)
{
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10) : 16;
}

/* What the file name of @len bytes at @s stands for, into @ret (@len bytes): its length; SIZE_MAX: it is no string's form. */
static inline size_t tfs_unescape(const char *s, size_t len, char *ret)
{
	const bool dots = (len == 3 || len == 6) && !memcmp("%2E%2E", s, len);
	size_t n = 0;

	if (len == 1 && *s == '%')
		return 0;
	if (!len || (len <= 2 && s[0] == '.' && s[len - 1] == '.'))
		return SIZE_MAX;
	for (size_t i = 0; i < len; i++) {
		unsigned c = (unsigned char)s[i];

		if (c == '%') {
			const unsigned high = len - i > 2 ? tfs_hex_digit(s[i + 1]) : 16,
				       low = high < 16 ? tfs_hex_digit(s[i + 2]) : 16;

			c = 16 * high + low;
			i += 2;
			if (low > 15 || !(tfs_must_escape((unsigned char)c) || dots))
				return SIZE_MAX;
		} else if (tfs_must_escape((unsigned char)c)) {
			return SIZE_MAX;
		}
		ret[n++] = (char)c;
	}
	return n;
}

#endif
