/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <errno.h>

#include "base/json.h"

/* Read all of @text, at file offset 1000, as one value. */
static int check(const char *text, size_t len, struct tfs_error *err)
{
	char *copy = malloc(len + 1); /* exactly as long as the text, so that a sanitizer sees a read beyond it */
	struct tfs_json r;
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy = realloc(copy, len ? len : 1);
	tfs_json_init(&r, copy, len, 1000, err);
	rc = tfs_json_skip(&r);
	if (!rc)
		rc = tfs_json_end(&r);
	free(copy);
	return rc;
}

static void sound_documents_are_accepted(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		" \t\r\n{ } \n",
		"null",
		"true",
		"false",
		"0",
		"-0",
		"-12.50e+07",
		"1E-2",
		"123456789012345678901234567890",
		"1e999",
		"\"\"",
		"\"\\u0000\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\x7f\"",
		"\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
		"\"\\ud83e\\uDD17\"",
		"[1,[2,[3]],{\"a\":{\"b\":[]}}, \"x\" , null]",
		"{\"a\":1,\"a\":2}",
		"{\"\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct tfs_error err = { 0 };

		if (check(texts[i], strlen(texts[i]), &err))
			fail_msg("%s: %s", texts[i], err.what);
	}
}

static void unsound_documents_are_refused_where_they_break(void **state)
{
	static const struct {
		const char *text;
		unsigned at;
	} cases[] = {
		{ "", 0 },
		{ "   ", 3 },
		{ "{", 1 },
		{ "[", 1 },
		{ "}", 0 },
		{ "{}x", 2 },
		{ "{} {}", 3 },
		{ "[1,]", 3 },
		{ "[,1]", 1 },
		{ "[1 2]", 3 },
		{ "[1}", 2 },
		{ "{\"a\":1,}", 7 },
		{ "{,}", 1 },
		{ "{\"a\" 1}", 5 },
		{ "{\"a\":}", 5 },
		{ "{\"a\":1 \"b\":2}", 7 },
		{ "{a:1}", 1 },
		{ "{1:1}", 1 },
		{ "{'a':1}", 1 },
		{ "nul", 0 },
		{ "nulll", 4 },
		{ "True", 0 },
		{ "NaN", 0 },
		{ "Infinity", 0 },
		{ "01", 0 },
		{ "-", 1 },
		{ "-01", 0 },
		{ "+1", 0 },
		{ ".5", 0 },
		{ "1.", 2 },
		{ "1.e5", 2 },
		{ "1e", 2 },
		{ "1e+", 3 },
		{ "0x10", 1 },
		{ "\"abc", 0 },
		{ "\"a\nb\"", 2 },
		{ "\"\\x41\"", 1 },
		{ "\"\\", 1 },
		{ "\"\\u12\"", 1 },
		{ "\"\\u12g4\"", 1 },
		{ "\"\\ud800\"", 1 },
		{ "\"\\ud800\\u0041\"", 1 },
		{ "\"\\ud800x\"", 1 },
		{ "\"\\udc00\"", 1 },
		{ "\"\\ud800\\ud800\"", 1 },
		{ "\"\x80\"", 1 },
		{ "\"\xc0\x80\"", 1 },
		{ "\"\xc1\xbf\"", 1 },
		{ "\"\xc3\"", 1 },
		{ "\"\xe0\x9f\xbf\"", 1 },
		{ "\"\xed\xa0\x80\"", 1 },
		{ "\"\xe2\x82\"", 1 },
		{ "\"\xf0\x8f\xbf\xbf\"", 1 },
		{ "\"\xf4\x90\x80\x80\"", 1 },
		{ "\"\xf5\x80\x80\x80\"", 1 },
		{ "\"\xff\"", 1 },
		{ "\"abcdefgh\xff\"", 9 },
		{ "\xef\xbb\xbf{}", 0 },
		{ "{}\xc2\xa0", 2 },
		{ "/* */ {}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };

		if (check(cases[i].text, strlen(cases[i].text), &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i].text);
		if (err.offset != 1000 + cases[i].at)
			fail_msg("%s: at %llu, not %u", cases[i].text, (unsigned long long)err.offset, cases[i].at);
	}
}

static void every_prefix_of_a_document_is_refused(void **state)
{
	static const char text[] = "{\"k\\u00e4y\":[1,-2.5e3,\"\xe2\x82\xac \\ud83e\\udd17\",{\"a\":null}],\"b\":true}";
	struct tfs_error err = { 0 };

	(void)state;
	assert_int_equal(check(text, sizeof text - 1, &err), 0);
	for (size_t len = 0; len < sizeof text - 1; len++)
		assert_int_equal(check(text, len, &err), -EINVAL);
	assert_int_equal(check(text, sizeof text, &err), -EINVAL); /* with its NUL */
}

static void nesting_is_limited(void **state)
{
	char text[2 * (TFS_JSON_MAX_DEPTH + 1)];
	struct tfs_error err = { 0 };

	(void)state;
	memset(text, '[', sizeof text / 2);
	memset(text + sizeof text / 2, ']', sizeof text / 2);
	assert_int_equal(check(text + 1, sizeof text - 2, &err), 0);
	assert_int_equal(check(text, sizeof text, &err), -EINVAL);
	assert_int_equal(err.offset, 1000 + TFS_JSON_MAX_DEPTH);
}

static void strings_are_decoded(void **state)
{
	static const struct {
		const char *json, *want;
		size_t len;
	} cases[] = {
		{ "\"plain and longer than a word\"", "plain and longer than a word", 28 },
		{ "\"a\\u0000b\"", "a\0b", 3 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
		{ "\"\\u00fc \\u20AC \\ud83e\\udd17!\"", "\xc3\xbc \xe2\x82\xac \xf0\x9f\xa4\x97!", 12 },
		{ "\"\xc3\xbc\\u00fc\xc3\xbc\"", "\xc3\xbc\xc3\xbc\xc3\xbc", 6 },
		{ "\"\"", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *text = strdup(cases[i].json);
		struct tfs_json_text s;
		struct tfs_json r;

		tfs_json_init(&r, text, strlen(text), 0, NULL);
		assert_int_equal(tfs_json_string(&r, &s), 0);
		assert_int_equal(tfs_json_end(&r), 0);
		assert_int_equal(s.len, cases[i].len);
		assert_memory_equal(s.s, cases[i].want, s.len + 1); /* with the NUL */
		free(text);
	}
}

static void integers_are_exact(void **state)
{
	static const struct {
		const char *json;
		int rc;
		uint64_t want;
	} cases[] = {
		{ "0", 0, 0 },
		{ " 7 ", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -EINVAL, 0 },
		{ "99999999999999999999999", -EINVAL, 0 },
		{ "-0", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "00", -EINVAL, 0 },
		{ "01", -EINVAL, 0 },
		{ "1.0", -EINVAL, 0 },
		{ "1e2", -EINVAL, 0 },
		{ "1E2", -EINVAL, 0 },
		{ "\"1\"", -EINVAL, 0 },
		{ "null", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *text = strdup(cases[i].json);
		struct tfs_json r;
		uint64_t v = 0;

		tfs_json_init(&r, text, strlen(text), 0, NULL);
		if (tfs_json_u64(&r, &v) != cases[i].rc)
			fail_msg("%s", cases[i].json);
		assert_true(v == cases[i].want);
		free(text);
	}
}

static void values_are_pulled_one_by_one(void **state)
{
	char text[] = "{\"a\": [1, \"two\", {}], \"b\": -3.5}";
	struct tfs_json_text s;
	struct tfs_json r;
	uint64_t v;

	(void)state;
	tfs_json_init(&r, text, strlen(text), 0, NULL);
	assert_int_equal(tfs_json_peek(&r), TFS_JSON_OBJECT);
	assert_int_equal(tfs_json_object_begin(&r), 0);
	assert_int_equal(tfs_json_object_next(&r, &s), 1);
	assert_true(tfs_json_is(&s, "a"));
	assert_false(tfs_json_is(&s, "ab"));
	assert_int_equal(tfs_json_offset(&r, &s), 2);
	assert_int_equal(tfs_json_array_begin(&r), 0);
	assert_int_equal(tfs_json_array_next(&r), 1);
	assert_int_equal(tfs_json_u64(&r, &v), 0);
	assert_int_equal(tfs_json_array_next(&r), 1);
	assert_int_equal(tfs_json_peek(&r), TFS_JSON_STRING);
	assert_int_equal(tfs_json_string(&r, &s), 0);
	assert_string_equal(s.s, "two");
	assert_int_equal(tfs_json_array_next(&r), 1);
	assert_int_equal(tfs_json_object_begin(&r), 0);
	assert_int_equal(tfs_json_object_next(&r, &s), 0);
	assert_int_equal(tfs_json_array_next(&r), 0);
	assert_int_equal(tfs_json_object_next(&r, &s), 1);
	assert_int_equal(tfs_json_peek(&r), TFS_JSON_NUMBER);
	assert_int_equal(tfs_json_number(&r, &s), 0);
	assert_int_equal(s.len, 4);
	assert_memory_equal(s.s, "-3.5", 4);
	assert_int_equal(tfs_json_object_next(&r, &s), 0);
	assert_int_equal(tfs_json_end(&r), 0);
}

static void a_value_of_another_type_is_refused(void **state)
{
	char text[] = "[]";
	struct tfs_error err = { 0 };
	struct tfs_json_text s;
	struct tfs_json r;
	uint64_t v;

	(void)state;
	tfs_json_init(&r, text, 2, 0, &err);
	assert_int_equal(tfs_json_object_begin(&r), -EINVAL);
	assert_string_equal(err.what, "JSON: found '[', expected an object");
	assert_int_equal(tfs_json_string(&r, &s), -EINVAL);
	assert_int_equal(tfs_json_number(&r, &s), -EINVAL);
	assert_int_equal(tfs_json_u64(&r, &v), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_documents_are_accepted),
		cmocka_unit_test(unsound_documents_are_refused_where_they_break),
		cmocka_unit_test(every_prefix_of_a_document_is_refused),
		cmocka_unit_test(nesting_is_limited),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(integers_are_exact),
		cmocka_unit_test(values_are_pulled_one_by_one),
		cmocka_unit_test(a_value_of_another_type_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
