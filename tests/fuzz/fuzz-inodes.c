/* SPDX-License-Identifier: MIT */
/*
 * The namespace of any model: what a directory lists is what a lookup finds, under one number that means it, in a directory that is its
 * parent. And any number: it means one file, which has attributes, or nothing.
 */
#include "tree-model.h"

/* Depth, as no directory can be in itself; and how many are looked at. */
enum { MAX_DEPTH = 300, MAX_FILES = 20000 };

static unsigned n_files;

static bool equal(struct tfs_inode a, struct tfs_inode b)
{
	return a.kind == b.kind && a.view == b.view && a.node == b.node && a.set == b.set && a.tensor == b.tensor &&
	       a.depth == b.depth && a.serial == b.serial;
}

/* Made of files, none of which can be read; or of tables alone. */
static void check_text(struct tfs_tree *t, struct tfs_inode i)
{
	char *text;
	size_t len;
	const int r = tfs_tree_text(t, i, NULL, &text, &len);

	CHECK(i.node == TFS_KEYS_INDEX || i.node == TFS_KEYS_SAFETENSORS ? !r : r == -ESTALE);
	CHECK(tfs_tree_text_check(t, i) == r);
	if (!r)
		free(text);
}

static void check_number(struct tfs_tree *t, struct tfs_inode i)
{
	const uint64_t ino = tfs_ino_pack(i);
	struct stat st;
	uint32_t set;

	CHECK(ino && equal(tfs_ino_unpack(ino), i) && tfs_tree_valid(t, i));
	tfs_tree_attr(t, i, &st);
	CHECK(st.st_ino == ino && st.st_nlink && st.st_size >= 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)));
	/* Of files nobody asks: those of a set are in several directories. */
	CHECK(!S_ISDIR(st.st_mode) || tfs_tree_valid(t, tfs_tree_parent(t, i)));
	CHECK(!tfs_tree_shown_set(t, i, &set) || set < tree_model.n_sets);
	set = tfs_tree_original_of(t, i);
	CHECK(set == UINT32_MAX || set < tree_model.model.n_nodes);
	set = tfs_tree_rights_of(t, i);
	CHECK(set == UINT32_MAX || set < tree_model.model.n_nodes);
	if (i.kind == TFS_INO_KEYS)
		check_text(t, i);
	if (i.kind != TFS_INO_CONSOLIDATED)
		return;
	tfs_tree_consolidated_there(t, i);
	CHECK(tfs_tree_waits_for_lookup(i) && tfs_tree_consolidated(t, i) && tfs_tree_consolidated_there(t, i));
}

static void check_entry(struct tfs_tree *t, struct tfs_inode dir, const char *name, struct tfs_inode i)
{
	struct tfs_inode found;

	CHECK(*name && strlen(name) <= TFS_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	CHECK(!tfs_tree_lookup(t, dir, name, &found) && equal(found, i));
	check_number(t, i);
}

static void walk(struct tfs_tree *t, struct tfs_inode dir, unsigned depth)
{
	char name[TFS_NAME_MAX + 1], odd[3 * TFS_NAME_MAX];
	struct tfs_inode i;
	uint64_t place = 0, before = 0;
	struct stat st;

	CHECK(depth < MAX_DEPTH);
	for (; n_files < MAX_FILES && !tfs_tree_entry(t, dir, &place, name, &i); before = place) {
		CHECK(place > before);
		n_files++;
		check_entry(t, dir, name, i);
		tfs_tree_attr(t, i, &st);
		if (S_ISDIR(st.st_mode)) {
			CHECK(equal(tfs_tree_parent(t, i), dir));
			walk(t, i, depth + 1);
		} else {
			CHECK(tfs_tree_lookup(t, i, name, &i) < 0);
		}
		/* Almost this name. */
		snprintf(odd, sizeof odd, "%s~", name);
		if (!tfs_tree_lookup(t, dir, odd, &i))
			CHECK(tfs_tree_valid(t, i));
	}
	if (n_files == MAX_FILES)
		return;
	CHECK(tfs_tree_entry(t, dir, &place, name, &i) == -ENOENT);
	place = UINT64_MAX;
	CHECK(tfs_tree_entry(t, dir, &place, name, &i) == -ENOENT);
}

/* Any number, from any place on. */
static void check_any(struct tfs_tree *t, uint64_t ino, uint64_t place)
{
	const struct tfs_inode i = tfs_ino_unpack(ino);
	char name[TFS_NAME_MAX + 1];
	struct tfs_inode entry;

	CHECK(i.kind == TFS_INO_KINDS || tfs_ino_pack(i) == ino);
	if (!tfs_tree_valid(t, i))
		return;
	check_number(t, i);
	int r = tfs_tree_entry(t, i, &place, name, &entry);
	CHECK(!r || r == -ENOENT || r == -ENOTDIR);
	if (!r)
		check_number(t, entry);
	else
		CHECK(tfs_tree_lookup(t, i, "", &entry) < 0);
}

/* What a tensor is called, in the directory that its view has. */
static void check_paths(struct tfs_tree *t, const struct tfs_model *m)
{
	char path[TFS_PATH_SIZE], name[TFS_NAME_MAX + 1];
	struct tfs_inode dir, i;

	for (uint32_t set = 0; set < m->n_sets; set++)
		for (unsigned view = 0; view < TFS_VIEWS; view++) {
			CHECK(!tfs_tree_view_path(t, set, (enum tfs_view_dir)view, path, sizeof path));
			CHECK(tfs_tree_view_path(t, set, (enum tfs_view_dir)view, name, strlen(path)) == -ENAMETOOLONG);
			dir = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = set, .view = (enum tfs_view_dir)view };
			if (!tfs_views[view].flat || !tfs_tree_valid(t, dir))
				continue;
			for (uint32_t k = 0; k < tfs_set_n_all(&m->sets[set]); k++) {
				i = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .view = dir.view, .set = set, .tensor = k };
				CHECK(!tfs_tree_file_name(t, i, name));
				CHECK(!tfs_tree_valid(t, i) || (!tfs_tree_lookup(t, dir, name, &dir) && equal(dir, i)));
				dir = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .set = set, .view = i.view };
			}
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tfs_model *m = tree_model_make(data, size);
	struct tfs_error err = { 0 };
	struct tfs_tree *t;

	if (!m)
		return 0;
	/* What follows the model: which views there are, then numbers and places. */
	const uint8_t *at = (const uint8_t *)tree_model.rest, *end = at + tree_model.rest_len;
	const unsigned views = at < end ? *at++ & TFS_VIEWS_ALL : TFS_VIEWS_ALL;
	CHECK(!tfs_tree_create(m, tree_controls, views, &t, &err));
	n_files = 0;
	walk(t, tfs_ino_unpack(1), 0);
	for (; end - at >= 9; at += 9) {
		uint64_t ino;

		memcpy(&ino, at, sizeof ino);
		check_any(t, ino, at[8]);
		/* Of numbers that files may have. */
		check_any(t, ino & 0xfff0000f0000000f, at[8]);
	}
	check_paths(t, m);
	CHECK(tfs_tree_n_files(t) >= m->n_nodes && tfs_tree_access(t));
	tfs_tree_destroy(t);
	return 0;
}
