/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include "fs/mount/kept.h"

static void one_name_one_registration(void **state)
{
	struct tfs_kept k;

	(void)state;
	tfs_kept_init(&k);
	assert_int_equal(tfs_kept_find(&k, 7), 0);
	assert_int_equal(tfs_kept_take(&k, 7), 0);
	assert_true(tfs_kept_add(&k, 7, 70));
	assert_true(tfs_kept_add(&k, 7 + (1 << 14), 71)); /* of the same bucket */
	assert_false(tfs_kept_add(&k, 7, 72));
	assert_int_equal(tfs_kept_find(&k, 7), 70);
	assert_int_equal(tfs_kept_find(&k, 7 + (1 << 14)), 71);
	assert_int_equal(tfs_kept_take(&k, 7), 70);
	assert_int_equal(tfs_kept_take(&k, 7), 0);
	assert_int_equal(tfs_kept_find(&k, 7 + (1 << 14)), 71);
	tfs_kept_fini(&k);
}

static void only_so_many(void **state)
{
	struct tfs_kept k;

	(void)state;
	tfs_kept_init(&k);
	for (int i = 1; i <= TFS_KEPT_MAX; i++)
		assert_true(tfs_kept_add(&k, (uint64_t)i, i));
	assert_false(tfs_kept_add(&k, TFS_KEPT_MAX + 1, 1));
	assert_int_equal(tfs_kept_take(&k, 5), 5);
	assert_true(tfs_kept_add(&k, TFS_KEPT_MAX + 1, 1));
	for (int i = 6; i <= TFS_KEPT_MAX; i++)
		assert_int_equal(tfs_kept_find(&k, (uint64_t)i), i);
	tfs_kept_fini(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_name_one_registration),
		cmocka_unit_test(only_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
