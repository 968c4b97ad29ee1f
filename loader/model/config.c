/* SPDX-License-Identifier: MIT */
#include "model/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* --- Numbers --------------------------------------------------------------------------------------------------------- */

/*
 * What a string begins with that stands for a number: as JSON has it, and so both in what jansson reads and in what it writes. A
 * configuration's own strings have no reason to.
 */
static const char mark[] = "\\u0001number:";

/* A token of at least 3 bytes becomes one with MARK and two quotes. */
enum { MOST_GROWTH = (sizeof mark + 1 + 2) / 3 + 1 };

static bool in_number(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '-' || c == '.';
}

static size_t digits(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && isdigit((unsigned char)s[n]))
		n++;
	return n;
}

/* A number as json.load() takes it, other than an integer that jansson takes? */
static bool is_other_number(const char *s, size_t len)
{
	/* One of 19 digits may not fit. */
	enum { FITTING = 18 };
	size_t at = len && s[0] == '-', n;

	if ((len == 3 && !memcmp(s, "NaN", 3)) || (len - at == 8 && !memcmp(s + at, "Infinity", 8)))
		return true;
	n = digits(s + at, len - at);
	if (!n || (n > 1 && s[at] == '0'))
		return false;
	at += n;
	if (at == len)
		return n > FITTING;
	if (s[at] == '.') {
		n = digits(s + at + 1, len - at - 1);
		if (!n)
			return false;
		at += 1 + n;
	}
	if (at < len && (s[at] == 'e' || s[at] == 'E')) {
		at++;
		at += at < len && (s[at] == '+' || s[at] == '-');
		n = digits(s + at, len - at);
		if (!n)
			return false;
		at += n;
	}
	return at == len;
}

/* Bytes of the string that begins at @s, with its quotes; to the end if it isn't closed. */
static size_t string_len(const char *s, size_t len)
{
	size_t n = 1;

	while (n < len && s[n] != '"')
		n += s[n] == '\\' ? 2 : 1;
	return n < len ? n + 1 : len;
}

/*
 * Where jansson lacks memory, it calls the text wrong, or drops a character of a string and goes on (2.14: lex_save() doesn't look at
 * what strbuffer_append_byte() returns). So we look ourselves.
 */
static _Thread_local bool lacked_memory;

static void *allocate(size_t size)
{
	void *p = malloc(size);

	lacked_memory |= !p;
	return p;
}

static void set_allocator(void)
{
	json_set_alloc_funcs(allocate, free);
}

int tfs_config_json(const char *text, size_t len, size_t flags, json_t **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_allocator);
	lacked_memory = false;
	*ret = json_loadb(text, len, flags, NULL);
	if (!lacked_memory)
		return *ret ? 0 : -EINVAL;
	json_decref(tfs_steal(*ret));
	return -ENOMEM;
}

int tfs_config_parse(const char *text, size_t len, json_t **ret)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	size_t n, at = len >= 3 && !memcmp(text, byte_order_mark, 3) ? 3 : 0;
	cleanup_free char *marked = malloc(len * MOST_GROWTH + 1);
	char *end = marked;

	for (; marked && at < len; at += n) {
		const char *s = text + at;
		bool other = false;

		n = 1;
		if (*s == '"') {
			n = string_len(s, len - at);
		} else if (in_number(*s)) {
			while (at + n < len && in_number(s[n]))
				n++;
			other = is_other_number(s, n);
		}
		if (other)
			end = stpcpy(stpcpy(end, "\""), mark);
		end = mempcpy(end, s, n);
		if (other)
			*end++ = '"';
	}
	*ret = NULL;
	int r = marked ? tfs_config_json(marked, (size_t)(end - marked), JSON_ALLOW_NUL, ret) : -ENOMEM;
	if (r || json_is_object(*ret))
		return r;
	json_decref(tfs_steal(*ret));
	return -EINVAL;
}

char *tfs_config_dump(const json_t *o)
{
	const size_t mark_len = strlen(mark);
	char *text = json_dumps(o, JSON_INDENT(2)), *to = text;
	size_t len = text ? strlen(text) : 0, n;

	for (const char *s = text; len; s += n, len -= n) {
		n = *s == '"' ? string_len(s, len) : 1;
		const bool marked = n > mark_len + 2 && !memcmp(s + 1, mark, mark_len);
		const char *number = s + 1 + mark_len;

		if (marked && is_other_number(number, n - mark_len - 2))
			to = (char *)memmove(to, number, n - mark_len - 2) + (n - mark_len - 2);
		else
			to = (char *)memmove(to, s, n) + n;
	}
	char *ended = text && !lacked_memory ? realloc(text, (size_t)(to - text) + sizeof "\n") : NULL;
	if (ended)
		strcpy(ended + (to - text), "\n");
	else
		free(text);
	return ended;
}

/* --- Files ------------------------------------------------------------------------------------------------------------ */

static int open_unlisted(const struct tfs_model *m, uint32_t dir, const char *name, struct tfs_input *ret)
{
	char path[PATH_MAX], in[PATH_MAX];
	struct tfs_dirent d;
	int r = tfs_model_path(m, dir, in, sizeof in);

	if (r)
		return r;
	if (snprintf(path, sizeof path, "%s/%s", in, name) >= (int)sizeof path)
		return -ENAMETOOLONG;
	r = m->storage->ops->look(m->storage, TFS_STORAGE_ROOT, path, true, &d);
	if (r)
		return r;
	return S_ISREG(d.mode) ? m->storage->ops->open(m->storage, path, &d.id, 0, ret) : -EINVAL;
}

int tfs_config_read(const struct tfs_model *m, uint32_t dir, const char *name, json_t **ret)
{
	const uint32_t node = tfs_model_find_child(m, dir, name, strlen(name));
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	int r = node == UINT32_MAX ? open_unlisted(m, dir, name, &in) : tfs_model_open_input(m, node, &in);

	*ret = NULL;
	if (r)
		return r == -ENOENT && node != UINT32_MAX ? -ESTALE : r;
	if (in.size > TFS_MAX_CONFIG)
		return -EINVAL;
	cleanup_free char *text = malloc(in.size + 1);
	if (!text)
		return -ENOMEM;
	r = in.size ? tfs_input_read(&in, text, in.size, 0, NULL) : 0;
	int changed = node != UINT32_MAX ? tfs_model_check_node(m, node, &in) : 0;
	if (changed || r)
		return changed ? changed : r;
	return tfs_config_parse(text, in.size, ret);
}

const char *tfs_config_string(const json_t *o, const char *key)
{
	const char *v = json_string_value(json_object_get(o, key));

	return v ? v : "";
}

int64_t tfs_config_integer(const json_t *o, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}
