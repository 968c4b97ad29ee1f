/* SPDX-License-Identifier: MIT */
/* The namespace: what a directory lists is what a lookup finds, and numbers that were never given out mean nothing. */
#include "../fault/fixture.h"

#include "../../fs/tree.h"

static const char *const controls[] = { "stats", "metrics", NULL };
static const struct spec specs[] = { { "a", 10 }, { "a.b", 20 }, { "x\\/y", 5 }, { "", 7 }, { "%", 3 } };

/* Two tensors, one with the name of a file of keys; then their data, at byte 96. */
static const char gguf[128 + 1] =
	"GGUF\3\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"			      /* 2 tensors, no keys */
	"\5\0\0\0\0\0\0\0.gguf\1\0\0\0\1\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0\0\0\0\0" /* I8, 1 element, at 0 */
	"\1\0\0\0\0\0\0\0t\1\0\0\0\1\0\0\0\0\0\0\0\x18\0\0\0\x20\0\0\0\0\0\0\0";

static struct tfs_model *model;
static struct tfs_tree *tree;
static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = make_tree();
	put_model(dir, "model.safetensors", specs, LENGTH(specs));
	put_model(dir, "other.safetensors", specs, 2);
	put_text(dir, "tensors", "in the way");
	put_text(dir, "sets~", "not in the way");
	put_text(dir, ".tensorfs", "in the way, too");
	put_text(dir, ".tensorfs~", "this as well");
	assert_int_equal(mkdir(in_tree(dir, "sub"), 0755), 0);
	put_model(dir, "sub/model.safetensors", specs, 3);
	assert_int_equal(mkdir(in_tree(dir, "empty"), 0755), 0);
	assert_int_equal(mkdir(in_tree(dir, "complex"), 0755), 0);
	put_typed_model(dir, "complex/model.safetensors", &(struct spec){ "c", 16 }, (const char *const[]){ "C64" }, 1);
	assert_int_equal(mkdir(in_tree(dir, "gguf"), 0755), 0);
	put_file(dir, "gguf/model.gguf", gguf, sizeof gguf);
	if (tfs_model_open(dir, 1, NULL, NULL, &model, NULL))
		return -1;
	return tfs_tree_create(model, controls, &tree, NULL);
}

static int teardown(void **state)
{
	(void)state;
	tfs_tree_destroy(tree);
	tfs_model_destroy(model);
	remove_tree(dir);
	return 0;
}

static bool equal(struct tfs_inode a, struct tfs_inode b)
{
	return a.kind == b.kind && a.view == b.view && a.node == b.node && a.set == b.set && a.tensor == b.tensor &&
	       a.depth == b.depth;
}

static unsigned walk(struct tfs_inode d, unsigned depth)
{
	char name[TFS_NAME_MAX + 1];
	struct tfs_inode child, found;
	unsigned n = 0;
	struct stat st;

	assert_true(depth < 8);
	uint64_t place = 0, before = 0;
	for (; !tfs_tree_entry(tree, d, &place, name, &child); before = place, n++) {
		assert_true(place > before);
		assert_true(name[0] && strlen(name) <= TFS_NAME_MAX && !strchr(name, '/'));
		if (tfs_tree_lookup(tree, d, name, &found))
			fail_msg("\"%s\" is listed, but not found", name);
		if (!equal(child, found))
			fail_msg("\"%s\" is another file when looked up", name);
		uint64_t ino = tfs_ino_pack(child);
		assert_true(ino > 1); /* 1 is the root */
		assert_true(tfs_tree_valid(tree, child));
		assert_true(equal(tfs_ino_unpack(ino), child));
		tfs_tree_attr(tree, child, &st);
		assert_int_equal(st.st_ino, ino);
		if (S_ISDIR(st.st_mode)) {
			assert_true(equal(tfs_tree_parent(tree, child), d));
			n += walk(child, depth + 1);
		} else {
			assert_int_equal(tfs_tree_lookup(tree, child, "x", &found), child.kind == TFS_INO_NODE ? -ENOENT : -ENOTDIR);
		}
	}
	assert_int_equal(tfs_tree_entry(tree, d, &place, name, &child), -ENOENT);
	assert_int_equal(place, before);
	for (int bit = 20; bit < 64; bit++) {
		place = (uint64_t)1 << bit;
		assert_int_equal(tfs_tree_entry(tree, d, &place, name, &child), -ENOENT);
	}
	assert_int_equal(tfs_tree_lookup(tree, d, "no such name", &found), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, d, "", &found), -ENOENT);
	return n;
}

