/* SPDX-License-Identifier: MIT */
/* Well-formed UTF-8 (Unicode, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef TFS_BASE_UTF8_H
#define TFS_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed sequence of two or more bytes at @at, which is before @end; 0 if there is none. */
static inline unsigned tfs_utf8_sequence(const char *at, const char *end)
{
	const unsigned char *s = (const unsigned char *)at;
	unsigned char lo = 0x80, hi = 0xbf; /* of the second byte */
	unsigned len;

	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		len = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		len = 3;
		if (s[0] == 0xe0)
			lo = 0xa0;
		else if (s[0] == 0xed)
			hi = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		len = 4;
		if (s[0] == 0xf0)
			lo = 0x90;
		else if (s[0] == 0xf4)
			hi = 0x8f;
	} else {
		return 0;
	}
	if ((size_t)(end - at) < len || s[1] < lo || s[1] > hi)
		return 0;
	for (unsigned i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* Are the @len bytes at @s well-formed throughout? */
static inline bool tfs_utf8_valid(const char *s, size_t len)
{
	for (const char *end = s + len; s < end;) {
		unsigned n = *s & 0x80 ? tfs_utf8_sequence(s, end) : 1;

		if (!n)
			return false;
		s += n;
	}
	return true;
}

#endif
