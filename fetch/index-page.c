/* SPDX-License-Identifier: MIT */
#include "fetch/index-page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/json.h"
#include "fetch/url.h"
#include "remote/listing.h"
#include "remote/name.h"

/* @name may end with the slash that says that it is a directory. */
static int emit(char *name, bool is_dir, tfs_index_name_fn *fn, void *arg)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '/') {
		name[len - 1] = 0;
		is_dir = true;
	}
	if (strchr(name, '/') || !tfs_remote_path_is_good(name))
		return 0;
	return fn(arg, name, is_dir);
}

/* --- HTML ----------------------------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* UTF-8 of @c, which fits into what its reference took: at least four bytes. */
static size_t put_char(char *to, unsigned long c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* A character reference at @s: how long it is, and what for, in @to; 0: it is none of those that listings use. */
static size_t reference(const char *s, char *to, size_t *ret_len)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
	bool hex = s[1] == '#' && (s[2] == 'x' || s[2] == 'X');
	unsigned long c;
	char *end;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strncmp(s, names[i].name, strlen(names[i].name))) {
			*to = names[i].c;
			*ret_len = 1;
			return strlen(names[i].name);
		}
	if (s[1] != '#' || !strchr("0123456789abcdefABCDEF", s[hex ? 3 : 2]) || !s[hex ? 3 : 2])
		return 0;
	c = strtoul(s + (hex ? 3 : 2), &end, hex ? 16 : 10);
	/* "&#9;" is as short as they get, and its character has one byte; 5 bytes or more are there for those of two and more. */
	if (*end != ';' || !c || c > 0x10ffff)
		return 0;
	*ret_len = put_char(to, c);
	return (size_t)(end + 1 - s);
}

/* Replace the character references in @s. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		char decoded[4];
		size_t len = 0, taken = *s == '&' ? reference(s, decoded, &len) : 0;

		if (taken) {
			memcpy(to, decoded, len);
			to += len;
			s += taken;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* An href as it is in the page. */
static int on_href(const char *s, size_t len, tfs_index_name_fn *fn, void *arg)
{
	cleanup_free char *href = tfs_copy_bytes(s, len), *name = NULL;
	char *at = href;

	if (!href)
		return -ENOMEM;
	unescape(href);
	if (!strncmp(at, "./", 2))
		at += 2;
	len = strlen(at);
	/* Another place, a query that sorts, a fragment, a scheme: before it is decoded. */
	if (!len || strcspn(at, "?#:\\") != len || memchr(at, '/', len - 1))
		return 0;
	name = tfs_url_decode(at, len);
	if (!name)
		return errno == EINVAL ? 0 : -ENOMEM;
	return emit(name, false, fn, arg);
}

/* The attributes of a tag, from @at until its '>': the value of href. Where it ends. */
static const char *find_href(const char *at, const char *end, const char **ret_value, size_t *ret_len)
{
	*ret_value = NULL;
	while (at < end && *at != '>') {
		const char *name, *value;
		size_t name_len;
		char quote = 0;

		if (is_space(*at)) {
			at++;
			continue;
		}
		for (name = at; at < end && !is_space(*at) && *at != '=' && *at != '>';)
			at++;
		name_len = (size_t)(at - name);
		while (at < end && is_space(*at))
			at++;
		if (at == end || *at != '=') {
			continue;
		}
		for (at++; at < end && is_space(*at);)
			at++;
		if (at < end && (*at == '"' || *at == '\''))
			quote = *at++;
		for (value = at; at < end && (quote ? *at != quote : !is_space(*at) && *at != '>');)
			at++;
		if (name_len == 4 && !strncasecmp(name, "href", 4) && !*ret_value) {
			*ret_value = value;
			*ret_len = (size_t)(at - value);
		}
		at += quote && at < end;
	}
	return at;
}

int tfs_index_html(const char *text, size_t len, tfs_index_name_fn *fn, void *arg)
{
	const char *at = text, *end = text + len;
	int r = 0;

	while (!r && (at = memchr(at, '<', (size_t)(end - at)))) {
		const char *value;
		size_t value_len = 0;

		at++;
		if (end - at < 3 || (*at | 32) != 'a' || !is_space(at[1]))
			continue;
		at = find_href(at + 1, end, &value, &value_len);
		if (value)
			r = on_href(value, value_len, fn, arg);
	}
	return r;
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

/* The value of @key; what isn't known is skipped. */
static int read_member(struct tfs_json *j, const struct tfs_json_text *key, struct tfs_json_text *name, bool *is_dir)
{
	struct tfs_json_text text;
	int r, type = tfs_json_peek(j);

	if (tfs_json_is(key, "name") && type == TFS_JSON_STRING)
		return tfs_json_string(j, name);
	if (tfs_json_is(key, "type") && type == TFS_JSON_STRING) {
		r = tfs_json_string(j, &text);
		if (!r)
			*is_dir = tfs_json_is(&text, "directory");
		return r;
	}
	if (tfs_json_is(key, "is_dir"))
		*is_dir = type == TFS_JSON_TRUE;
	return type < 0 ? type : tfs_json_skip(j);
}

static int read_entry(struct tfs_json *j, tfs_index_name_fn *fn, void *arg)
{
	struct tfs_json_text key, name = { 0 };
	cleanup_free char *copy = NULL;
	bool is_dir = false;
	int r;

	for (r = tfs_json_object_begin(j); !r && (r = tfs_json_object_next(j, &key)) > 0;)
		r = read_member(j, &key, &name, &is_dir);
	if (r || !name.s || memchr(name.s, 0, name.len))
		return r;
	copy = tfs_copy_bytes(name.s, name.len);
	return copy ? emit(copy, is_dir, fn, arg) : -ENOMEM;
}

int tfs_index_json(char *text, size_t len, tfs_index_name_fn *fn, void *arg, struct tfs_error *err)
{
	struct tfs_json j;
	int r;

	tfs_json_init(&j, text, len, 0, err);
	for (r = tfs_json_array_begin(&j); !r && (r = tfs_json_array_next(&j)) > 0;)
		r = read_entry(&j, fn, arg);
	return r ? r : tfs_json_end(&j);
}
