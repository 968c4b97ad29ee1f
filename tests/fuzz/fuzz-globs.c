/* SPDX-License-Identifier: MIT */
/*
 * Names in the mount, and globs, of any model: a path that a file is called by means that file; a glob means what a loop over all names
 * finds; anything else means files of the model, or there is a reason.
 */
#include <fnmatch.h>

#include "tree-model.h"
#include "tree/resolve.h"

static bool same(struct tfs_file_id a, struct tfs_file_id b)
{
	return a.set == b.set && a.tensor == b.tensor && a.view == b.view;
}

static void check_files(const struct tfs_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		CHECK(files->ids[i].set < tree_model.n_sets && files->ids[i].view < TFS_VIEW_IDS);
		CHECK(files->ids[i].tensor < tfs_set_n_all(&tree_model.sets[files->ids[i].set]));
	}
}

/* What a file is called leads to it, and from it. */
static void check_path(struct tfs_tree *t, struct tfs_file_id id)
{
	struct tfs_files files = { 0 };
	char *path = tfs_resolve_path(t, id);

	CHECK(path && !tfs_resolve_name(t, path, &files));
	CHECK(files.n == 1 && same(files.ids[0], id));
	free(files.ids);
	free(path);
}

/* Of a glob without a slash: the tensors of tensors/ whose names match, if nothing has that name itself. */
static void check_glob(struct tfs_tree *t, const char *glob, const struct tfs_files *files)
{
	struct tfs_inode root = { .kind = TFS_INO_NODE, .node = TFS_NODE_ROOT }, dir, i;
	char name[TFS_NAME_MAX + 1];
	uint64_t place = 0;
	size_t n = 0;

	if (tfs_tree_lookup(t, root, "tensors", &dir) || dir.kind != TFS_INO_VIEW_DIR || !tfs_tree_lookup(t, dir, glob, &i))
		return;
	while (!tfs_tree_entry(t, dir, &place, name, &i))
		if (!fnmatch(glob, name, 0))
			CHECK(n < files->n && same(files->ids[n++], tfs_file_of(i)));
	CHECK(n == files->n);
}

static void check_line(struct tfs_tree *t, const char *line)
{
	struct tfs_files files = { 0 };
	struct tfs_inode root = { .kind = TFS_INO_NODE, .node = TFS_NODE_ROOT }, i;
	const int r = tfs_resolve_name(t, line, &files);

	CHECK(r ? r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG : files.n > 0);
	check_files(&files);
	/* Not a view itself. */
	if (*line && !strchr(line, '/') && strpbrk(line, "*?[") && tfs_tree_lookup(t, root, line, &i))
		check_glob(t, line, &files);
	for (size_t k = 0; k < files.n && k < 16; k++)
		check_path(t, files.ids[k]);
	free(files.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tfs_model *m = tree_model_make(data, size);
	struct tfs_tree *t;

	if (!m)
		return 0;
	CHECK(!tfs_tree_create(m, tree_controls, TFS_VIEWS_ALL, &t, NULL));
	for (char *line = (char *)(uintptr_t)tree_model.rest, *end; line < tree_model.text + size; line = end + 1) {
		end = line + strcspn(line, "\n");
		*end = 0;
		check_line(t, line);
	}
	check_line(t, "tensors");
	check_line(t, "*");
	tfs_tree_destroy(t);
	return 0;
}
