/* SPDX-License-Identifier: MIT */
/* Snapshots live for as long as somebody knows their number. */
#include <errno.h>

#include "support/helpers.h"

#include "fs/mount/snapshots.h"

static struct tfs_snapshot *made(const char *text)
{
	struct tfs_snapshot *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->text = strdup(text);
	s->size = strlen(text);
	return s;
}

static uint32_t add(struct tfs_snapshots *t, struct tfs_snapshot *s)
{
	uint32_t serial = 0;

	assert_int_equal(tfs_snapshots_add(t, s, &serial), 0);
	return serial;
}

static void test_lives_while_known(void **state)
{
	struct tfs_snapshots t;

	(void)state;
	tfs_snapshots_init(&t);
	uint32_t a = add(&t, made("a")), b = add(&t, made("b"));
	assert_true(a && b && a != b);
	const struct tfs_snapshot *s = tfs_snapshots_get(&t, a);
	assert_string_equal(s->text, "a");
	tfs_snapshots_put(&t, a, 1); /* the kernel forgets it; we don't yet */
	assert_ptr_equal(tfs_snapshots_get(&t, a), s);
	tfs_snapshots_put(&t, a, 2);
	assert_null(tfs_snapshots_get(&t, a));
	tfs_snapshots_put(&t, a, 1); /* nothing is to be found any more */
	assert_string_equal(tfs_snapshots_get(&t, b)->text, "b");
	assert_null(tfs_snapshots_get(&t, 0));
	assert_null(tfs_snapshots_get(&t, 12345));
	tfs_snapshots_fini(&t); /* b goes with it */
}

static void test_many(void **state)
{
	enum { MANY = 5 * TFS_SNAPSHOT_BUCKETS };
	struct tfs_snapshots t;
	uint32_t serials[MANY];
	char text[16];

	(void)state;
	tfs_snapshots_init(&t);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "%d", i);
		serials[i] = add(&t, made(text));
	}
	for (int i = 0; i < MANY; i += 2)
		tfs_snapshots_put(&t, serials[i], 1);
	for (int i = 0; i < MANY; i++) {
		const struct tfs_snapshot *s = tfs_snapshots_get(&t, serials[i]);
		assert_int_equal(!s, i % 2 == 0);
		snprintf(text, sizeof text, "%d", i);
		if (s)
			assert_string_equal(s->text, text);
	}
	tfs_snapshots_fini(&t);
}

/* Numbers come round; one that is in use is passed over, and so is 0. */
static void test_numbers_come_round(void **state)
{
	struct tfs_snapshots t;

	(void)state;
	tfs_snapshots_init(&t);
	assert_int_equal(add(&t, made("first")), 1);
	t.last = UINT32_MAX - 1;
	assert_int_equal(add(&t, made("last")), UINT32_MAX);
	assert_int_equal(add(&t, made("second")), 2);
	assert_string_equal(tfs_snapshots_get(&t, 1)->text, "first");
	tfs_snapshots_fini(&t);
}

/* One user has half of the room, and then another one still gets something; what is forgotten makes room. */
static void test_room(void **state)
{
	enum { LARGE = TFS_SNAPSHOTS_MAX / 8 };
	struct tfs_snapshots t;
	struct tfs_snapshot *s[8];
	uint32_t serial, first = 0;

	(void)state;
	tfs_snapshots_init(&t);
	for (int i = 0; i < 8; i++) {
		s[i] = made("x");
		s[i]->size = LARGE; /* that the text is shorter doesn't matter here */
		s[i]->caller.uid = i < 4 ? 1000 : 1001;
		assert_int_equal(tfs_snapshots_add(&t, s[i], &serial), i % 4 < 3 ? 0 : -ENOMEM);
		first = first ? first : serial;
	}
	tfs_snapshots_put(&t, first, 1);
	assert_int_equal(tfs_snapshots_add(&t, s[3], &serial), 0);
	tfs_snapshot_free(s[7]);
	tfs_snapshots_fini(&t);
	assert_int_equal(t.bytes, 6 * (LARGE + TFS_SNAPSHOT_COST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives_while_known),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_numbers_come_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
