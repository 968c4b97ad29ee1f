/* SPDX-License-Identifier: MIT */
/* What tensorfs bench makes of seconds: grades, percentages, and the two reports. */
#include "support/helpers.h"

#include <jansson.h>

#include "fs/cli/bench/bench.h"

static void test_grade(void **state)
{
	static const struct {
		double baseline, seconds;
		const char *grade, *by_seconds;
	} rows[] = {
		/* Small models, which only the comparison says something of. */
		{ 1, 0.5, "FASTER", NULL },
		{ 1, 0.96, "AS FAST", NULL },
		{ 1, 1, "AS FAST", NULL },
		{ 1, 1.04, "AS FAST", NULL },
		{ 1, 1.06, "SLOWER", NULL },
		{ 29.9, 200, "SLOWER", NULL },
		{ 0, 1, "SLOWER", NULL },
		/* Large ones. */
		{ 30, 29.999, "AS FAST", "ULTRA-FAST" },
		{ 40, 20, "FASTER", "ULTRA-FAST" },
		{ 60, 30, "FASTER", "FAST" },
		{ 60, 59.999, "AS FAST", "FAST" },
		{ 61, 60, "AS FAST", "GOOD" },
		{ 100, 119.999, "SLOWER", "GOOD" },
		{ 240, 120, "FASTER", "NEEDS IMPROVEMENT" },
		{ 1e9, 1e9, "AS FAST", "NEEDS IMPROVEMENT" },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		const char *by_seconds = tfs_bench_seconds_grade(rows[i].baseline, rows[i].seconds);
		assert_string_equal(tfs_bench_grade(rows[i].baseline, rows[i].seconds), rows[i].grade);
		assert_string_equal(by_seconds ? by_seconds : "", rows[i].by_seconds ? rows[i].by_seconds : "");
	}
}

static void test_median(void **state)
{
	const double values[] = { 5, 1, 4, 2 };

	(void)state;
	assert_true(tfs_bench_median(values, 1) == 5);
	assert_true(tfs_bench_median(values, 2) == 3);
	assert_true(tfs_bench_median(values, 3) == 4);
	assert_true(tfs_bench_median(values, 4) == 3);
	assert_true(values[0] == 5 && values[3] == 2);
}

static void test_saved(void **state)
{
	(void)state;
	assert_true(tfs_bench_saved(4, 1) == 75);
	assert_true(tfs_bench_saved(4, 4) == 0);
	assert_true(tfs_bench_saved(4, 5) == -25);
	assert_true(tfs_bench_saved(0, 1) == 0);
}

/* A result as a run leaves it; the caller frees it. */
static struct tfs_bench_result *example(void)
{
	struct tfs_bench_result *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->path = "/models/x";
	r->tensors = 3;
	r->tensor_bytes = 8000000000;
	r->files = 1;
	r->system = (struct tfs_bench_system){ .cpu = "CPU", .cpus = 4, .simd = "scalar", .libfuse = "3.18.3", .rotational = -1 };
	r->runs = 3;
	r->readers = 2;
	r->threads = 8;
	r->mounted = true;
	r->stats = json_pack("{s:s}", "serving", "passthrough");
	r->figures[TFS_BENCH_BASELINE] = (struct tfs_bench_figure){ 3, { 90, 100, 110 }, 8000000000, TFS_BENCH_COLD_YES, 0 };
	r->figures[TFS_BENCH_COLD] = (struct tfs_bench_figure){ 3, { 45, 40, 35 }, 8000000000, TFS_BENCH_COLD_NO, 4096 };
	r->figures[TFS_BENCH_CACHED] = (struct tfs_bench_figure){ 3, { 0.2, 0.1, 0.3 }, 0, 0, 0 };
	r->figures[TFS_BENCH_WARM] = (struct tfs_bench_figure){ 3, { 1, 2, 3 }, 8000000000, 0, 0 };
	r->figures[TFS_BENCH_NATIVE] = (struct tfs_bench_figure){ 3, { 60, 60, 60 }, 8000001000, TFS_BENCH_COLD_YES, 0 };
	r->figures[TFS_BENCH_ORIGINALS] = (struct tfs_bench_figure){ 3, { 20, 15, 15 }, 8000001000, TFS_BENCH_COLD_YES, 0 };
	tfs_bench_note(r, "note %d", 1);
	tfs_bench_note(r, "note %d", 1); /* once is enough */
	return r;
}

static void free_example(struct tfs_bench_result *r)
{
	json_decref(r->stats);
	free(r);
}

