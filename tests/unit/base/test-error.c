/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <errno.h>

#include "base/error.h"

static void line_has_what_is_known(void **state)
{
	struct tfs_error err = { 0 };
	char line[TFS_ERROR_LINE];

	(void)state;
	assert_int_equal(tfs_error_set(&err, -EINVAL, 17, "found %d", 5), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(tfs_error_line(&err, line, sizeof line), "byte 17: found 5");
	tfs_error_in(&err, "a/b.safetensors");
	assert_string_equal(tfs_error_line(&err, line, sizeof line), "a/b.safetensors: byte 17: found 5");
	tfs_error_in(&err, "other");
	assert_string_equal(err.file, "a/b.safetensors");
	err.offset = TFS_NO_OFFSET;
	assert_string_equal(tfs_error_line(&err, line, sizeof line), "a/b.safetensors: found 5");
	assert_int_equal(tfs_error_set(NULL, -EIO, 0, "nobody asked"), -EIO);
	tfs_error_in(NULL, "x");
}

static void arguments_may_be_the_error_itself(void **state)
{
	struct tfs_error err = { 0 };

	(void)state;
	tfs_error_set(&err, -EINVAL, 1, "inner");
	tfs_error_set(&err, -EIO, 2, "outer: %s", err.what);
	assert_string_equal(err.what, "outer: inner");
}

static void no_control_characters_reach_a_terminal(void **state)
{
	struct tfs_error err = { 0 };

	(void)state;
	tfs_error_set(&err, -EINVAL, 0, "a\033[31m\nb\x7f \xc2\x9b \xc3\xa4");
	assert_string_equal(err.what, "a?[31m?b? ?? \xc3\xa4");
	tfs_error_in(&err, "new\nline");
	assert_string_equal(err.file, "new?line");
}

static void long_texts_are_cut(void **state)
{
	char file[2000], line[TFS_ERROR_LINE], small[10];
	struct tfs_error err = { 0 };

	(void)state;
	memset(file, 'x', sizeof file);
	memcpy(file + sizeof file - 5, "/end", 5);
	tfs_error_set(&err, -EINVAL, UINT64_MAX - 1, "%s", file);
	tfs_error_in(&err, file);
	assert_int_equal(strlen(err.what), sizeof err.what - 1);
	assert_int_equal(strlen(err.file), sizeof err.file - 1);
	assert_string_equal(err.file + strlen(err.file) - 4, "/end");
	tfs_error_line(&err, line, sizeof line);
	assert_string_equal(line + strlen(line) - 4, "xxxx");
	assert_true(strlen(line) > sizeof err.what + sizeof err.file);
	assert_int_equal(strlen(tfs_error_line(&err, small, sizeof small)), 9);
}

static void quoted_text_is_bounded(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *quoted;
	} cases[] = {
		{ "", 0, "\"\"" },
		{ "name", 4, "\"name\"" },
		{ "a\0b\n", 4, "\"a\\x00b\\x0a\"" },
		{ "\"\\", 2, "\"\\\"\\\\\"" },
		{ "0123456789abcdefghij", 20, "\"01234567890123\"" },
		{ "\xc3\xa4", 2, "\"\xc3\xa4\"" },
	};
	char buf[24];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		tfs_quote(buf, sizeof buf, cases[i].text, cases[i].len);
		if (cases[i].len < 20)
			assert_string_equal(buf, cases[i].quoted);
		assert_true(strlen(buf) < sizeof buf);
	}
	tfs_quote(buf, sizeof buf, "0123456789abcdefghijklm", 23);
	assert_string_equal(buf, "\"0123456789abcdefgh...\"");
}

static void names_the_url(void **state)
{
	(void)state;
	assert_true(tfs_error_names_url("http://h/m/: HTTP status 404", "http://h/m"));
	assert_true(tfs_error_names_url("http://h/m: HTTP status 404", "http://h/m/"));
	assert_true(tfs_error_names_url("http://h/m/a.gguf: HTTP status 404", "http://h/m"));
	assert_false(tfs_error_names_url("http://h/m2: HTTP status 404", "http://h/m"));
	assert_false(tfs_error_names_url("h: refused", "http://h/m"));
	assert_false(tfs_error_names_url("/a/b: bad", "/a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_has_what_is_known),
		cmocka_unit_test(arguments_may_be_the_error_itself),
		cmocka_unit_test(no_control_characters_reach_a_terminal),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(quoted_text_is_bounded),
		cmocka_unit_test(names_the_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
