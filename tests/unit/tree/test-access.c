/* SPDX-License-Identifier: MIT */
/* Who may read what, held against a table written by hand; and against the kernel's own answer in tests/e2e/access.bats. */
#include "support/fixture.h"

#include "fs/tree/access.h"

/*
 * A model of our own making: nodes and sets are all that is looked at. The root is world-searchable; in it d/ (0750 alice:team), and
 *
 *   0 a.bin    0644 alice:alice      3 d/       0750 alice:team
 *   ...
 */
enum { ALICE = 1001, BOB = 1002, CAROL = 1003, TEAM = 2000, STAFF = 2001 };
enum { ROOT, D, OPEN, PRIVATE, SHARED, BOBS, BOBS_SHARED, ODD, IN_D, NODES };

static struct tfs_node nodes[NODES] = {
	[ROOT] = { .name = "", .mode = S_IFDIR | 0755 },
	[D] = { .name = "d", .mode = S_IFDIR | 0750, .uid = ALICE, .gid = TEAM },
	[OPEN] = { .name = "open", .mode = S_IFREG | 0644, .uid = ALICE, .gid = ALICE },
	[PRIVATE] = { .name = "private", .mode = S_IFREG | 0600, .uid = ALICE, .gid = ALICE },
	[SHARED] = { .name = "shared", .mode = S_IFREG | 0640, .uid = ALICE, .gid = TEAM },
	[BOBS] = { .name = "bobs", .mode = S_IFREG | 0600, .uid = BOB, .gid = BOB },
	[BOBS_SHARED] = { .name = "bobs-shared", .mode = S_IFREG | 0640, .uid = BOB, .gid = TEAM },
	[ODD] = { .name = "odd", .mode = S_IFREG | 0044, .uid = ALICE, .gid = TEAM },
	[IN_D] = { .name = "in-d", .mode = S_IFREG | 0644, .uid = ALICE, .gid = ALICE, .parent = D },
};

static gid_t team[] = { 7, TEAM };

static const struct tfs_caller root = { 0 };
static const struct tfs_caller alice = { .uid = ALICE, .gid = ALICE };
static const struct tfs_caller alice_in_team = { .uid = ALICE, .gid = ALICE, .n_groups = 2, .groups = team };
static const struct tfs_caller bob_in_team = { .uid = BOB, .gid = BOB, .n_groups = 2, .groups = team };
static const struct tfs_caller carol = { .uid = CAROL, .gid = CAROL };
static const struct tfs_caller carol_in_team = { .uid = CAROL, .gid = TEAM };

/* A model of one set that is made of these nodes, the first @n_files its own; a tensor in each. */
struct model_of {
	struct tfs_model model;
	struct tfs_set set;
	struct tfs_tensor tensors[8];
	uint32_t sources[8];
	struct tfs_access *access;
};

static struct model_of *make(uint32_t n_files, uint32_t n, const uint32_t *sources)
{
	struct model_of *m = calloc(1, sizeof *m);
	assert_non_null(m);
	for (uint32_t i = 0; i < n; i++)
		m->tensors[i].source = m->sources[i] = sources[i];
	m->set = (struct tfs_set){
		.dir = ROOT, .n_sources = n, .sources = m->sources, .n_files = n_files, .n_tensors = n, .tensors = m->tensors
	};
	m->model = (struct tfs_model){ .n_nodes = NODES, .nodes = nodes, .n_sets = 1, .sets = &m->set };
	m->access = tfs_access_create(&m->model);
	assert_non_null(m->access);
	return m;
}
#define MAKE(n_files, ...) make(n_files, LENGTH(((uint32_t[]){ __VA_ARGS__ })), (uint32_t[]){ __VA_ARGS__ })

static void destroy(struct model_of *m)
{
	tfs_access_destroy(m->access);
	free(m);
}

