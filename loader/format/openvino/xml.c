/* SPDX-License-Identifier: MIT */
#include "format/openvino/xml.h"

#include <errno.h>
#include <string.h>

void tfs_xml_init(struct tfs_xml *x, char *buf, size_t len, struct tfs_error *err)
{
	x->at = x->start = buf;
	x->end = buf + len;
	x->err = err;
	x->depth = x->n_attributes = 0;
	x->closing = false;
}

bool tfs_xml_is(const struct tfs_xml_text *text, const char *word)
{
	return text->len == strlen(word) && !memcmp(text->s, word, text->len);
}

static int refuse(struct tfs_xml *x, const char *at, const char *what)
{
	return tfs_error_set(x->err, -EINVAL, (uint64_t)(at - x->start), "XML: %s", what);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct tfs_xml *x)
{
	while (x->at < x->end && is_space(*x->at))
		x->at++;
}

static bool begins(const struct tfs_xml *x, const char *word)
{
	const size_t len = strlen(word);

	return (size_t)(x->end - x->at) >= len && !memcmp(x->at, word, len);
}

/* Pass over what begins here, up to and with @end. */
static int skip_past(struct tfs_xml *x, const char *end)
{
	char *found = memmem(x->at, x->end - x->at, end, strlen(end));

	if (!found)
		return refuse(x, x->at, "it ends in a comment, an instruction or the like");
	x->at = found + strlen(end);
	return 0;
}

static int read_name(struct tfs_xml *x, struct tfs_xml_text *ret)
{
	char *start = x->at;

	while (x->at < x->end && !is_space(*x->at) && !strchr("<>/=\"'&", *x->at) && *x->at)
		x->at++;
	*ret = (struct tfs_xml_text){ start, (size_t)(x->at - start) };
	return ret->len ? 0 : refuse(x, start, "a name is expected");
}

/* --- Values ---------------------------------------------------------------------------------------------------------- */

/* The character of number @c, as UTF-8 in @to, which has room for as many bytes as the reference that it comes from. */
static size_t put_character(uint32_t c, char *to)
{
	const unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };

	to[0] = (char)(first[more] | c >> 6 * more);
	for (unsigned i = 1; i <= more; i++)
		to[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
	return more + 1;
}

/* A character by its number, between &# and ;. 0: it is none. */
static uint32_t read_number(const char *s, size_t len)
{
	const bool hex = len && *s == 'x';
	uint32_t c = 0;

	for (size_t i = hex; i < len; i++) {
		const char *digits = "0123456789abcdef", lower = s[i] | ('A' <= s[i] && s[i] <= 'Z' ? 0x20 : 0);
		const char *digit = lower ? memchr(digits, lower, hex ? 16 : 10) : NULL;

		if (!digit || c > 0x10ffff)
			return 0;
		c = c * (hex ? 16 : 10) + (uint32_t)(digit - digits);
	}
	return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : c;
}

