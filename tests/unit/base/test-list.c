/* SPDX-License-Identifier: MIT */
/* Lists: their items, in order, after every operation. */
#include "support/helpers.h"

#include "base/list.h"

struct item {
	char name;
	struct tfs_list link, other;
};

static struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

/* Forwards and backwards. */
static void assert_list(struct tfs_list *head, const char *names)
{
	size_t n = strlen(names), i = 0;

	tfs_list_each(struct item, item, head, link)
		assert_true(i < n && item->name == names[i++]);
	assert_int_equal(i, n);
	for (struct item *item = tfs_list_last(head, struct item, link); item; item = tfs_list_prev(head, item, link))
		assert_true(i && item->name == names[--i]);
	assert_int_equal(i, 0);
	assert_int_equal(tfs_list_is_empty(head), !n);
}

static void things_are_put_first_and_last_and_between(void **state)
{
	struct tfs_list head;

	(void)state;
	tfs_list_init(&head);
	assert_list(&head, "");
	assert_null(tfs_list_first(&head, struct item, link));
	assert_null(tfs_list_last(&head, struct item, link));
	tfs_list_add(&head, &a.link);
	assert_list(&head, "a");
	tfs_list_add(&head, &b.link);
	assert_list(&head, "ab");
	tfs_list_add_first(&head, &c.link);
	assert_list(&head, "cab");
	tfs_list_remove(&c.link);
	tfs_list_add(&b.link, &c.link);
	assert_list(&head, "acb");
	tfs_list_remove(&c.link);
	tfs_list_add_first(&b.link, &c.link);
	assert_list(&head, "abc");
	assert_ptr_equal(tfs_container_of(&b.link, struct item, link), &b);
	assert_ptr_equal(tfs_list_next(&head, &b, link), &c);
	assert_null(tfs_list_next(&head, &c, link));
	assert_null(tfs_list_prev(&head, &a, link));
}

static void what_was_removed_is_in_no_list(void **state)
{
	struct tfs_list head;

	(void)state;
	tfs_list_init(&head);
	tfs_list_add(&head, &a.link);
	tfs_list_add(&head, &b.link);
	assert_false(tfs_list_is_empty(&a.link));
	tfs_list_remove(&a.link);
	assert_true(tfs_list_is_empty(&a.link));
	assert_list(&head, "b");
	tfs_list_remove(&a.link);
	assert_list(&head, "b");
	tfs_list_remove(&b.link);
	assert_list(&head, "");
}

static void all_are_taken(void **state)
{
	struct tfs_list from, to;

	(void)state;
	tfs_list_init(&from);
	tfs_list_init(&to);
	tfs_list_take(&to, &from);
	assert_list(&to, "");
	assert_list(&from, "");
	tfs_list_add(&to, &a.link);
	tfs_list_take(&to, &from);
	assert_list(&to, "a");
	tfs_list_add(&from, &b.link);
	tfs_list_add(&from, &c.link);
	tfs_list_take(&to, &from);
	assert_list(&to, "abc");
	assert_list(&from, "");
	tfs_list_take(&from, &to);
	assert_list(&from, "abc");
	assert_list(&to, "");
}

static void the_one_at_hand_may_go(void **state)
{
	struct tfs_list head, other;
	char seen[4] = "";

	(void)state;
	tfs_list_init(&head);
	tfs_list_init(&other);
	for (char name = 'x'; name <= 'z'; name++) {
		struct item *item = malloc(sizeof *item);

		assert_non_null(item);
		item->name = name;
		tfs_list_add(&head, &item->link);
		tfs_list_add_first(&other, &item->other);
	}
	tfs_list_each(struct item, item, &head, link) {
		if (item->name == 'y')
			continue;
		seen[strlen(seen)] = item->name;
		tfs_list_remove(&item->link);
		tfs_list_remove(&item->other);
		free(item);
	}
	assert_string_equal(seen, "xz");
	assert_list(&head, "y");
	struct item *y = tfs_list_first(&other, struct item, other);
	assert_ptr_equal(y, tfs_list_first(&head, struct item, link));
	free(y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(things_are_put_first_and_last_and_between),
		cmocka_unit_test(what_was_removed_is_in_no_list),
		cmocka_unit_test(all_are_taken),
		cmocka_unit_test(the_one_at_hand_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
