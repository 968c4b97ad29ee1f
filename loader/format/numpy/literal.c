/* SPDX-License-Identifier: MIT */
#include "format/numpy/literal.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"

int tfs_literal_refuse(struct tfs_literal *l, const uint8_t *at, const char *fmt, ...)
{
	char what[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return tfs_error_set(l->err, -EINVAL, at - l->start, "%s", what);
}

int tfs_literal_expected(struct tfs_literal *l, const char *what)
{
	return tfs_literal_refuse(l, l->at, "%s %s", l->at == l->end ? "the header ends, expected" : "expected", what);
}

void tfs_literal_space(struct tfs_literal *l)
{
	while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\n' || *l->at == '\r' || *l->at == '\f'))
		l->at++;
}

bool tfs_literal_take(struct tfs_literal *l, char c)
{
	tfs_literal_space(l);
	if (l->at == l->end || *l->at != (uint8_t)c)
		return false;
	l->at++;
	return true;
}

int tfs_literal_want(struct tfs_literal *l, char c)
{
	return tfs_literal_take(l, c) ? 0 : tfs_literal_expected(l, (const char[]){ '`', c, '`', 0 });
}

int tfs_literal_another(struct tfs_literal *l, char close)
{
	if (tfs_literal_take(l, close))
		return 0;
	if (!tfs_literal_take(l, ','))
		return tfs_literal_expected(l, (const char[]){ '`', ',', '`', ' ', 'o', 'r', ' ', '`', close, '`', 0 });
	return !tfs_literal_take(l, close);
}

bool tfs_literal_word(struct tfs_literal *l, const char *word)
{
	size_t len = strlen(word);
	const uint8_t *end;

	tfs_literal_space(l);
	if ((size_t)(l->end - l->at) < len || memcmp(l->at, word, len))
		return false;
	end = l->at + len;
	if (end < l->end && (isalnum(*end) || *end == '_'))
		return false;
	l->at = end;
	return true;
}

int tfs_literal_number(struct tfs_literal *l, uint64_t *ret)
{
	const uint8_t *start;
	uint64_t v = 0;

	tfs_literal_space(l);
	start = l->at;
	if (l->at < l->end && *l->at == '-')
		return tfs_literal_refuse(l, start, "a negative number");
	for (; l->at < l->end && *l->at >= '0' && *l->at <= '9'; l->at++)
		if (ckd_mul(&v, v, 10) || ckd_add(&v, v, *l->at - '0'))
			return tfs_literal_refuse(l, start, "a number of more than 64 bits");
	if (l->at == start)
		return tfs_literal_expected(l, "a number");
	if (*start == '0' && l->at - start > 1)
		return tfs_literal_refuse(l, start, "a number that begins with 0");
	if (l->at < l->end && *l->at == 'L') /* Python 2 */
		l->at++;
	*ret = v;
	return 0;
}

/* --- Strings ------------------------------------------------------------------------------------------------------- */

static int hex_escape(struct tfs_literal *l, unsigned digits, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digits; i++, l->at++) {
		uint8_t c = l->at < l->end ? *l->at : 0, lower = c | 0x20;

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (lower >= 'a' && lower <= 'f')
			v = v << 4 | (lower - 'a' + 10);
		else
			return tfs_literal_expected(l, "a hex digit");
	}
	if (v > 0x10ffff)
		return tfs_literal_refuse(l, l->at, "a character above U+10FFFF");
	*ret = v;
	return 0;
}

static int read_escape(struct tfs_literal *l, uint32_t *ret)
{
	static const char simple[] = "\\\\''\"\"n\nr\rt\t";
	char c = l->at < l->end ? (char)*l->at++ : 0;

	for (size_t i = 0; c && i < sizeof simple - 1; i += 2)
		if (simple[i] == c) {
			*ret = (unsigned char)simple[i + 1];
			return 0;
		}
	if (c == 'x')
		return hex_escape(l, 2, ret);
	if (c == 'u')
		return hex_escape(l, 4, ret);
	if (c == 'U')
		return hex_escape(l, 8, ret);
	return tfs_literal_refuse(l, l->at, "an unsupported escape");
}

int tfs_literal_char(struct tfs_literal *l, uint8_t quote, uint32_t *ret)
{
	unsigned len;
	int r;

	if (l->at == l->end || *l->at == '\n')
		return tfs_literal_refuse(l, l->at, "an unterminated string");
	if (*l->at == quote) {
		l->at++;
		return 0;
	}
	if (*l->at == '\\') {
		l->at++;
		r = read_escape(l, ret);
		return r ? r : 1;
	}
	if (*l->at < 0x80 || !l->utf8) {
		*ret = *l->at++;
		return 1;
	}
	len = tfs_utf8_sequence((const char *)l->at, (const char *)l->end);
	if (!len)
		return tfs_literal_refuse(l, l->at, "invalid UTF-8");
	*ret = *l->at++ & (0x7f >> len);
	while (--len)
		*ret = *ret << 6 | (*l->at++ & 0x3f);
	return 1;
}

int tfs_literal_open(struct tfs_literal *l, const char *what, uint8_t *ret_quote)
{
	tfs_literal_space(l);
	if (l->end - l->at > 1 && *l->at == 'u' && (l->at[1] == '\'' || l->at[1] == '"'))
		l->at++;
	if (l->at == l->end || (*l->at != '\'' && *l->at != '"'))
		return tfs_literal_expected(l, what);
	*ret_quote = *l->at++;
	return 0;
}

int tfs_literal_short(struct tfs_literal *l, const char *what, char *buf, size_t size)
{
	const uint8_t *start;
	size_t len = 0;
	uint8_t quote = 0;
	uint32_t c = 0;
	int r = tfs_literal_open(l, what, &quote);

	start = l->at;
	while (!r && (r = tfs_literal_char(l, quote, &c)) > 0) {
		if (c < 0x20 || c > 0x7e || len + 1 == size)
			return tfs_literal_refuse(l, start, "a string that isn't a %s", what);
		buf[len++] = c;
		r = 0;
	}
	buf[len] = 0;
	return r;
}
