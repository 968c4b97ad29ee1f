/* SPDX-License-Identifier: MIT */
#include "fetch/xml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { MAX_DEPTH = 32 };

struct reader {
	char *text, *at, *end;
	char *open[MAX_DEPTH]; /* names of the elements that are open */
	unsigned depth;
	char *leaf; /* the text of the innermost one; NULL: it has elements */
	tfs_xml_end_fn *fn;
	void *arg;
	struct tfs_error *err;
};

static int bad(struct reader *x, const char *what)
{
	return tfs_error_set(x->err, -EINVAL, (uint64_t)(x->at - x->text), "XML: %s", what);
}

/* Without a prefix and its colon. */
static char *local_name(char *name)
{
	char *colon = strchr(name, ':');

	return colon ? colon + 1 : name;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One byte for what a reference says; those of more than one byte aren't sent, as keys are percent-encoded. */
static size_t reference(const char *s, char *to)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
	unsigned long c;
	char *end;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strncmp(s, names[i].name, strlen(names[i].name))) {
			*to = names[i].c;
			return strlen(names[i].name);
		}
	if (s[1] != '#' || s[2] == '-' || s[2] == '+' || is_space(s[2]))
		return 0;
	c = s[2] == 'x' ? strtoul(s + 3, &end, 16) : strtoul(s + 2, &end, 10);
	if (*end != ';' || !c || c > 0x7f)
		return 0;
	*to = (char)c;
	return (size_t)(end + 1 - s);
}

static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		size_t n = *s == '&' ? reference(s, to) : 0;

		if (n) {
			to++;
			s += n;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* <NAME …>, <NAME/>, at the name; @stop is its '>'. */
static int on_open(struct reader *x, char *stop)
{
	bool empty = stop[-1] == '/';
	char *name = x->at;

	name[strcspn(name, " \t\r\n/>")] = 0;
	if (!*name)
		return bad(x, "a tag without a name");
	x->at = x->leaf = stop + 1;
	if (empty) {
		x->leaf = NULL;
		return x->fn(x->arg, local_name(name), "");
	}
	if (x->depth == MAX_DEPTH)
		return bad(x, "elements in elements, too deep");
	x->open[x->depth++] = name;
	return 0;
}

/* </NAME>, at the name; @start: where its text ends. */
static int on_close(struct reader *x, char *start, char *stop)
{
	char *name = x->at, *text = x->leaf;
	int r;

	*stop = 0;
	name[strcspn(name, " \t\r\n")] = 0;
	if (!x->depth || strcmp(x->open[x->depth - 1], name) != 0)
		return bad(x, "an end tag of another element");
	x->depth--;
	*start = 0;
	if (text)
		unescape(text);
	r = x->fn(x->arg, local_name(name), text ? text : "");
	x->leaf = NULL;
	x->at = stop + 1;
	return r;
}

/* Past <?…?>, <!--…-->, and <!DOCTYPE …>, which none of them has. */
static int skip_other(struct reader *x)
{
	const char *end = !strncmp(x->at, "!--", 3) ? "-->" : *x->at == '?' ? "?>" : NULL;
	char *stop = end ? strstr(x->at, end) : NULL;

	if (!stop)
		return bad(x, "a declaration that isn't understood");
	x->at = stop + strlen(end);
	return 0;
}

int tfs_xml_read(char *text, size_t len, tfs_xml_end_fn *fn, void *arg, struct tfs_error *err)
{
	struct reader x = { .text = text, .at = text, .end = text + len, .fn = fn, .arg = arg, .err = err };
	int r = 0;

	if (memchr(text, 0, len))
		return bad(&x, "a NUL");
	while (!r && (x.at = memchr(x.at, '<', (size_t)(x.end - x.at)))) {
		char *start = x.at++, *stop;

		if (*x.at == '?' || *x.at == '!') {
			r = skip_other(&x);
			continue;
		}
		stop = memchr(x.at, '>', (size_t)(x.end - x.at));
		if (!stop)
			return bad(&x, "a tag without an end");
		if (*x.at != '/') {
			r = on_open(&x, stop);
		} else {
			x.at++;
			r = on_close(&x, start, stop);
		}
	}
	x.at = x.at ? x.at : x.end;
	return r || !x.depth ? r : bad(&x, "an element without an end");
}

struct found {
	const char *name;
	char *text;
};

static int on_end(void *arg, const char *name, const char *text)
{
	struct found *f = arg;

	if (strcmp(name, f->name) != 0)
		return 0;
	f->text = strdup(text);
	return 1;
}

char *tfs_xml_find(const char *text, size_t len, const char *name)
{
	cleanup_free char *copy = text ? strndup(text, len) : NULL;
	struct found f = { .name = name };

	if (copy)
		tfs_xml_read(copy, strlen(copy), on_end, &f, NULL);
	return f.text;
}
