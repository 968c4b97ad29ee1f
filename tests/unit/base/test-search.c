/* SPDX-License-Identifier: MIT */
/* Binary search: every boundary of every range, and no more questions than it takes. */
#include "support/helpers.h"

#include "base/search.h"

static unsigned asked;

static bool below(size_t i, size_t boundary)
{
	asked++;
	return i < boundary;
}

static void every_boundary_is_found(void **state)
{
	(void)state;
	for (size_t lo = 0; lo < 5; lo++)
		for (size_t hi = lo; hi < 40; hi++)
			for (size_t boundary = lo; boundary <= hi; boundary++)
				assert_int_equal(tfs_search(i, lo, hi, below(i, boundary)), boundary);
}

static void an_empty_range_is_not_asked(void **state)
{
	(void)state;
	asked = 0;
	assert_int_equal(tfs_search(i, 7, 7, below(i, 100)), 7);
	assert_int_equal(asked, 0);
}

/* The middle of two large indexes is no sum of them, which would overflow. */
static void the_largest_range(void **state)
{
	static const size_t boundaries[] = { 0, 1, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX };

	(void)state;
	for (size_t b = 0; b < LENGTH(boundaries); b++) {
		asked = 0;
		assert_true(tfs_search(i, 0, SIZE_MAX, below(i, boundaries[b])) == boundaries[b]);
		assert_true(asked <= 8 * sizeof(size_t));
	}
	assert_true(tfs_search(i, SIZE_MAX - 3, SIZE_MAX, below(i, SIZE_MAX - 1)) == SIZE_MAX - 1);
}

static void bounds_are_evaluated_once(void **state)
{
	static const char *const sorted[] = { "a", "b", "d", "e" };
	size_t from = 0, n = LENGTH(sorted);

	(void)state;
	assert_int_equal(tfs_search(k, from++, n--, strcmp(sorted[k], "c") < 0), 2);
	assert_int_equal(from, 1);
	assert_int_equal(n, LENGTH(sorted) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_boundary_is_found),
		cmocka_unit_test(an_empty_range_is_not_asked),
		cmocka_unit_test(the_largest_range),
		cmocka_unit_test(bounds_are_evaluated_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
