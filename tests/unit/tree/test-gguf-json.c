/* SPDX-License-Identifier: MIT */
/* Keys as text, to the letter; tests/e2e/gguf.py reads such texts with a JSON parser, tests/fuzz/fuzz-gguf.c does with any keys. */
#include "support/helpers.h"

#include <errno.h>

#include "fs/tree/gguf-json.h"

/* A header with one key, "k", of a type whose value is the @len bytes at @value; the text of its value. The caller frees it. */
static char *text_of(unsigned char type, const void *value, size_t len, bool full)
{
	char file[24 + 8 + 1 + 4 + 2000] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0k";
	struct tfs_json_out out = { 0 };
	struct tfs_error err = { 0 };
	char *from, *to, *text;
	int fd;

	assert_true(len <= 2000);
	file[33] = (char)type;
	memcpy(file + 37, value, len);
	fd = memory_file(file, 37 + len);
	assert_int_equal(tfs_gguf_json(&out, input_of(fd, 37 + len), "m\"\xff", full, &err), 0);
	close(fd);
	text = calloc(1, out.len + 1);
	assert_non_null(text);
	memcpy(text, out.s, out.len);
	free(out.s);
	from = strstr(text, "\"k\": ");
	to = strstr(text, "\n      }");
	assert_true(from && to);
	assert_non_null(strstr(text, "\"file\": \"m\\\"\xef\xbf\xbd\""));
	memmove(text, from + 5, to - from - 5);
	text[to - from - 5] = 0;
	return text;
}

static void is(unsigned char type, const void *value, size_t len, const char *want)
{
	char *have = text_of(type, value, len, false);

	assert_string_equal(have, want);
	free(have);
}

static void numbers(void **state)
{
	static const struct {
		float f;
		const char *want;
	} floats[] = {
		{ 0.1f, "0.1" },   { 1e6f, "1e+06" },	      { 16777216, "16777216.0" },	  { 3, "3.0" },
		{ -0.0f, "-0.0" }, { 1 / 3.f, "0.33333334" }, { 3.4028235e38f, "3.4028235e+38" }, { 1e-45f, "1.4013e-45" },
	};
	static const uint64_t max = UINT64_MAX;
	static const double third = 1 / 3.;
	char want[100];

	(void)state;
	for (size_t i = 0; i < LENGTH(floats); i++) {
		snprintf(want, sizeof want, "{\"type\": \"float32\", \"value\": %s}", floats[i].want);
		is(6, &floats[i].f, 4, want);
	}
	is(12, &third, 8, "{\"type\": \"float64\", \"value\": 0.3333333333333333}");
	is(10, &max, 8, "{\"type\": \"uint64\", \"value\": 18446744073709551615}");
	is(11, &(int64_t){ INT64_MIN }, 8, "{\"type\": \"int64\", \"value\": -9223372036854775808}");
	is(1, "\x80", 1, "{\"type\": \"int8\", \"value\": -128}");
	is(7, "\2", 1, "{\"type\": \"bool\", \"value\": true}");
	is(6, "\0\0\xc0\x7f", 4, "{\"type\": \"float32\", \"value\": \"NaN\"}");
	is(6, "\0\0\x80\x7f", 4, "{\"type\": \"float32\", \"value\": \"Infinity\"}");
	is(12, "\0\0\0\0\0\0\xf0\xff", 8, "{\"type\": \"float64\", \"value\": \"-Infinity\"}");
}

static void strings(void **state)
{
	(void)state;
	is(8, "\0\0\0\0\0\0\0\0", 8, "{\"type\": \"string\", \"value\": \"\"}");
	is(8, "\x0d\0\0\0\0\0\0\0a\"\\\n\0\x7f\xc3\xbc\xc3(\xff\xe2\x82", 21,
	   "{\"type\": \"string\", \"value\": \"a\\\"\\\\\\u000a\\u0000\x7f\xc3\xbc\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void arrays(void **state)
{
	char value[12 + 65] = { 0 }, *text;

	(void)state;
	is(9, "\x08\0\0\0\0\0\0\0\0\0\0\0", 12, "{\"type\": \"array\", \"of\": \"string\", \"count\": 0, \"value\": []}");
	is(9, "\x09\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\2\7\0\0\0\0\0\0\0\0\0\0\0", 12 + 14 + 12,
	   "{\"type\": \"array\", \"of\": \"array\", \"count\": 2, \"value\": [{\"of\": \"uint8\", \"count\": 2, \"value\": [1, 2]}, "
	   "{\"of\": \"bool\", \"count\": 0, \"value\": []}]}");
	value[4] = 65;
	is(9, value, sizeof value, "{\"type\": \"array\", \"of\": \"uint8\", \"count\": 65, \"first\": [0, 0, 0, 0, 0, 0, 0, 0]}");
	text = text_of(9, value, sizeof value, true);
	assert_null(strstr(text, "first"));
	assert_int_equal(strlen(text),
			 strlen("{\"type\": \"array\", \"of\": \"uint8\", \"count\": 65, \"value\": []}") + 65 * 3 - 2);
	free(text);
	value[4] = 64;
	text = text_of(9, value, sizeof value - 1, false);
	assert_null(strstr(text, "first"));
	free(text);
}

/* A file of holes, each 12 bytes of which are an empty array and become 44 bytes of text. */
static void a_text_has_a_limit(void **state)
{
	const uint64_t count = TFS_JSON_OUT_MAX / 40, size = 49 + count * 12;
	char head[49] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0k\x09\0\0\0\x09";
	struct tfs_json_out out = { 0 };
	struct tfs_error err = { 0 };
	int fd;

	(void)state;
	for (int i = 0; i < 8; i++)
		head[41 + i] = (char)(count >> 8 * i);
	fd = memory_file(head, sizeof head);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(tfs_gguf_json(&out, input_of(fd, size), "m", true, &err), -EFBIG);
	assert_string_equal(err.what, "its keys as text: longer than 256 MiB");
	free(out.s);
	out = (struct tfs_json_out){ 0 };
	assert_int_equal(tfs_gguf_json(&out, input_of(fd, size), "m", false, &err), 0);
	assert_true(out.len < 1000);
	free(out.s);
	close(fd);
}

static void what_is_no_header_is_refused(void **state)
{
	struct tfs_json_out out = { 0 };
	struct tfs_error err = { 0 };
	int fd = memory_file("GGUF\4\0\0\0", 8);

	(void)state;
	assert_int_equal(tfs_gguf_json(&out, input_of(fd, 8), "m", false, &err), -EINVAL);
	assert_int_equal(err.offset, 4);
	free(out.s);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(strings),
		cmocka_unit_test(arrays),
		cmocka_unit_test(a_text_has_a_limit),
		cmocka_unit_test(what_is_no_header_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