/* The reference at x->at into @to; moves past it. How many bytes, or -EINVAL. */
static int read_reference(struct tfs_xml *x, char *to)
{
	static const struct {
		const char *name;
		char c;
	} known[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' } };
	char *start = x->at, *end = memchr(start, ';', x->end - start);
	const struct tfs_xml_text name = { start + 1, end ? (size_t)(end - start - 1) : 0 };
	uint32_t c = 0;

	if (name.len && *name.s == '#')
		c = read_number(name.s + 1, name.len - 1);
	for (size_t i = 0; i < sizeof known / sizeof *known && !c; i++)
		if (tfs_xml_is(&name, known[i].name))
			c = (unsigned char)known[i].c;
	if (!c)
		return refuse(x, start, "an entity that isn't one of XML's own");
	x->at = end + 1;
	return (int)put_character(c, to);
}

/* What is between quotes, decoded in place. */
static int read_value(struct tfs_xml *x, struct tfs_xml_text *ret)
{
	char *start = x->at + 1, *to = start;
	const char quote = x->at < x->end ? *x->at : '\0';

	if (quote != '"' && quote != '\'')
		return refuse(x, x->at, "a value in quotes is expected");
	for (x->at++; x->at < x->end && *x->at != quote;) {
		int n = 1;

		if (*x->at == '<' || !*x->at)
			return refuse(x, x->at, "a value with `<` or NUL");
		if (*x->at == '&')
			n = read_reference(x, to);
		else
			*to = *x->at++;
		if (n < 0)
			return n;
		to += n;
	}
	if (x->at == x->end)
		return refuse(x, start, "a value that doesn't end");
	x->at++;
	*ret = (struct tfs_xml_text){ start, (size_t)(to - start) };
	return 0;
}

/* --- Elements -------------------------------------------------------------------------------------------------------- */

static int read_attribute(struct tfs_xml *x)
{
	struct tfs_xml_attribute *a = &x->attributes[x->n_attributes];
	char *start = x->at;
	int r;

	if (x->n_attributes == TFS_XML_MAX_ATTRIBUTES)
		return refuse(x, start, "an element of more than 64 attributes");
	r = read_name(x, &a->name);
	if (r)
		return r;
	skip_space(x);
	if (x->at == x->end || *x->at != '=')
		return refuse(x, start, "an attribute without a value");
	x->at++;
	skip_space(x);
	r = read_value(x, &a->value);
	if (!r)
		x->n_attributes++;
	return r;
}

/* Behind `<`. */
static int read_open(struct tfs_xml *x)
{
	int r = read_name(x, &x->name);

	x->n_attributes = 0;
	while (!r) {
		skip_space(x);
		if (begins(x, ">") || begins(x, "/>"))
			break;
		r = x->at == x->end ? refuse(x, x->name.s, "an element whose beginning doesn't end") : read_attribute(x);
	}
	if (r)
		return r;
	if (x->depth == TFS_XML_MAX_DEPTH)
		return refuse(x, x->name.s, "elements nested deeper than 64");
	x->open[x->depth++] = x->name;
	x->closing = *x->at == '/';
	x->at += x->closing ? 2 : 1;
	return TFS_XML_OPEN;
}

/* Behind `</`. */
static int read_close(struct tfs_xml *x)
{
	int r = read_name(x, &x->name);

	if (r)
		return r;
	skip_space(x);
	if (!begins(x, ">"))
		return refuse(x, x->name.s, "an end of an element that doesn't end");
	x->at++;
	if (!x->depth || x->open[x->depth - 1].len != x->name.len || memcmp(x->open[x->depth - 1].s, x->name.s, x->name.len) != 0)
		return refuse(x, x->name.s, "the end of an element that isn't the innermost");
	x->depth--;
	return TFS_XML_CLOSE;
}

/* Pass over what isn't an element, if there is some. 1: there was. */
static int skip_other(struct tfs_xml *x)
{
	char *next = memchr(x->at, '<', x->end - x->at);
	int r = 0;

	if (next != x->at) {
		x->at = next ? next : x->end;
		return 1;
	}
	if (begins(x, "<!--"))
		r = skip_past(x, "-->");
	else if (begins(x, "<![CDATA["))
		r = skip_past(x, "]]>");
	else if (begins(x, "<?"))
		r = skip_past(x, "?>");
	else if (begins(x, "<!"))
		r = refuse(x, x->at, "a document type declaration, which isn't read");
	else
		return 0;
	return r ? r : 1;
}

int tfs_xml_next(struct tfs_xml *x)
{
	int r = 1;

	if (x->closing) {
		x->closing = false;
		x->name = x->open[--x->depth];
		return TFS_XML_CLOSE;
	}
	while (x->at < x->end && (r = skip_other(x)) > 0)
		;
	if (r < 0)
		return r;
	if (x->at == x->end)
		return x->depth ? refuse(x, x->end, "it ends in an element") : TFS_XML_END;
	x->at++;
	x->name_at = (uint64_t)(x->at - x->start);
	if (x->at < x->end && *x->at == '/') {
		x->at++;
		return read_close(x);
	}
	return read_open(x);
}

const struct tfs_xml_text *tfs_xml_attribute(const struct tfs_xml *x, const char *name)
{
	for (unsigned i = 0; i < x->n_attributes; i++)
		if (tfs_xml_is(&x->attributes[i].name, name))
			return &x->attributes[i].value;
	return NULL;
}
