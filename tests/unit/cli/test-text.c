/* SPDX-License-Identifier: MIT */
/* Patterns of names, choices of elements, and text that is safe to print. */
#include "support/helpers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cli/pattern.h"
#include "fs/cli/slice.h"
#include "fs/cli/terminal.h"

static void pattern_is(const char *name, const char *want)
{
	char buf[200];
	const size_t n = tfs_pattern_of(name, strlen(name), buf);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, n);
}

static void test_patterns(void **state)
{
	(void)state;
	pattern_is("model.layers.12.mlp.experts.3.up", "model.layers.*.mlp.experts.*.up");
	pattern_is("fc1.w2", "fc1.w2");
	pattern_is("7", "*");
	pattern_is("h.0", "h.*");
	pattern_is("onnx::MatMul_3062", "onnx::MatMul_*");
	pattern_is("a/1/b-2-3", "a/*/b-*-*");
	pattern_is("1a.a1.1.1", "1a.a1.*.*");
	pattern_is("", "");
}

static void test_layers(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(tfs_pattern_layer("a.7.b.8", 7, &n), 3);
	assert_int_equal(n, 7);
	assert_int_equal(tfs_pattern_layer("a.b.c", 5, &n), 3);
	assert_true(n == UINT64_MAX);
	assert_int_equal(tfs_pattern_layer("abc", 3, &n), 3);
	tfs_pattern_layer("99999999999999999999999", 23, &n);
	assert_int_equal(n, UINT32_MAX);
}

static void test_order(void **state)
{
	static const char *const sorted[] = { "", "a", "a.2", "a.02.x", "a.2.y", "a.10", "a.10.b", "b" };

	(void)state;
	for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++)
		for (size_t k = 0; k < sizeof sorted / sizeof *sorted; k++) {
			const int c = tfs_pattern_compare(sorted[i], strlen(sorted[i]), sorted[k], strlen(sorted[k]));
			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
}

static void dim_is(const char *text, uint64_t size, uint64_t first, uint64_t count, int64_t step)
{
	struct tfs_slice s;
	char why[100];

	assert_int_equal(tfs_slice_parse(text, &size, 1, &s, why, sizeof why), 0);
	assert_int_equal(s.dims[0].count, count);
	assert_int_equal(s.dims[0].first, first);
	assert_int_equal(s.dims[0].step, step);
}

/* As range(size)[...] in Python. */
static void test_slices(void **state)
{
	const uint64_t shape[3] = { 2, 3, 4 };
	struct tfs_slice s;
	char why[100];

	(void)state;
	dim_is("[:]", 10, 0, 10, 1);
	dim_is("[3]", 10, 3, 1, 1);
	dim_is("[-1]", 10, 9, 1, 1);
	dim_is("[2:-2]", 10, 2, 6, 1);
	dim_is("[::-1]", 10, 9, 10, -1);
	dim_is("[100::-3]", 10, 9, 4, -3);
	dim_is("[:-100:-4]", 10, 9, 3, -4);
	dim_is("[-100:100:9223372036854775807]", 10, 0, 1, INT64_MAX);
	dim_is("[::-9223372036854775808]", 10, 9, 1, INT64_MIN);
	dim_is("[5:5]", 10, 0, 0, 1);
	dim_is("[::-1]", 0, 0, 0, -1);
	dim_is("[ 1 : 9 : 2 ,]", 10, 1, 4, 2);
	assert_int_equal(tfs_slice_parse("[..., 1]", shape, 3, &s, why, sizeof why), 0);
	assert_int_equal(tfs_slice_count(&s), 6);
	assert_true(s.dims[2].index && !s.dims[0].index);
	assert_int_equal(tfs_slice_parse("[]", shape, 3, &s, why, sizeof why), 0);
	assert_int_equal(tfs_slice_count(&s), 24);
	assert_int_equal(tfs_slice_parse("[1,2,3,...]", shape, 3, &s, why, sizeof why), 0);
	assert_int_equal(tfs_slice_count(&s), 1);
}

static void test_wrong_slices(void **state)
{
	static const char *const wrong[] = { "[2]",    "[-3]",	   "[0,0,0,0]", "[::0]", "[1 2]", "[1:2:3:4]",
					     "[,]",    "[1,,2]",   "[--1]",	"[-]",	 "[.]",	  "[99999999999999999999]",
					     "[1][2]", "[...,...]" };
	const uint64_t shape[3] = { 2, 3, 4 };
	struct tfs_slice s;
	char why[100];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		why[0] = 0;
		assert_int_equal(tfs_slice_parse(wrong[i], shape, 3, &s, why, sizeof why), -EINVAL);
		assert_true(why[0]);
	}
	assert_null(tfs_slice_find("a"));
	assert_null(tfs_slice_find("a[b]"));
	assert_null(tfs_slice_find("[1]"));
	assert_null(tfs_slice_find("a[1]b"));
	assert_string_equal(tfs_slice_find("a[1][2]"), "[2]");
}

static void safe_is(const char *text, size_t len, const char *want)
{
	char *got = tfs_safe(text, len, "/%");

	assert_string_equal(got, want);
	assert_int_equal(tfs_is_safe(text, len, "/%"), !strcmp(text, want) && len == strlen(want));
	free(got);
}

static void test_safe(void **state)
{
	(void)state;
	safe_is("plain.\u00fcnicode", 14, "plain.\u00fcnicode");
	safe_is("\033[31m", 5, "%1B[31m");
	safe_is("a/b%", 4, "a%2Fb%25");
	safe_is("\xc2\x9b\xc2\x85", 4, "%C2%9B%C2%85");
	safe_is("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f", 9, "%E2%80%AE%E2%81%A6%E2%80%8F");
	safe_is("\xff\xc3", 2, "%FF%C3");
	safe_is("a\0b\x7f", 4, "a%00b%7F");
	assert_int_equal(tfs_text_width("\u00fcx", 3), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_layers),	      cmocka_unit_test(test_order),
		cmocka_unit_test(test_slices),	 cmocka_unit_test(test_wrong_slices), cmocka_unit_test(test_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
