/* SPDX-License-Identifier: MIT */
/* Names of the mount to files, and back. */
#include "support/fixture.h"

#include "fs/tree/resolve.h"

static const char *const controls[] = { "stats", NULL };

static struct tfs_model *model;
static struct tfs_tree *tree;
static char *dir;

static int setup(void **state)
{
	static const struct spec specs[] = { { "a", 10 }, { "a.b", 20 }, { "a.c[1]", 5 }, { "a.c1", 5 }, { "none", 0 } };

	(void)state;
	dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	assert_int_equal(mkdir(in_tree(dir, "sub"), 0755), 0);
	put_model(dir, "sub/one.safetensors", specs, 2);
	put_model(dir, "sub/two.safetensors", specs, 1);
	if (tfs_model_open(dir, 1, NULL, NULL, &model, NULL))
		return -1;
	return tfs_tree_create(model, controls, TFS_VIEWS_ALL, &tree, NULL);
}

static int teardown(void **state)
{
	(void)state;
	tfs_tree_destroy(tree);
	tfs_model_destroy(model);
	remove_tree(dir);
	return 0;
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int result;
		const char *paths; /* a blank after each */
	} rows[] = {
		{ "a", 0, "tensors/a " },
		{ "tensors/a", 0, "tensors/a " },
		{ "./tensors//a", 0, "tensors/a " },
		{ "/tensors/a", 0, "tensors/a " },
		{ "npy/a.npy", 0, "npy/a.npy " },
		{ "tree/a/b", 0, "tensors/a.b " },
		{ "tree/a/@", 0, "tensors/a " },
		{ "none", 0, "tensors/none " },	    /* has no elements */
		{ "a.c[1]", 0, "tensors/a.c[1] " }, /* itself before it is a glob */
		{ "a.?*", 0, "tensors/a.b tensors/a.c1 tensors/a.c[1] " },
		{ "tensors", 0, "tensors/a tensors/a.b tensors/a.c1 tensors/a.c[1] tensors/none " },
		{ "tree/a", 0, "tensors/a tensors/a.b tensors/a.c1 tensors/a.c[1] " },
		{ "sub/tensors/", 0, "sub/tensors/a sub/tensors/a.b " },
		{ "sub/sets/two/tensors", 0, "sub/sets/two/tensors/a " },
		{ "sub/sets/*", -ENOENT, "" },
		{ "b", -ENOENT, "" },
		{ "b*", -ENOENT, "" },
		{ "", -ENOENT, "" },
		{ "sub", -ENOENT, "" },
		{ "model.safetensors", -ENOENT, "" },
		{ "meta/a.json", -ENOENT, "" },
		{ "meta", -ENOENT, "" }, /* none of its files is loaded */
		{ "whole", -ENOENT, "" },
		{ ".tensorfs/stats", -ENOENT, "" },
		{ "nosuch/a", -ENOENT, "" },
		{ "tensors/a/b", -ENOENT, "" },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_files files = { 0 };
		char paths[300] = "";
		int r = tfs_resolve_name(tree, rows[i].name, &files);
		for (size_t n = 0; n < files.n; n++) {
			char *path = tfs_resolve_path(tree, files.ids[n]);
			snprintf(paths + strlen(paths), sizeof paths - strlen(paths), "%s ", path);
			free(path);
		}
		if (r != rows[i].result || strcmp(paths, rows[i].paths))
			fail_msg("%s: %d, %s", rows[i].name, r, paths);
		free(files.ids);
	}
}

/* What is found is added to what was; a name that is too long is no other's beginning. */
static void test_added(void **state)
{
	struct tfs_files files = { 0 };
	char *name = malloc(TFS_PATH_SIZE + 20);

	(void)state;
	assert_int_equal(tfs_resolve_name(tree, "a", &files), 0);
	assert_int_equal(tfs_resolve_name(tree, "b", &files), -ENOENT);
	assert_int_equal(tfs_resolve_name(tree, "a.b", &files), 0);
	assert_int_equal(files.n, 2);
	memset(name, '/', TFS_PATH_SIZE + 20);
	strcpy(name + TFS_PATH_SIZE + 9, "a");
	assert_int_equal(tfs_resolve_name(tree, name, &files), -ENAMETOOLONG);
	assert_int_equal(files.n, 2);
	free(name);
	free(files.ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_added),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