static void test_node_as_the_kernel(void **state)
{
	static const struct {
		const struct tfs_caller *who;
		bool may[NODES];
	} table[] = {
		{ &root, { 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
		/* the owner's bits are for the owner, even where others have more */
		{ &alice, { [ROOT] = 1, [D] = 1, [OPEN] = 1, [PRIVATE] = 1, [SHARED] = 1, [IN_D] = 1 } },
		{ &alice_in_team, { [ROOT] = 1, [D] = 1, [OPEN] = 1, [PRIVATE] = 1, [SHARED] = 1, [BOBS_SHARED] = 1, [IN_D] = 1 } },
		{ &bob_in_team,
		  { [ROOT] = 1, [D] = 1, [OPEN] = 1, [SHARED] = 1, [BOBS] = 1, [BOBS_SHARED] = 1, [ODD] = 1, [IN_D] = 1 } },
		{ &carol, { [ROOT] = 1, [OPEN] = 1, [ODD] = 1 } },
		{ &carol_in_team, { [ROOT] = 1, [D] = 1, [OPEN] = 1, [SHARED] = 1, [BOBS_SHARED] = 1, [ODD] = 1, [IN_D] = 1 } },
	};
	struct model_of *m = MAKE(1, OPEN);

	(void)state;
	for (size_t i = 0; i < LENGTH(table); i++)
		for (uint32_t n = 0; n < NODES; n++)
			if (tfs_access_node(&m->model, table[i].who, n) != table[i].may[n])
				fail_msg("caller %zu, %s: not %d", i, nodes[n].name, table[i].may[n]);
	destroy(m);
}

static void attr_is(const struct stat *st, mode_t mode, uid_t uid, gid_t gid)
{
	assert_int_equal(st->st_mode & 07777, mode);
	assert_int_equal(st->st_uid, uid);
	assert_int_equal(st->st_gid, gid);
}

/* What one owner and mode say, the kernel checks. */
static void test_one_owner(void **state)
{
	struct model_of *m = MAKE(2, SHARED, SHARED);
	struct stat st = { .st_mode = S_IFREG, .st_uid = 5, .st_gid = 6 };

	(void)state;
	assert_false(tfs_access_mixed(m->access, 0));
	assert_false(tfs_access_all_mixed(m->access));
	assert_false(tfs_access_open(m->access));
	tfs_access_attr_tensor(m->access, 0, 0, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	tfs_access_attr_all(m->access, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	st = (struct stat){ .st_mode = S_IFDIR };
	tfs_access_attr_dir(m->access, 0, &st);
	attr_is(&st, 0750, ALICE, TEAM);
	destroy(m);

	m = MAKE(1, ODD);
	st = (struct stat){ .st_mode = S_IFDIR };
	tfs_access_attr_dir(m->access, 0, &st);
	attr_is(&st, 0055, ALICE, TEAM);
	destroy(m);

	/* Whose they are doesn't matter where everybody may. */
	m = MAKE(2, OPEN, OPEN);
	assert_true(tfs_access_open(m->access));
	st = (struct stat){ .st_mode = S_IFDIR, .st_uid = 5, .st_gid = 6 };
	tfs_access_attr_dir(m->access, 0, &st);
	attr_is(&st, 0755, 5, 6);
	destroy(m);
}

/* What a mode can't say: the strictest of all is shown, and who is let through by that is asked for the rest. */
static void test_mixed(void **state)
{
	struct model_of *m = MAKE(4, OPEN, SHARED, PRIVATE, BOBS_SHARED);
	struct stat st = { .st_mode = S_IFREG };

	(void)state;
	assert_true(tfs_access_mixed(m->access, 0));
	assert_true(tfs_access_all_mixed(m->access));
	tfs_access_attr_set(m->access, 0, &st);
	attr_is(&st, 0400, ALICE, ALICE);
	tfs_access_attr_tensor(m->access, 0, 1, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	assert_false(tfs_access_set(m->access, &alice, 0));
	assert_true(tfs_access_set(m->access, &alice_in_team, 0));
	assert_false(tfs_access_all(m->access, &bob_in_team));
	assert_true(tfs_access_all(m->access, &root));
	assert_true(tfs_access_tensor(m->access, &carol, 0, 0));
	assert_false(tfs_access_tensor(m->access, &carol, 0, 1));
	/* What lists what each may read is open to all, and so is what has the rows of that. */
	st = (struct stat){ .st_mode = S_IFDIR };
	tfs_access_attr_dir(m->access, 0, &st);
	assert_int_equal(st.st_mode & 07777, 0755);
	st = (struct stat){ .st_mode = S_IFREG };
	tfs_access_attr_all(m->access, &st);
	assert_int_equal(st.st_mode & 07777, 0444);
	destroy(m);

	/* Two owners, each with a file of his own: nobody but root. */
	m = MAKE(2, PRIVATE, BOBS);
	for (const struct tfs_caller *const *c = (const struct tfs_caller *const[]){ &alice_in_team, &bob_in_team, &carol, NULL };
	     *c; c++)
		assert_false(tfs_access_set(m->access, *c, 0));
	assert_true(tfs_access_set(m->access, &root, 0));
	destroy(m);
}

/* A directory on the way to a file outside the set's own counts as a native open would count it. */
static void test_directories(void **state)
{
	struct model_of *m = MAKE(1, IN_D);
	struct stat st = { .st_mode = S_IFREG };

	(void)state;
	assert_false(tfs_access_mixed(m->access, 0)); /* for it needs no more than to search d */
	tfs_access_attr_tensor(m->access, 0, 0, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	assert_true(tfs_access_tensor(m->access, &carol_in_team, 0, 0));
	assert_false(tfs_access_tensor(m->access, &carol, 0, 0));
	destroy(m);

	/* Where what is made of it is in d, too, who is there has searched it. */
	m = MAKE(1, IN_D);
	tfs_access_destroy(m->access);
	m->set.dir = D;
	m->access = tfs_access_create(&m->model);
	st = (struct stat){ .st_mode = S_IFREG };
	tfs_access_attr_tensor(m->access, 0, 0, &st);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_false(tfs_access_open(m->access)); /* but the indexes are in the root */
	tfs_access_attr_all(m->access, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	destroy(m);
}

/* A name that stands in one file, of bytes that are in another: both. */
static void test_external(void **state)
{
	struct model_of *m = MAKE(1, SHARED, OPEN);

	(void)state;
	assert_true(tfs_access_mixed(m->access, 0));
	assert_false(tfs_access_tensor(m->access, &carol, 0, 1));
	assert_true(tfs_access_tensor(m->access, &carol_in_team, 0, 1));
	struct stat st = { .st_mode = S_IFREG };
	tfs_access_attr_tensor(m->access, 0, 1, &st);
	attr_is(&st, 0440, ALICE, TEAM);
	destroy(m);
}

static void test_made_up_directories(void **state)
{
	(void)state;
	assert_int_equal(tfs_access_dir_mode(S_IFDIR | 0755), 0755);
	assert_int_equal(tfs_access_dir_mode(S_IFDIR | 0555), 0755);
	assert_int_equal(tfs_access_dir_mode(S_IFDIR | 0777), 0755);
	assert_int_equal(tfs_access_dir_mode(S_IFDIR | 0711), 0711);
	assert_int_equal(tfs_access_dir_mode(S_IFDIR | 01070), 0050);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_as_the_kernel),
		cmocka_unit_test(test_one_owner),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_made_up_directories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
