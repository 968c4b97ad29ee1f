/* SPDX-License-Identifier: MIT */
/* Figures for people: bars and bytes. */
#include "support/helpers.h"

#include "fs/cli/figures.h"

static void test_bar(void **state)
{
	static const struct {
		unsigned width;
		double share;
		bool utf8;
		unsigned columns;
		const char *bar;
	} rows[] = {
		{ 4, 0, false, 0, "" },
		{ 4, -1, false, 0, "" },
		{ 4, 0.0 / 0.0, true, 0, "" },
		{ 4, 1e-9, false, 1, "#" }, /* never empty */
		{ 4, 0.5, false, 2, "##" },
		{ 4, 1, false, 4, "####" },
		{ 4, 7, false, 4, "####" },
		{ 0, 1, false, 0, "" },
		{ 0, 0.1, true, 0, "" },
		{ 2, 1e-9, true, 1, "\xe2\x96\x8f" },	  /* one eighth */
		{ 2, 0.25, true, 1, "\xe2\x96\x8c" },	  /* a half */
		{ 2, 7.0 / 16, true, 1, "\xe2\x96\x89" }, /* seven eighths */
		{ 2, 0.5, true, 1, "\xe2\x96\x88" },
		{ 2, 0.75, true, 2, "\xe2\x96\x88\xe2\x96\x8c" },
		{ 2, 1, true, 2, "\xe2\x96\x88\xe2\x96\x88" },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		/* Of the size that the contract names, so that a sanitizer sees one byte too many. */
		char *buf = malloc(4 * rows[i].width + 1);
		assert_non_null(buf);
		assert_int_equal(tfs_figures_bar(buf, rows[i].width, rows[i].share, rows[i].utf8), rows[i].columns);
		assert_string_equal(buf, rows[i].bar);
		free(buf);
	}
}

static void test_bytes(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },	       { 999, "999 B" },      { 1000, "1.00 kB" },  { 9994, "9.99 kB" },
		{ 9996, "10.0 kB" },   { 99960, "100 kB" },   { 999400, "999 kB" }, { 999600, "1.00 MB" },
		{ 2.15e9, "2.15 GB" }, { 1.5e12, "1.50 TB" }, { 7e18, "7000 PB" },
	};
	char buf[TFS_FIGURES_BYTES];

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++)
		assert_string_equal(tfs_figures_bytes(buf, rows[i].bytes), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
