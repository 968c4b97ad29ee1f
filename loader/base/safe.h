/* SPDX-License-Identifier: MIT */
/*
 * Text of any origin that can't affect a terminal: control characters, including U+0080 to U+009F, those that change the direction of
 * writing, and bytes that aren't UTF-8 are written as %XX.
 */
#ifndef TFS_BASE_SAFE_H
#define TFS_BASE_SAFE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/utf8.h"

/* Does this sequence of two or more bytes control a terminal: U+0080 to U+009F, or U+200E, U+202A and the like? */
static inline bool tfs_is_control_sequence(const unsigned char *s, unsigned len)
{
	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0;
	if (len != 3 || s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && ((s[2] >= 0x8e && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

/*
 * Bytes of the character at @s, before @end, that may be written as they are; 0: it has to be escaped, for which it has *@ret_len bytes.
 * So have the characters in @more.
 */
static inline unsigned tfs_safe_bytes(const char *s, const char *end, const char *more, unsigned *ret_len)
{
	const unsigned char c = (unsigned char)*s;

	*ret_len = 1;
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f && !strchr(more, c);
	const unsigned n = tfs_utf8_sequence(s, end);
	if (!n)
		return 0;
	*ret_len = n;
	return tfs_is_control_sequence((const unsigned char *)s, n) ? 0 : n;
}

/* The string @s into @buf: what fits in @size bytes, always with a NUL. Three times its length and one always fits. Returns @buf. */
static inline char *tfs_safe_copy(char *buf, size_t size, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *end = s + strlen(s);
	char *to = buf, *last = buf + size - 1;
	unsigned n;

	while (s < end) {
		const bool plain = tfs_safe_bytes(s, end, "", &n);

		if ((size_t)(last - to) < (plain ? n : 3 * n))
			break;
		for (; n; n--, s++) {
			if (plain) {
				*to++ = *s;
				continue;
			}
			*to++ = '%';
			*to++ = hex[(unsigned char)*s >> 4];
			*to++ = hex[*s & 15];
		}
	}
	*to = 0;
	return buf;
}

#endif
