/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"

void tfs_json_init(struct tfs_json *r, char *buf, size_t len, uint64_t offset, struct tfs_error *err)
{
	*r = (struct tfs_json){ .offset = offset, .err = err };
	r->at = r->start = buf;
	r->end = buf + len;
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

static __attribute__((cold)) int fail_at(struct tfs_json *r, const char *at, const char *what)
{
	return tfs_error_set(r->err, -EINVAL, r->offset + (uint64_t)(at - r->start), "JSON: %s", what);
}

/* "found X where EXPECTED belongs" for the byte at the cursor */
static __attribute__((cold)) int unexpected(struct tfs_json *r, const char *expected)
{
	unsigned char c = r->at < r->end ? *r->at : 0;
	char found[24], what[128];

	if (r->at == r->end)
		snprintf(found, sizeof found, "the end");
	else if (c > 0x20 && c < 0x7f)
		snprintf(found, sizeof found, "'%c'", c);
	else
		snprintf(found, sizeof found, "byte 0x%02x", c);
	snprintf(what, sizeof what, "found %s where %s belongs", found, expected);
	return fail_at(r, r->at, what);
}

/* --- Between values ---------------------------------------------------------------------------------------------- */

static inline void skip_space(struct tfs_json *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

/* Skip white space; is @c next? */
static inline bool next_is(struct tfs_json *r, char c)
{
	skip_space(r);
	return r->at < r->end && *r->at == c;
}

static inline bool digit_at(const struct tfs_json *r)
{
	return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static inline int enter(struct tfs_json *r, char c, const char *expected)
{
	if (!next_is(r, c))
		return unexpected(r, expected);
	if (r->depth == TFS_JSON_MAX_DEPTH)
		return fail_at(r, r->at, "nested deeper than 127 levels");
	r->at++;
	r->depth++;
	r->first = true;
	return 0;
}

/* Go to the next member: over the comma, where one belongs. 0: it was the end of the container. */
static inline int advance(struct tfs_json *r, char close, const char *expected)
{
	if (next_is(r, close)) {
		r->at++;
		r->depth--;
		r->first = false; /* the container that we are back in has this one as a member */
		return 0;
	}
	if (!r->first) {
		if (r->at == r->end || *r->at != ',')
			return unexpected(r, expected);
		r->at++;
	}
	r->first = false;
	return 1;
}

int tfs_json_object_begin(struct tfs_json *r)
{
	return enter(r, '{', "an object");
}

int tfs_json_array_begin(struct tfs_json *r)
{
	return enter(r, '[', "an array");
}

int tfs_json_array_next(struct tfs_json *r)
{
	return advance(r, ']', "',' or ']'");
}

int tfs_json_object_next(struct tfs_json *r, struct tfs_json_text *ret_key)
{
	int rc = advance(r, '}', "',' or '}'");

	if (rc <= 0)
		return rc;
	if (!next_is(r, '"'))
		return unexpected(r, "a key");
	rc = tfs_json_string(r, ret_key);
	if (rc)
		return rc;
	if (!next_is(r, ':'))
		return unexpected(r, "':'");
	r->at++;
	return 1;
}

int tfs_json_end(struct tfs_json *r)
{
	skip_space(r);
	return r->at == r->end ? 0 : unexpected(r, "the end");
}

int tfs_json_peek(struct tfs_json *r)
{
	skip_space(r);
	if (digit_at(r) || (r->at < r->end && *r->at == '-'))
		return TFS_JSON_NUMBER;
	switch (r->at < r->end ? *r->at : '\0') {
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
		return unexpected(r, "a value");
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
static int unicode_escape(struct tfs_json *r, char **out)
{
	const char *escape = r->at;
	int32_t c = hex4(r->at + 2, r->end), low;

	if (c < 0)
		return fail_at(r, escape, "\\u without four hex digits");
	r->at += 6;
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail_at(r, escape, "lone low surrogate");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
			return fail_at(r, escape, "lone high surrogate");
		low = hex4(r->at + 2, r->end);
		if (low < 0xdc00 || low > 0xdfff)
			return fail_at(r, escape, "lone high surrogate");
		r->at += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*out = put_utf8(*out, c);
	return 0;
}

/* Decode the escape at the cursor (a backslash). No escape is shorter than what it stands for. */
static int escape(struct tfs_json *r, char **out)
{
	char c;

	switch (r->end - r->at >= 2 ? r->at[1] : '\0') {
	case '"':
	case '\\':
	case '/':
		c = r->at[1];
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
		return unicode_escape(r, out);
	default:
		return fail_at(r, r->at, "unknown escape in a string");
	}
	*(*out)++ = c;
	r->at += 2;
	return 0;
}

int tfs_json_string(struct tfs_json *r, struct tfs_json_text *ret)
{
	char *begin, *out, *plain;
	unsigned len;
	int rc;

	if (!next_is(r, '"'))
		return unexpected(r, "a string");
	begin = out = ++r->at;
	for (;;) {
		plain = r->at;
		r->at = skip_plain(plain, r->end);
		while (r->at < r->end && (unsigned char)*r->at >= 0x80) {
			len = tfs_utf8_sequence(r->at, r->end);
			if (!len)
				return fail_at(r, r->at, "ill-formed UTF-8");
			r->at = skip_plain(r->at + len, r->end);
		}
		if (out != plain)
			memmove(out, plain, r->at - plain);
		out += r->at - plain;

		if (r->at == r->end)
			return fail_at(r, begin - 1, "string without an end");
		if (*r->at == '"')
			break;
		if (*r->at != '\\')
			return fail_at(r, r->at, "control character in a string");
		rc = escape(r, &out);
		if (rc)
			return rc;
	}
	*out = '\0'; /* at the closing quote, or before it */
	r->at++;
	*ret = (struct tfs_json_text){ begin, (size_t)(out - begin) };
	return 0;
}

/* --- Other values ------------------------------------------------------------------------------------------------ */

/* One digit or more. */
static int digits(struct tfs_json *r)
{
	if (!digit_at(r))
		return unexpected(r, "a digit");
	while (digit_at(r))
		r->at++;
	return 0;
}

int tfs_json_number(struct tfs_json *r, struct tfs_json_text *ret)
{
	const char *begin;
	int rc;

	skip_space(r);
	begin = r->at;
	if (r->at < r->end && *r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0') {
		r->at++;
		if (digit_at(r))
			return fail_at(r, begin, "number with a leading zero");
	} else if ((rc = digits(r))) {
		return rc;
	}
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if ((rc = digits(r)))
			return rc;
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		if ((rc = digits(r)))
			return rc;
	}
	*ret = (struct tfs_json_text){ begin, (size_t)(r->at - begin) };
	return 0;
}

int tfs_json_u64(struct tfs_json *r, uint64_t *ret)
{
	static const char expected[] = "an integer without sign, fraction or exponent";
	const char *begin;
	uint64_t v = 0;

	skip_space(r);
	if (!digit_at(r))
		return unexpected(r, expected);
	begin = r->at;
	for (; digit_at(r); r->at++)
		if (ckd_mul(&v, v, 10) || ckd_add(&v, v, (uint64_t)(*r->at - '0')))
			return tfs_error_set(r->err, -EINVAL, r->offset + (uint64_t)(begin - r->start), "integer above 2^64-1");
	if (*begin == '0' && r->at - begin > 1)
		return fail_at(r, begin, "number with a leading zero");
	if (r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E'))
		return unexpected(r, expected);
	*ret = v;
	return 0;
}

static int literal(struct tfs_json *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len))
		return unexpected(r, "a value");
	r->at += len;
	return 0;
}

/* Recurses TFS_JSON_MAX_DEPTH times at most. */
int tfs_json_skip(struct tfs_json *r)
{
	struct tfs_json_text text;
	int rc;

	switch (rc = tfs_json_peek(r)) {
	case TFS_JSON_OBJECT:
		rc = tfs_json_object_begin(r);
		while (!rc && (rc = tfs_json_object_next(r, &text)) > 0)
			rc = tfs_json_skip(r);
		return rc;
	case TFS_JSON_ARRAY:
		rc = tfs_json_array_begin(r);
		while (!rc && (rc = tfs_json_array_next(r)) > 0)
			rc = tfs_json_skip(r);
		return rc;
	case TFS_JSON_STRING:
		return tfs_json_string(r, &text);
	case TFS_JSON_NUMBER:
		return tfs_json_number(r, &text);
	case TFS_JSON_TRUE:
		return literal(r, "true");
	case TFS_JSON_FALSE:
		return literal(r, "false");
	case TFS_JSON_NULL:
		return literal(r, "null");
	default:
		return rc;
	}
}
