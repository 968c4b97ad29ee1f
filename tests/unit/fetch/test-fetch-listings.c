/* SPDX-License-Identifier: MIT */
/* Listings: names of directories' pages in HTML and JSON, and elements of XML. */
#include "support/helpers.h"

#include <errno.h>
#include <string.h>

#include "fetch/index-page.h"
#include "fetch/xml.h"

static char seen[1000];

static int on_name(void *arg, const char *name, bool is_dir)
{
	size_t n = strlen(seen);

	(void)arg;
	snprintf(seen + n, sizeof seen - n, "%s%s|", name, is_dir ? "/" : "");
	return 0;
}

/* The names that @text, exactly as long as it is, has. */
static const char *html(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	*seen = 0;
	assert_int_equal(tfs_index_html(copy, len, on_name, NULL), 0);
	free(copy);
	return seen;
}

static void pages(void **state)
{
	(void)state;
	assert_string_equal(html("<a href=\"x\">x</a><A class=c HREF='y/'>y</A><a\nhref = z id=1>"), "x|y/|z|");
	assert_string_equal(html("<a href=\"./x%20y\"><a href='a&amp;b&#39;&#x41;&#228;'>"), "x y|a&b'A\xc3\xa4|");
	assert_string_equal(html("<a href=\"../\"><a href=\"/x\"><a href=\"x/y\"><a href=\"?C=N\"><a href=\"x?y\"><a href=\"#x\">"),
			    "");
	assert_string_equal(
		html("<a href=\"http://x/\"><a href=\"//x\"><a href=\"x:y\"><a href=\"..\"><a href=\"%2e%2e\"><a href=\"a%2Fb\">"),
		"");
	assert_string_equal(html("<a href=\"\"><a href><a ><abbr href=\"x\"><a href=\"a%00b\"><a href=\"%zz\"><a href=\".\">"), "");
	assert_string_equal(html("<a href=\"x"), "x|");
	assert_string_equal(html("<a href=x/>"), "x/|");
	assert_string_equal(html("<a href="), "");
	assert_string_equal(html("<a"), "");
	assert_string_equal(html("<a href = 'x' href='y'>"), "x|");
}

static int json(const char *text)
{
	char copy[300];

	strcpy(copy, text);
	*seen = 0;
	return tfs_index_json(copy, strlen(copy), on_name, NULL, NULL);
}

static void json_listings(void **state)
{
	(void)state;
	assert_int_equal(json("[{\"name\":\"a\",\"type\":\"file\",\"size\":1},{\"type\":\"directory\",\"name\":\"b\"}]"), 0);
	assert_string_equal(seen, "a|b/|");
	assert_int_equal(
		json("[{\"name\":\"a\",\"is_dir\":false},{\"is_dir\":true,\"name\":\"b/\"},{\"name\":\"../c\"},{\"name\":\"a\\u0000\"},{}]"),
		0);
	assert_string_equal(seen, "a|b/|");
	assert_int_equal(json("{}"), -EINVAL);
	assert_int_equal(json("[1]"), -EINVAL);
	assert_int_equal(json("[] x"), -EINVAL);
	assert_int_equal(json("[{\"name\":1}]"), 0);
	assert_string_equal(seen, "");
}

static int on_element(void *arg, const char *name, const char *text)
{
	size_t n = strlen(seen);

	(void)arg;
	snprintf(seen + n, sizeof seen - n, "%s=%s|", name, text);
	return 0;
}

static int xml(const char *text)
{
	char copy[500];

	strcpy(copy, text);
	*seen = 0;
	return tfs_xml_read(copy, strlen(copy), on_element, NULL, NULL);
}

static void elements(void **state)
{
	static const char unfinished[] = "<Error><Code>X</Code><Message>...";
	char *s;

	(void)state;
	assert_int_equal(xml("<?xml version='1.0'?>\n<!-- <x> --><r a='b'><k>a&amp;b&quot;&#10;</k><e/><p:q >z</p:q></r>\n"), 0);
	assert_string_equal(seen, "k=a&b\"\n|e=|q=z|r=|");
	assert_int_equal(xml("<a><b></a></b>"), -EINVAL);
	assert_int_equal(xml("<a>"), -EINVAL);
	assert_int_equal(xml("</a>"), -EINVAL);
	assert_int_equal(xml("<a"), -EINVAL);
	assert_int_equal(xml("<>"), -EINVAL);
	assert_int_equal(xml("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), -EINVAL);
	assert_int_equal(xml("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"),
			 -EINVAL);
	s = tfs_xml_find(unfinished, sizeof unfinished - 1, "Code");
	assert_string_equal(s, "X");
	free(s);
	assert_null(tfs_xml_find(NULL, 0, "Code"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages),
		cmocka_unit_test(json_listings),
		cmocka_unit_test(elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
