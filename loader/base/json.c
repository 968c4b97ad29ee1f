/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"

void tfs_json_init(struct tfs_json *j, char *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	*j = (struct tfs_json){ .at = buf, .start = buf, .end = buf + len, .offset = offset, .err = err };
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

static __attribute__((cold)) int fail_at(struct tfs_json *j, const char *at, const char *what)
{
	return tfs_error_set(j->err, -EINVAL, j->offset + (uint64_t)(at - j->start), "JSON: %s", what);
}

/* "found X where EXPECTED belongs" for the byte at the cursor */
static __attribute__((cold)) int unexpected(struct tfs_json *j, const char *expected)
{
	unsigned char c = j->at < j->end ? *j->at : 0;
	char found[24], what[128];

	if (j->at == j->end)
		snprintf(found, sizeof found, "the end");
	else if (c > 0x20 && c < 0x7f)
		snprintf(found, sizeof found, "'%c'", c);
	else
		snprintf(found, sizeof found, "byte 0x%02x", c);
	snprintf(what, sizeof what, "found %s where %s belongs", found, expected);
	return fail_at(j, j->at, what);
}

/* --- Between values ---------------------------------------------------------------------------------------------- */

static inline void skip_space(struct tfs_json *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
		j->at++;
}

/* Skip white space; is @c next? */
static inline bool next_is(struct tfs_json *j, char c)
{
	skip_space(j);
	return j->at < j->end && *j->at == c;
}

static inline bool digit_at(const struct tfs_json *j)
{
	return j->at < j->end && *j->at >= '0' && *j->at <= '9';
}

static inline int enter(struct tfs_json *j, char c, const char *expected)
{
	if (!next_is(j, c))
		return unexpected(j, expected);
	if (j->depth == TFS_JSON_MAX_DEPTH)
		return fail_at(j, j->at, "nested deeper than 127 levels");
	j->at++;
	j->depth++;
	j->first = true;
	return 0;
}

/* Go to the next member: over the comma, where one belongs. 0: it was the end of the container. */
static inline int advance(struct tfs_json *j, char close, const char *expected)
{
	if (next_is(j, close)) {
		j->at++;
		j->depth--;
		j->first = false; /* the container that we are back in has this one as a member */
		return 0;
	}
	if (!j->first) {
		if (j->at == j->end || *j->at != ',')
			return unexpected(j, expected);
		j->at++;
	}
	j->first = false;
	return 1;
}

int tfs_json_object_begin(struct tfs_json *j)
{
	return enter(j, '{', "an object");
}

int tfs_json_array_begin(struct tfs_json *j)
{
	return enter(j, '[', "an array");
}

int tfs_json_array_next(struct tfs_json *j)
{
	return advance(j, ']', "',' or ']'");
}

int tfs_json_object_next(struct tfs_json *j, struct tfs_json_text *ret_key)
{
	int r = advance(j, '}', "',' or '}'");

	if (r <= 0)
		return r;
	if (!next_is(j, '"'))
		return unexpected(j, "a key");
	r = tfs_json_string(j, ret_key);
	if (r)
		return r;
	if (!next_is(j, ':'))
		return unexpected(j, "':'");
	j->at++;
	return 1;
}

int tfs_json_end(struct tfs_json *j)
{
	skip_space(j);
	return j->at == j->end ? 0 : unexpected(j, "the end");
}

int tfs_json_peek(struct tfs_json *j)
{
	skip_space(j);
	if (digit_at(j) || (j->at < j->end && *j->at == '-'))
		return TFS_JSON_NUMBER;
	switch (j->at < j->end ? *j->at : '\0') {
	case '{':
		return TFS_JSON_OBJECT;
	case '[':
		return TFS_JSON_ARRAY;
	case '"':
		return TFS_JSON_STRING;
	case 't':
		return TFS_JSON_TRUE;
	case 'f':
		return TFS_JSON_FALSE;
	case 'n':
		return TFS_JSON_NULL;
	default:
		return unexpected(j, "a value");
	}
}

/* --- Strings ----------------------------------------------------------------------------------------------------- */

/*
 * A byte in every byte of a word, and the high bits of those that are zero, or less than n (up to 128): exact for the
 * lowest one found, which is the one that we use. From Bit Twiddling Hacks, "Determine if a word has a zero byte".
 */
#define EACH(c)	       (0x0101010101010101ull * (c))
#define HAS_ZERO(w)    (((w)-EACH(1)) & ~(w)&EACH(0x80))
#define HAS_LESS(w, n) (((w)-EACH(n)) & ~(w)&EACH(0x80))

/* The first byte of [p, end) that ends a string's plain ASCII: '"', '\\', a control character, or one above 0x7f. */
static inline char *skip_plain(char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t w, hit;

		memcpy(&w, p, 8);
		w = le64toh(w);
		hit = HAS_ZERO(w ^ EACH('"')) | HAS_ZERO(w ^ EACH('\\')) | HAS_LESS(w, 0x20) | (w & EACH(0x80));
		if (hit)
			return p + __builtin_ctzll(hit) / 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = c;
	} else if (c < 0x800) {
		*out++ = 0xc0 | c >> 6;
		*out++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*out++ = 0xe0 | c >> 12;
		*out++ = 0x80 | (c >> 6 & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	} else {
		*out++ = 0xf0 | c >> 18;
		*out++ = 0x80 | (c >> 12 & 0x3f);
		*out++ = 0x80 | (c >> 6 & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	}
	return out;
}

/* The four hex digits at @p as a number, or -1. */
static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		unsigned char c = p[i], lower = c | 0x20;

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (lower >= 'a' && lower <= 'f')
			v = v << 4 | (lower - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* Decode the \u escape at the cursor, or the pair of them, into *@out, which lies at or before the cursor. */
static int unicode_escape(struct tfs_json *j, char **out)
{
	const char *escape = j->at;
	int32_t c = hex4(j->at + 2, j->end), low;

	if (c < 0)
		return fail_at(j, escape, "\\u without four hex digits");
	j->at += 6;
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail_at(j, escape, "lone low surrogate");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (j->end - j->at < 6 || j->at[0] != '\\' || j->at[1] != 'u')
			return fail_at(j, escape, "lone high surrogate");
		low = hex4(j->at + 2, j->end);
		if (low < 0xdc00 || low > 0xdfff)
			return fail_at(j, escape, "lone high surrogate");
		j->at += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*out = put_utf8(*out, c);
	return 0;
}

/* Decode the escape at the cursor (a backslash). No escape is shorter than what it stands for. */
static int escape(struct tfs_json *j, char **out)
{
	char c;

	switch (j->end - j->at >= 2 ? j->at[1] : '\0') {
	case '"':
	case '\\':
	case '/':
		c = j->at[1];
		break;
	case 'b':
		c = '\b';
		break;
	case 'f':
		c = '\f';
		break;
	case 'n':
		c = '\n';
		break;
	case 'r':
		c = '\r';
		break;
	case 't':
		c = '\t';
		break;
	case 'u':
		return unicode_escape(j, out);
	default:
		return fail_at(j, j->at, "unknown escape in a string");
	}
	*(*out)++ = c;
	j->at += 2;
	return 0;
}

int tfs_json_string(struct tfs_json *j, struct tfs_json_text *ret)
{
	char *begin, *out, *plain;
	unsigned len;
	int r;

	if (!next_is(j, '"'))
		return unexpected(j, "a string");
	begin = out = ++j->at;
	for (;;) {
		plain = j->at;
		j->at = skip_plain(plain, j->end);
		while (j->at < j->end && (unsigned char)*j->at >= 0x80) {
			len = tfs_utf8_sequence(j->at, j->end);
			if (!len)
				return fail_at(j, j->at, "ill-formed UTF-8");
			j->at = skip_plain(j->at + len, j->end);
		}
		if (out != plain)
			memmove(out, plain, j->at - plain);
		out += j->at - plain;

		if (j->at == j->end)
			return fail_at(j, begin - 1, "string without an end");
		if (*j->at == '"')
			break;
		if (*j->at != '\\')
			return fail_at(j, j->at, "control character in a string");
		r = escape(j, &out);
		if (r)
			return r;
	}
	*out = '\0'; /* at the closing quote, or before it */
	j->at++;
	*ret = (struct tfs_json_text){ begin, (size_t)(out - begin) };
	return 0;
}

/* --- Other values ------------------------------------------------------------------------------------------------ */

/* One digit or more. */
static int digits(struct tfs_json *j)
{
	if (!digit_at(j))
		return unexpected(j, "a digit");
	while (digit_at(j))
		j->at++;
	return 0;
}

int tfs_json_number(struct tfs_json *j, struct tfs_json_text *ret)
{
	const char *begin;
	int r;

	skip_space(j);
	begin = j->at;
	if (j->at < j->end && *j->at == '-')
		j->at++;
	if (j->at < j->end && *j->at == '0') {
		j->at++;
		if (digit_at(j))
			return fail_at(j, begin, "number with a leading zero");
	} else if ((r = digits(j))) {
		return r;
	}
	if (j->at < j->end && *j->at == '.') {
		j->at++;
		if ((r = digits(j)))
			return r;
	}
	if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
		j->at++;
		if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
			j->at++;
		if ((r = digits(j)))
			return r;
	}
	*ret = (struct tfs_json_text){ begin, (size_t)(j->at - begin) };
	return 0;
}

int tfs_json_u64(struct tfs_json *j, uint64_t *ret)
{
	static const char expected[] = "an integer without sign, fraction or exponent";
	const char *begin;
	uint64_t v = 0;

	skip_space(j);
	if (!digit_at(j))
		return unexpected(j, expected);
	begin = j->at;
	for (; digit_at(j); j->at++)
		if (ckd_mul(&v, v, 10) || ckd_add(&v, v, (uint64_t)(*j->at - '0')))
			return tfs_error_set(j->err, -EINVAL, j->offset + (uint64_t)(begin - j->start), "integer above 2^64-1");
	if (*begin == '0' && j->at - begin > 1)
		return fail_at(j, begin, "number with a leading zero");
	if (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E'))
		return unexpected(j, expected);
	*ret = v;
	return 0;
}

static int literal(struct tfs_json *j, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(j->end - j->at) < len || memcmp(j->at, word, len))
		return unexpected(j, "a value");
	j->at += len;
	return 0;
}

/* Recurses TFS_JSON_MAX_DEPTH times at most. */
int tfs_json_skip(struct tfs_json *j)
{
	struct tfs_json_text text;
	int r;

	switch (r = tfs_json_peek(j)) {
	case TFS_JSON_OBJECT:
		r = tfs_json_object_begin(j);
		while (!r && (r = tfs_json_object_next(j, &text)) > 0)
			r = tfs_json_skip(j);
		return r;
	case TFS_JSON_ARRAY:
		r = tfs_json_array_begin(j);
		while (!r && (r = tfs_json_array_next(j)) > 0)
			r = tfs_json_skip(j);
		return r;
	case TFS_JSON_STRING:
		return tfs_json_string(j, &text);
	case TFS_JSON_NUMBER:
		return tfs_json_number(j, &text);
	case TFS_JSON_TRUE:
		return literal(j, "true");
	case TFS_JSON_FALSE:
		return literal(j, "false");
	case TFS_JSON_NULL:
		return literal(j, "null");
	default:
		return r;
	}
}