static void test_walk(void **state)
{
	struct tfs_inode root = tfs_ino_unpack(1);

	(void)state;
	assert_int_equal(root.kind, TFS_INO_NODE);
	assert_int_equal(root.node, TFS_NODE_ROOT);
	assert_int_equal(tfs_ino_pack(root), 1);
	/*
	 * The root: 10 originals, tensors~, npy, f32, meta, tree, sets, .tensorfs~~; the four views of 5 and tree/{%,%25,a/@,a/b,x/y},
	 * those of sets/{model,other} of 5 and 2, two controls; sub: an original and four views of 3, and tree; complex: an
	 * original and four views, of 1 but for f32, and tree; gguf: an original, four views of 2, two files of keys,
	 * tree/{%/gguf,t}, and a model.safetensors.
	 */
	assert_int_equal(walk(root, 0), 10 + 7 + 4 * 5 + 7 + 2 + (5 + 4 * 5 + 7) + (5 + 4 * 2 + 3) + 2 + (1 + 5 + 4 * 3 + 5) +
						(1 + 5 + 3 + 1) + (1 + 5 + 4 * 2 + 2 + 3 + 1));
}

static void test_collisions(void **state)
{
	struct tfs_inode root = tfs_ino_unpack(1), i;

	(void)state;
	assert_int_equal(tfs_tree_lookup(tree, root, "tensors", &i), 0);
	assert_int_equal(i.kind, TFS_INO_NODE);
	assert_int_equal(tfs_tree_lookup(tree, root, "tensors~", &i), 0);
	assert_int_equal(i.kind, TFS_INO_VIEW_DIR);
	assert_int_equal(tfs_tree_lookup(tree, root, "sets", &i), 0);
	assert_int_equal(i.kind, TFS_INO_SETS);
	assert_int_equal(tfs_tree_lookup(tree, root, ".tensorfs~~", &i), 0);
	assert_int_equal(i.kind, TFS_INO_CONTROL_DIR);
	assert_int_equal(tfs_tree_lookup(tree, root, "meta~", &i), -ENOENT);
}

/* What f32/ can't show has no name there, and no number. */
static void test_absent_in_view(void **state)
{
	struct tfs_inode root = tfs_ino_unpack(1), sub, view, i;
	struct stat st;

	(void)state;
	assert_int_equal(tfs_tree_lookup(tree, root, "complex", &sub), 0);
	assert_int_equal(tfs_tree_lookup(tree, sub, "npy", &view), 0);
	assert_int_equal(tfs_tree_lookup(tree, view, "c.npy", &i), 0);
	assert_true(tfs_tree_valid(tree, i));
	tfs_tree_attr(tree, i, &st);
	assert_int_equal(st.st_size, 4096 + 16);
	assert_int_equal(tfs_tree_lookup(tree, sub, "f32", &view), 0);
	i.view = TFS_VIEW_F32;
	assert_false(tfs_tree_valid(tree, i));
	assert_int_equal(tfs_tree_lookup(tree, view, "c.npy", &i), -ENOENT);
}

