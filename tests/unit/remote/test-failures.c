/* SPDX-License-Identifier: MIT */
/* Which reads are answered by what has just failed. */
#include "support/helpers.h"

#include <errno.h>

#include "base/clock.h"
#include "remote/failures.h"

static int find(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, struct tfs_error *err)
{
	*err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	return tfs_failures_find(f, node, from, end, true, err);
}

static void only_the_same_bytes_a_moment_ago(void **state)
{
	const struct tfs_error why = { .what = "no answer" };
	_Atomic uint64_t bytes = 0;
	struct tfs_failures f;
	struct tfs_error err;

	(void)state;
	tfs_failures_init(&f, &bytes, 60);
	assert_int_equal(find(&f, 0, 0, 100, &err), 0);
	tfs_failures_add(&f, 1, 100, 200, true, tfs_now() - 5, -EIO, &why);
	assert_int_equal(find(&f, 1, 199, 1000, &err), -EIO);
	assert_string_equal(err.what, "no answer");
	assert_int_equal(err.offset, 199);
	assert_int_equal(find(&f, 1, 0, 101, &err), -EIO);
	assert_int_equal(find(&f, 1, 0, 100, &err), 0);
	assert_int_equal(find(&f, 1, 200, 300, &err), 0);
	assert_int_equal(find(&f, 2, 100, 200, &err), 0);
	/* What failed at once may be tried again, and what was given up isn't a failure. */
	tfs_failures_add(&f, 2, 0, 100, true, tfs_now(), -EIO, &why);
	tfs_failures_add(&f, 2, 0, 100, true, tfs_now() - 5, -ECANCELED, &why);
	assert_int_equal(find(&f, 2, 0, 100, &err), 0);
	/* The last ones are remembered, as many as there is room for. */
	for (uint64_t i = 0; i <= TFS_FAILURES_MAX; i++)
		tfs_failures_add(&f, 3, i, i + 1, true, tfs_now() - 5, -EACCES, &why);
	assert_int_equal(find(&f, 3, 0, 1, &err), 0);
	assert_int_equal(find(&f, 3, 1, 2, &err), -EACCES);
	assert_int_equal(find(&f, 3, TFS_FAILURES_MAX, TFS_FAILURES_MAX + 1, &err), -EACCES);
	assert_int_equal(find(&f, 1, 100, 200, &err), 0);
	tfs_failures_fini(&f);
}

static void all_bytes_of_a_silent_origin(void **state)
{
	const struct tfs_error why = { .what = "no answer" };
	_Atomic uint64_t bytes = 1000;
	struct tfs_failures f;
	struct tfs_error err;

	(void)state;
	tfs_failures_init(&f, &bytes, 4);
	tfs_failures_add(&f, 1, 100, 200, false, tfs_now() - 4, -EIO, &why);
	assert_int_equal(find(&f, 2, 0, 100, &err), -EIO);
	assert_string_equal(err.what, "no answer");
	/* What nobody waits for can wait for it to come back, but not before those who do. */
	assert_int_equal(tfs_failures_find(&f, 2, 0, 100, false, &err), 0);
	assert_int_equal(tfs_failures_find(&f, 1, 0, 101, false, &err), -EIO);
	tfs_failures_add(&f, 1, 100, 200, true, tfs_now() - 4, -EIO, &why);
	assert_int_equal(tfs_failures_find(&f, 2, 0, 100, false, &err), -EIO);
	bytes++;
	assert_int_equal(find(&f, 2, 0, 100, &err), 0);
	assert_int_equal(find(&f, 1, 100, 200, &err), -EIO);
	/* One file may be refused, and the others not. */
	tfs_failures_add(&f, 3, 0, 100, true, tfs_now() - 4, -EACCES, &why);
	assert_int_equal(find(&f, 2, 0, 100, &err), 0);
	tfs_failures_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_the_same_bytes_a_moment_ago),
					    cmocka_unit_test(all_bytes_of_a_silent_origin) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
