/* SPDX-License-Identifier: MIT */
/* The predictor: opens in, places to prefetch out. */
#include "support/helpers.h"

#include "cache/predict.h"

#define MIB ((uint64_t)1 << 20)

struct row {
	uint32_t file, name;  /* places of the tensor opened */
	enum tfs_order order; /* what is to be prefetched; nothing where from == to */
	uint32_t next, from, to;
	uint64_t window;
	uint32_t did;	  /* how far the caller gets */
	uint32_t earlier; /* its place in the order of earlier opens, from 1 on; 0: none */
};

static void check(const struct row *rows, unsigned n, uint32_t count, uint64_t max)
{
	struct tfs_predictor p = { 0 };

	for (unsigned i = 0; i < n; i++) {
		uint32_t place[TFS_ORDERS] = {
			[TFS_FILE_ORDER] = rows[i].file, [TFS_NAME_ORDER] = rows[i].name, [TFS_EARLIER_ORDER] = rows[i].earlier - 1
		};
		const uint32_t counts[TFS_ORDERS] = { count, count, 100 };
		struct tfs_prediction s = tfs_predict_opened(&p, place, counts, max);
		if ((s.from == s.to) != (rows[i].from == rows[i].to))
			fail_msg("row %u: from %u to %u", i, s.from, s.to);
		if (s.from == s.to)
			continue;
		if (s.order != rows[i].order || s.next != rows[i].next || s.from != rows[i].from || s.to != rows[i].to ||
		    s.window != rows[i].window)
			fail_msg("row %u: order %d, next %u, from %u to %u, window %llu", i, s.order, s.next, s.from, s.to,
				 (unsigned long long)s.window);
		tfs_predict_did(&p, s.order, rows[i].did);
	}
}

static void test_file_order(void **state)
{
	static const struct row rows[] = {
		{ 0, 900, TFS_FILE_ORDER, 1, 1, 513, 16 * MIB, 3 },
		{ 1, 500, TFS_FILE_ORDER, 2, 3, 514, 32 * MIB, 8 },
		{ 2, 100, TFS_FILE_ORDER, 3, 8, 515, 64 * MIB, 20 },
		{ 3, 700, TFS_FILE_ORDER, 4, 20, 516, 100 * MIB, 516 }, /* capped */
		{ 4, 300, TFS_FILE_ORDER, 0, 0, 0, 0, 0 },		/* far enough ahead */
	};

	(void)state;
	check(rows, LENGTH(rows), 1000, 100 * MIB);
}

static void test_name_order(void **state)
{
	static const struct row rows[] = {
		{ 900, 0, TFS_NAME_ORDER, 1, 1, 10, 16 * MIB, 5 },
		{ 500, 1, TFS_NAME_ORDER, 2, 5, 10, 32 * MIB, 10 },
		{ 100, 2, TFS_NAME_ORDER, 0, 0, 0, 0, 0 }, /* all of it planned */
	};

	(void)state;
	check(rows, LENGTH(rows), 10, 100 * MIB);
}

static void test_jumps(void **state)
{
	static const struct row rows[] = {
		{ 500, 500, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* nobody knows where to */
		{ 900, 100, TFS_FILE_ORDER, 0, 0, 0, 0, 0 },
		{ 901, 700, TFS_FILE_ORDER, 902, 902, 1000, 16 * MIB, 905 },
		{ 200, 300, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* and off again: the window is small again, too */
		{ 201, 800, TFS_FILE_ORDER, 202, 202, 714, 16 * MIB, 203 },
	};

	(void)state;
	check(rows, LENGTH(rows), 1000, 100 * MIB);
}

/* Several readers that share out the tensors open them a little out of turn. */
static void test_slack(void **state)
{
	static const struct row rows[] = {
		{ 1, 500, TFS_FILE_ORDER, 2, 2, 514, 16 * MIB, 3 },
		{ 0, 900, TFS_FILE_ORDER, 2, 3, 514, 32 * MIB, 4 },
		{ 2 + TFS_PREDICT_SLACK, 100, TFS_FILE_ORDER, 3 + TFS_PREDICT_SLACK, 3 + TFS_PREDICT_SLACK, 547, 64 * MIB, 600 },
		{ 36 + TFS_PREDICT_SLACK, 700, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* one too far */
	};

	(void)state;
	check(rows, LENGTH(rows), 1000, 1000 * MIB);
}

/* An order that is neither, but was seen before. */
static void test_earlier_order(void **state)
{
	static const struct row rows[] = {
		{ 500, 300, TFS_FILE_ORDER, 0, 0, 0, 0, 0, 0 }, /* the first time */
		{ 100, 900, TFS_FILE_ORDER, 0, 0, 0, 0, 0, 0 },
		{ 800, 600, TFS_FILE_ORDER, 0, 0, 0, 0, 0, 0 },
		{ 500, 300, TFS_EARLIER_ORDER, 1, 1, 100, 16 * MIB, 3, 1 }, /* from the first one on again */
		{ 100, 900, TFS_EARLIER_ORDER, 2, 3, 100, 32 * MIB, 90, 2 },
		{ 800, 600, TFS_EARLIER_ORDER, 3, 90, 100, 64 * MIB, 100, 3 },
	};

	(void)state;
	check(rows, LENGTH(rows), 1000, 100 * MIB);
}

/* The window comes back half as large where something was brought in for nothing, and as it was where nothing was. */
static void test_window_shrinks(void **state)
{
	static const struct row rows[] = {
		{ 0, 900, TFS_FILE_ORDER, 1, 1, 513, 16 * MIB, 3 },
		{ 1, 500, TFS_FILE_ORDER, 2, 3, 514, 32 * MIB, 8 },
		{ 2, 100, TFS_FILE_ORDER, 3, 8, 515, 64 * MIB, 20 },
		{ 500, 300, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* 3 to 19 for nothing */
		{ 501, 700, TFS_FILE_ORDER, 502, 502, 1000, 32 * MIB, 502 },
		{ 600, 100, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* none */
		{ 601, 400, TFS_FILE_ORDER, 602, 602, 1000, 32 * MIB, 602 },
	};

	(void)state;
	check(rows, LENGTH(rows), 1000, 1000 * MIB);
}

static void test_end(void **state)
{
	static const struct row rows[] = {
		{ 0, 0, TFS_FILE_ORDER, 0, 0, 0, 0, 0 }, /* the only one */
	};

	(void)state;
	check(rows, LENGTH(rows), 1, 100 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_order),     cmocka_unit_test(test_name_order), cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_slack),	       cmocka_unit_test(test_end),	  cmocka_unit_test(test_earlier_order),
		cmocka_unit_test(test_window_shrinks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