static char *text_of(const struct tfs_bench_result *r, unsigned width, bool utf8)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	tfs_bench_print_text(f, r, width, utf8);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_text(void **state)
{
	static const char *const has[] = {
		"baseline  ",
		"100.00 s",
		"one thread, buffered",
		"2.50 times as fast, 60 % saved",
		"40.00 s",
		"200 MB/s",
		"0.5 % of cold: immediate",
		"4.00 times as fast, 75 % saved",
		"grade     FASTER: a cold load is 2.50 times as fast as an ordinary reader\n          FAST: cold load in 40.00 s\n",
		"note      note 1\n",
		"8.00 GB in 1 file;",
		"has       passthrough\n",
	};
	struct tfs_bench_result *r = example();

	(void)state;
	char *text = text_of(r, 100, false);
	for (unsigned i = 0; i < LENGTH(has); i++)
		if (!strstr(text, has[i]))
			fail_msg("no \"%s\" in:\n%s", has[i], text);
	assert_null(strstr(strstr(text, "note 1") + 1, "note 1"));
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
	free(text);

	/* The chart fits the width that is asked for; a narrow one still has bars. */
	text = text_of(r, 20, false);
	assert_non_null(strstr(text, "########"));
	free(text);
	text = text_of(r, 90, true);
	assert_non_null(strstr(text, "\xe2\x96\x88"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned columns = 0;
		for (const char *c = line; *c; c++)
			columns += (*c & 0xc0) != 0x80;
		assert_true(columns <= 90);
	}
	free(text);

	/* What comes from elsewhere stays on its line. */
	r->path = "a\nb\033";
	text = text_of(r, 100, false);
	assert_non_null(strstr(text, "model     a?b?\n"));
	free(text);

	/* Slower is said to be. */
	r->figures[TFS_BENCH_BASELINE].seconds[0] = r->figures[TFS_BENCH_BASELINE].seconds[1] = 32;
	text = text_of(r, 100, false);
	assert_non_null(strstr(text, "slower: 1.25 times as long"));
	assert_non_null(strstr(text, "grade     SLOWER: a cold load takes 1.25 times as long as an ordinary reader\n"));
	free(text);
	free_example(r);
}

static json_t *json_of(const struct tfs_bench_result *r)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(tfs_bench_print_json(f, r), 0);
	assert_int_equal(fclose(f), 0);
	json_t *o = json_loads(text, 0, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static void test_json(void **state)
{
	struct tfs_bench_result *r = example();
	double speedup, saved, percent, seconds, rate;
	int cold, immediate;
	const char *grade, *by_seconds, *serving;

	(void)state;
	json_t *o = json_of(r);
	assert_int_equal(json_unpack(o, "{s:{s:F, s:F, s:F, s:F, s:b}, s:{s:F, s:b}, s:s, s:s, s:s}", "cold", "seconds", &seconds,
				     "speedup", &speedup, "saved_percent", &saved, "bytes_per_second", &rate, "cold", &cold,
				     "cached", "percent_of_cold", &percent, "immediate", &immediate, "grade", &grade,
				     "seconds_grade", &by_seconds, "serving", &serving),
			 0);
	assert_true(seconds == 40 && speedup == 2.5 && saved == 60 && rate == 2e8 && percent == 0.2 / 40 * 100);
	assert_false(cold);
	assert_true(immediate);
	assert_string_equal(grade, "FASTER");
	assert_string_equal(by_seconds, "FAST");
	assert_string_equal(serving, "passthrough");
	assert_true(json_is_true(json_object_get(json_object_get(o, "baseline"), "cold")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "cold"), "cached_bytes")), 4096);
	assert_true(json_real_value(json_object_get(json_object_get(o, "originals"), "speedup")) == 4);
	assert_int_equal(json_array_size(json_object_get(o, "notes")), 1);
	json_decref(o);

	/* Without a mount, on storage that nobody knows, and with a path that is no UTF-8. */
	r->mounted = false;
	json_decref(r->stats);
	r->stats = NULL;
	r->path = "\xff";
	r->figures[TFS_BENCH_CACHED].n = r->figures[TFS_BENCH_WARM].n = 0;
	r->figures[TFS_BENCH_COLD].coldness = TFS_BENCH_COLD_UNKNOWN;
	r->figures[TFS_BENCH_BASELINE].seconds[0] = r->figures[TFS_BENCH_BASELINE].seconds[1] = 29; /* small enough */
	o = json_of(r);
	assert_true(json_is_null(json_object_get(o, "cached")) && json_is_null(json_object_get(o, "warm")));
	assert_true(json_is_null(json_object_get(json_object_get(o, "cold"), "cold")));
	assert_true(json_is_null(json_object_get(o, "stats")) && json_is_null(json_object_get(o, "seconds_grade")));
	assert_string_equal(json_string_value(json_object_get(o, "through")), "loader");
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "model"), "path")), "?");
	json_decref(o);
	free_example(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grade), cmocka_unit_test(test_median), cmocka_unit_test(test_saved),
		cmocka_unit_test(test_text),  cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
