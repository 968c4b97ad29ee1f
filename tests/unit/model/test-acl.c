/* SPDX-License-Identifier: MIT */
/*
 * Access control lists, held against a table made by acl(5)'s algorithm by hand; tests/e2e/access.bats has the kernel's own answers. And
 * where links may lead.
 */
#include "support/model-helpers.h"

#include <fcntl.h>
#include <linux/posix_acl.h>

#include "model/acl.h"
#include "model/inside.h"

#define XATTR(...)	     ((struct tfs_acl){ sizeof(uint8_t[]){ 2, 0, 0, 0, __VA_ARGS__ }, (const uint8_t[]){ 2, 0, 0, 0, __VA_ARGS__ } })
#define ENTRY(tag, perm, id) (tag), 0, (perm), 0, (id)&255, (id) >> 8 & 255, 0, 0

enum { CAROL = 1003, DAVE = 1004, TEAM = 2000, STAFF = 2001, OWNERS = 3000 };

static bool in_group(const void *who, gid_t gid)
{
	return gid == *(const gid_t *)who;
}

static bool allows(const struct tfs_acl *acl, uid_t uid, gid_t group)
{
	return tfs_acl_allows(acl, OWNERS, uid, 4, in_group, &group);
}

static void a_list_is_read_as_acl_5_says(void **state)
{
	const struct tfs_acl acl = XATTR(ENTRY(ACL_USER_OBJ, 6, 0), ENTRY(ACL_USER, 4, CAROL), ENTRY(ACL_USER, 0, DAVE),
					 ENTRY(ACL_GROUP_OBJ, 0, 0), ENTRY(ACL_GROUP, 4, TEAM), ENTRY(ACL_GROUP, 1, STAFF),
					 ENTRY(ACL_MASK, 4, 0), ENTRY(ACL_OTHER, 4, 0));

	(void)state;
	assert_true(allows(&acl, CAROL, 1));
	assert_true(allows(&acl, CAROL, STAFF)); /* his own entry comes first */
	assert_false(allows(&acl, DAVE, TEAM));
	assert_true(allows(&acl, 7, TEAM));
	assert_false(allows(&acl, 7, STAFF)); /* whom a group's entry fits isn't one of the others */
	assert_false(allows(&acl, 7, OWNERS));
	assert_true(allows(&acl, 7, 7));
}

static void the_mask_limits_all_but_others(void **state)
{
	const struct tfs_acl acl = XATTR(ENTRY(ACL_USER_OBJ, 6, 0), ENTRY(ACL_USER, 7, CAROL), ENTRY(ACL_GROUP_OBJ, 7, 0),
					 ENTRY(ACL_GROUP, 7, TEAM), ENTRY(ACL_MASK, 1, 0), ENTRY(ACL_OTHER, 4, 0));

	(void)state;
	assert_false(allows(&acl, CAROL, 1));
	assert_false(allows(&acl, 7, TEAM));
	assert_false(allows(&acl, 7, OWNERS));
	assert_true(allows(&acl, 7, 7));
}

static bool is_inside(const char *dir, const char *name)
{
	struct tfs_inside in;
	struct tfs_dirent e;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	const struct tfs_storage s = { .fd = fd };

	assert_true(fd >= 0);
	tfs_inside_init(&in, &s);
	int r = tfs_inside_look(&in, &s, fd, name, &e);
	close(fd);
	assert_true(!r || r == -EXDEV || r == -ENOENT);
	return !r;
}

static void link_to(const char *target, const char *dir, const char *name)
{
	assert_int_equal(symlink(target, in_tree(dir, name)), 0);
}

static void a_link_is_inside_if_its_end_is(void **state)
{
	char *dir = make_tree(), *other = make_tree(), absolute[300];

	(void)state;
	put_text(dir, "file", "x");
	put_text(other, "file", "x");
	mkdir(in_tree(dir, "sub"), 0755);
	link_to("file", dir, "plain");
	link_to("sub/../file", dir, "around");
	snprintf(absolute, sizeof absolute, "%s/file", dir);
	link_to(absolute, dir, "absolute");
	link_to("nowhere", dir, "nowhere");
	link_to("loop", dir, "loop");
	link_to("..", dir, "up");
	link_to(".", dir, "here");
	snprintf(absolute, sizeof absolute, "%s/file", other);
	link_to(absolute, dir, "out");
	link_to("out", dir, "out-by-two");
	/* Out of it and back in. */
	link_to(dir, other, "back");
	snprintf(absolute, sizeof absolute, "%s/back/file", other);
	link_to(absolute, dir, "out-and-back");
	/* A directory inside that is a link out of it. */
	link_to(other, dir, "other");
	link_to("other/file", dir, "by-directory");
	for (const char *const *name = (const char *const[]){ "plain", "around", "absolute", "here", "out-and-back", NULL }; *name;
	     name++)
		assert_true(is_inside(dir, *name));
	for (const char *const *name =
		     (const char *const[]){ "nowhere", "loop", "up", "out", "out-by-two", "other", "by-directory", NULL };
	     *name; name++)
		assert_false(is_inside(dir, *name));
	remove_tree(dir);
	remove_tree(other);
}

static void a_snapshot_has_the_blobs_of_its_repository(void **state)
{
	char *repo = make_tree(), snapshot[300];

	(void)state;
	for (const char *const *name = (const char *const[]){ "blobs", "snapshots", "snapshots/rev", "snapshots/rev/sub", NULL };
	     *name; name++)
		mkdir(in_tree(repo, *name), 0755);
	put_text(repo, "blobs/1", "x");
	put_text(repo, "secret", "x");
	link_to("../secret", repo, "blobs/2");
	link_to("../../blobs/1", repo, "snapshots/rev/good");
	link_to("../../../blobs/1", repo, "snapshots/rev/sub/good");
	link_to("../../secret", repo, "snapshots/rev/beside");
	link_to("../../blobs/2", repo, "snapshots/rev/through");
	snprintf(snapshot, sizeof snapshot, "%s/snapshots/rev", repo);
	assert_true(is_inside(snapshot, "good"));
	assert_false(is_inside(snapshot, "beside"));
	assert_false(is_inside(snapshot, "through"));
	snprintf(snapshot, sizeof snapshot, "%s/snapshots/rev/sub", repo);
	assert_true(is_inside(snapshot, "good"));
	/* If they are a link themselves they are anywhere. */
	snprintf(snapshot, sizeof snapshot, "%s/elsewhere", repo);
	assert_int_equal(rename(in_tree(repo, "blobs"), snapshot), 0);
	link_to("elsewhere", repo, "blobs");
	snprintf(snapshot, sizeof snapshot, "%s/snapshots/rev", repo);
	assert_false(is_inside(snapshot, "good"));
	remove_tree(repo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read_as_acl_5_says),
		cmocka_unit_test(the_mask_limits_all_but_others),
		cmocka_unit_test(a_link_is_inside_if_its_end_is),
		cmocka_unit_test(a_snapshot_has_the_blobs_of_its_repository),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