/* tree/ shows the files of tensors/, and directories that are not those of sets/STEM/tree. */
static void test_tree(void **state)
{
	static const char *const paths[] = { "a/@", "a/b", "x/y", "%", "%25" }, *const names[] = { "a", "a.b", "x%2Fy", "%", "%25" };
	struct tfs_inode root = tfs_ino_unpack(1), sets, set, tops[2], i, j, d;
	struct stat st;

	(void)state;
	tops[0] = root;
	assert_int_equal(tfs_tree_lookup(tree, root, "sets", &sets), 0);
	assert_int_equal(tfs_tree_lookup(tree, sets, "model", &set), 0);
	tops[1] = set;
	for (unsigned n = 0; n < LENGTH(paths); n++)
		for (unsigned top = 0; top < 2; top++) {
			assert_int_equal(tfs_tree_lookup(tree, tops[top], top ? "tensors" : "tensors~", &d), 0);
			assert_int_equal(tfs_tree_lookup(tree, d, names[n], &i), 0);
			assert_int_equal(tfs_tree_lookup(tree, tops[top], "tree", &d), 0);
			if (paths[n][1] == '/') {
				assert_int_equal(tfs_tree_lookup(tree, d, (char[]){ paths[n][0], 0 }, &d), 0);
				assert_int_equal(d.kind, top ? TFS_INO_SET_TREE_DIR : TFS_INO_TREE_DIR);
				assert_int_equal(d.depth, 1);
			}
			assert_int_equal(tfs_tree_lookup(tree, d, paths[n] + (paths[n][1] == '/' ? 2 : 0), &j), 0);
			assert_true(equal(i, j));
			tfs_tree_attr(tree, i, &st);
			assert_int_equal(st.st_nlink, 4);
			i.view = TFS_VIEW_NPY;
			tfs_tree_attr(tree, i, &st);
			assert_int_equal(st.st_nlink, 2);
			i.view = TFS_VIEW_TREE; /* it has none of its own */
			assert_false(tfs_tree_valid(tree, i));
		}
	/* The other set stands in one place only, and so do its directories. */
	assert_int_equal(tfs_tree_lookup(tree, sets, "other", &set), 0);
	assert_int_equal(tfs_tree_lookup(tree, set, "tree", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, "a", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, "@", &i), 0);
	tfs_tree_attr(tree, i, &st);
	assert_int_equal(st.st_nlink, 2);
	d.kind = TFS_INO_TREE_DIR;
	assert_false(tfs_tree_valid(tree, d));
}

/* The keys of a GGUF set; a tensor has its name, whatever that is. */
static void test_keys(void **state)
{
	struct tfs_inode root = tfs_ino_unpack(1), sub, d, i;
	struct stat st;

	(void)state;
	assert_int_equal(tfs_tree_lookup(tree, root, "gguf", &sub), 0);
	assert_int_equal(tfs_tree_lookup(tree, sub, "meta", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.json", &i), 0);
	assert_int_equal(i.kind, TFS_INO_TENSOR);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.json~", &i), 0);
	assert_int_equal(i.kind, TFS_INO_KEYS);
	assert_int_equal(i.node, TFS_KEYS_SHORT);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.full.json", &i), 0);
	assert_int_equal(i.node, TFS_KEYS_FULL);
	tfs_tree_attr(tree, i, &st);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0444);
	i.node = TFS_KEYS;
	assert_false(tfs_tree_valid(tree, i));
	i.node = 0;
	i.set = 0; /* safetensors */
	assert_false(tfs_tree_valid(tree, i));
	assert_int_equal(tfs_tree_lookup(tree, sub, "tensors", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.full.json", &i), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, root, "meta", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.json", &i), -ENOENT);
}

/* Of all numbers near those that mean something, the valid ones are those that pack() gives. */
static void test_numbers(void **state)
{
	static const uint64_t lows[] = { 0, 1, 2, 3, 7, 8, 100, UINT32_MAX - 1, UINT32_MAX };
	unsigned valid = 0;

	(void)state;
	for (uint64_t kind = 0; kind < 16; kind++)
		for (uint64_t view = 0; view < 16; view++)
			for (uint64_t set = 0; set < (1u << 24); set = set < 4 ? set + 1 : set * 2 + 1)
				for (unsigned l = 0; l < LENGTH(lows); l++) {
					uint64_t ino = kind << 60 | view << 56 | set << 32 | lows[l];
					struct tfs_inode i = tfs_ino_unpack(ino);
					if (!tfs_tree_valid(tree, i))
						continue;
					valid++;
					assert_int_equal(tfs_ino_pack(i), ino);
					assert_true(kind < TFS_INO_KINDS && view < TFS_VIEWS && set < model->n_sets);
				}
	assert_true(valid > 20);
	assert_false(tfs_tree_valid(tree, tfs_ino_unpack(0)));
	assert_false(tfs_tree_valid(tree, tfs_ino_unpack(UINT64_MAX)));
	/* A second number for the root: its set is of no use to it. */
	assert_false(tfs_tree_valid(tree, tfs_ino_unpack((uint64_t)5 << 32 | 1)));
	/* Any number may be unpacked. */
	uint64_t x = 1;
	for (int n = 0; n < 100000; n++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		tfs_tree_valid(tree, tfs_ino_unpack(x));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_absent_in_view),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
