/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <errno.h>

#include "model/config.h"

/* What is parsed and written again, but for spaces. */
static void assert_kept(const char *text, const char *expected)
{
	json_t *o;

	assert_int_equal(tfs_config_parse(text, strlen(text), &o), 0);
	char *dump = tfs_config_dump(o), *to = dump;
	assert_non_null(dump);
	assert_int_equal(dump[strlen(dump) - 1], '\n');
	for (const char *s = dump; *s; s++)
		if (*s != ' ' && *s != '\n')
			*to++ = *s;
	*to = 0;
	assert_string_equal(dump, expected);
	free(dump);
	json_decref(o);
}

/* json.loads() of CPython 3.11 takes all of these, and json.dumps() writes the same values. */
static void numbers_keep_their_spelling(void **state)
{
	static const char *const same[] = {
		"{\"a\":NaN}",
		"{\"a\":[Infinity,-Infinity]}",
		"{\"a\":18446744073709551616,\"b\":-9223372036854775809}",
		"{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
		"{\"a\":123456789012345678,\"b\":0,\"c\":-1}",
		"{\"a\":1e-06,\"b\":1E5,\"c\":1.50,\"d\":-0.0,\"e\":1e+22,\"f\":1e-320}",
		"{\"a\":\"NaN\",\"b\":\"x\\\"1.5\",\"c\":\"\\\\\",\"d\":1.5}",
		"{\"1.5\":true,\"NaN\":false,\"n\":null}",
		"{\"a\":\"\\u0000x\"}",
		"{}",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(same); i++)
		assert_kept(same[i], same[i]);
	assert_kept("\xef\xbb\xbf{\"a\":1.0}", "{\"a\":1.0}");
	assert_kept("{\"a\":1,\"a\":2}", "{\"a\":2}");
}

static void integers_are_integers(void **state)
{
	static const char text[] = "{\"a\":NaN,\"bits\":4,\"most\":9223372036854775807,\"s\":\"1.5\"}";
	json_t *o;

	(void)state;
	assert_int_equal(tfs_config_parse(text, strlen(text), &o), 0);
	assert_int_equal(json_integer_value(json_object_get(o, "bits")), 4);
	assert_false(json_is_number(json_object_get(o, "a")));
	assert_string_equal(json_string_value(json_object_get(o, "s")), "1.5");
	json_decref(o);
}

static void what_python_refuses_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"[]",
		"1",
		"NaN",
		"\"a\"",
		"{",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":01}",
		"{\"a\":1e}",
		"{\"a\":+1}",
		"{\"a\":nan}",
		"{\"a\":Infinit}",
		"{\"a\":--Infinity}",
		"{\"a\":1,}",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"// c\n{}",
		"{} 1",
		"{'a':1}",
		"{\"a\":1.5.5}",
		"{\"a\":-}",
		"{\"a\":00.5}",
		"\xef\xbb",
		"\xef\xbb\xbf",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		/* Of exactly its size, for AddressSanitizer. */
		size_t len = strlen(bad[i]);
		char *text = memcpy(malloc(len + !len), bad[i], len);

		json_t *o = NULL;

		assert_int_equal(tfs_config_parse(text, len, &o), -EINVAL);
		assert_null(o);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_keep_their_spelling),
		cmocka_unit_test(integers_are_integers),
		cmocka_unit_test(what_python_refuses_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
