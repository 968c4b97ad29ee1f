/* SPDX-License-Identifier: MIT */
/* The namespace: what a directory lists is what a lookup finds, and numbers that were never given out mean nothing. */
#include "support/fixture.h"

#include "fs/tree/tree.h"

static const char *const controls[] = { "stats", "metrics", NULL };
static const struct spec mixed[] = { { "a", 8 }, { "b", 4 }, { "c", 8 }, { "d", 4 }, { "e", 4 }, { "f", 8 } };
static const char *const mixed_types[] = { "C64", "F32", "C64", "BF16", "F32", "C64" };
static const struct spec specs[] = { { "a", 10 }, { "a.b", 20 }, { "x\\/y", 5 }, { "", 7 }, { "%", 3 } };

/* Two tensors, one with the name of a file of keys; then their data, at byte 96. */
static const char gguf[128 + 1] =
	"GGUF\3\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"				  /* 2 tensors, no keys */
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
	assert_int_equal(mkdir(in_tree(dir, "mixed"), 0755), 0);
	put_typed_model(dir, "mixed/diffusion_pytorch_model.safetensors", mixed, mixed_types, LENGTH(mixed));
	/* Programs look for it; they have a file of theirs; they don't look for it. */
	assert_int_equal(mkdir(in_tree(dir, "adapter"), 0755), 0);
	put_file(dir, "adapter/adapter_model.gguf", gguf, sizeof gguf);
	assert_int_equal(mkdir(in_tree(dir, "broken"), 0755), 0);
	put_file(dir, "broken/model.gguf", gguf, sizeof gguf);
	put_text(dir, "broken/model-00001-of-00002.safetensors", "no such thing");
	assert_int_equal(mkdir(in_tree(dir, "optimizer"), 0755), 0);
	put_file(dir, "optimizer/optimizer.gguf", gguf, sizeof gguf);
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
			assert_int_equal(tfs_tree_lookup(tree, child, "x", &found),
					 child.kind == TFS_INO_NODE ? -ENOENT : -ENOTDIR);
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
	 * The root: 14 originals, tensors~, npy, f32, meta, tree, whole, sets, .tensorfs~~; the four flat views of 5, a file of
	 * metadata, tree/{%,%25,a/@,a/b,x/y}, whole/model.safetensors; those of sets/{model,other} of 5 and 2, two controls. sub:
	 * an original, four flat views of 3, and the others. complex: an original and views of 1 but for f32. mixed: views of 6, 3
	 * of them in f32. gguf, adapter: an original, flat views of 2, two files of keys, tree/{%/gguf,t}, whole/model.safetensors,
	 * and that a second time. optimizer: no second time. broken: nor there, and two originals.
	 */
	unsigned gguf_views = 6 + 4 * 2 + 2 + 3 + 1;
	assert_int_equal(walk(root, 0), 14 + 8 + 4 * 5 + 1 + 7 + 1 + 2 + (6 + 4 * 5 + 1 + 7 + 1) + (6 + 4 * 2 + 1 + 3 + 1) + 2 +
						(1 + 6 + 4 * 3 + 1 + 5 + 1) + (1 + 6 + 3 + 1 + 1 + 1) +
						(1 + 6 + 3 * 6 + 3 + 1 + 6 + 1) + 2 * (1 + gguf_views + 1) + (1 + gguf_views) +
						(2 + gguf_views));
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

/* A view that lacks some of the tensors lists the others, from any place on. */
static void test_filtered(void **state)
{
	struct tfs_inode root = tfs_ino_unpack(1), sub, view, i;
	static const char *const want[] = { "b.npy", "d.npy", "e.npy" };
	static const uint64_t after[] = { 2, 4, 5 };
	char name[TFS_NAME_MAX + 1];
	uint64_t place = 0;

	(void)state;
	assert_int_equal(tfs_tree_lookup(tree, root, "mixed", &sub), 0);
	assert_int_equal(tfs_tree_lookup(tree, sub, "f32", &view), 0);
	for (unsigned n = 0; n < LENGTH(want); n++) {
		assert_int_equal(tfs_tree_entry(tree, view, &place, name, &i), 0);
		assert_string_equal(name, want[n]);
		assert_int_equal(place, after[n]);
	}
	assert_int_equal(tfs_tree_entry(tree, view, &place, name, &i), -ENOENT);
	place = 2;
	assert_int_equal(tfs_tree_entry(tree, view, &place, name, &i), 0);
	assert_string_equal(name, "d.npy");
	for (const char *p = "acf"; *p; p++) {
		snprintf(name, sizeof name, "%c.npy", *p);
		assert_int_equal(tfs_tree_lookup(tree, view, name, &i), -ENOENT);
	}
	for (unsigned n = 0; n < 6; n++) {
		static const char *const not [] = { "b", "b.json", ".npy", "npy", "b.npy.npy", "b.np" };
		assert_int_equal(tfs_tree_lookup(tree, view, not [n], &i), -ENOENT);
	}
}

/* whole/model.safetensors, and where programs look for it. */
static void test_whole(void **state)
{
	static const struct {
		const char *dir, *name; /* NULL: nowhere else */
	} rows[] = { { "gguf", "model.safetensors" },
		     { "adapter", "adapter_model.safetensors" },
		     { "broken", NULL },
		     { "optimizer", NULL },
		     { "mixed", NULL } };
	struct tfs_inode root = tfs_ino_unpack(1), sub, d, i, j;
	struct stat st;

	(void)state;
	for (unsigned n = 0; n < LENGTH(rows); n++) {
		static const char *const names[] = { "model.safetensors", "adapter_model.safetensors", "optimizer.safetensors",
						     "diffusion_pytorch_model.safetensors~", "model.safetensors~" };
		assert_int_equal(tfs_tree_lookup(tree, root, rows[n].dir, &sub), 0);
		assert_int_equal(tfs_tree_lookup(tree, sub, "whole", &d), 0);
		assert_int_equal(tfs_tree_lookup(tree, d, "model.safetensors", &i), 0);
		assert_int_equal(i.kind, TFS_INO_CONSOLIDATED);
		tfs_tree_attr(tree, i, &st);
		assert_int_equal(st.st_nlink, rows[n].name ? 2 : 1);
		for (unsigned k = 0; k < LENGTH(names); k++) {
			bool there = rows[n].name && !strcmp(names[k], rows[n].name);
			assert_int_equal(tfs_tree_lookup(tree, sub, names[k], &j), there ? 0 : -ENOENT);
			if (there)
				assert_true(equal(i, j));
		}
	}
	/* In sets/STEM only in there. */
	assert_int_equal(tfs_tree_lookup(tree, root, "whole", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, "model.safetensors", &i), 0);
	assert_int_equal(tfs_tree_lookup(tree, root, "sets", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, "model", &sub), 0);
	assert_int_equal(tfs_tree_lookup(tree, sub, "model.safetensors", &j), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, sub, "whole", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, "model.safetensors", &j), 0);
	assert_true(equal(i, j));
	tfs_tree_attr(tree, i, &st);
	assert_int_equal(st.st_nlink, 2);
}

/* Any choice of views: those and no others, in sets/ as well, and no number means what isn't there. */
static void test_views(void **state)
{
	struct tfs_tree *all = tree;
	struct tfs_inode root = tfs_ino_unpack(1), sub, sets, set, i;
	struct stat st;

	(void)state;
	for (unsigned views = 0; views <= TFS_VIEWS_ALL; views++) {
		assert_int_equal(tfs_tree_create(model, controls, views, &tree, NULL), 0);
		walk(root, 0);
		assert_int_equal(tfs_tree_lookup(tree, root, "sets", &sets), views ? 0 : -ENOENT);
		assert_int_equal(tfs_tree_lookup(tree, root, ".tensorfs~~", &i), 0);
		assert_int_equal(tfs_tree_lookup(tree, root, "sub", &sub), 0);
		if (views)
			assert_int_equal(tfs_tree_lookup(tree, sets, "other", &set), 0);
		for (unsigned v = 0; v < TFS_VIEWS; v++) {
			bool shown = views >> v & 1;
			assert_int_equal(tfs_tree_lookup(tree, sub, tfs_views[v].dir, &i), shown ? 0 : -ENOENT);
			if (views)
				assert_int_equal(tfs_tree_lookup(tree, set, tfs_views[v].dir, &i), shown ? 0 : -ENOENT);
			i = (struct tfs_inode){ .kind = TFS_INO_VIEW_DIR, .view = v };
			assert_int_equal(tfs_tree_valid(tree, i), shown);
			i = (struct tfs_inode){ .kind = TFS_INO_SET_VIEW_DIR, .view = v, .set = 0 };
			assert_int_equal(tfs_tree_valid(tree, i), shown);
			i = (struct tfs_inode){ .kind = TFS_INO_TENSOR, .view = v };
			bool in_tree = v == TFS_VIEW_TENSORS && views >> TFS_VIEW_TREE & 1;
			assert_int_equal(tfs_tree_valid(tree, i), tfs_views[v].flat && (shown || in_tree));
			if (!tfs_views[v].flat || !tfs_tree_valid(tree, i))
				continue;
			tfs_tree_attr(tree, i, &st);
			assert_int_equal(st.st_nlink, 2 * (shown + in_tree));
		}
		assert_int_equal(tfs_tree_valid(tree, (struct tfs_inode){ .kind = TFS_INO_CONSOLIDATED }),
				 views >> TFS_VIEW_WHOLE & 1);
		assert_int_equal(tfs_tree_valid(tree, (struct tfs_inode){ .kind = TFS_INO_KEYS, .node = TFS_KEYS_SAFETENSORS }),
				 views >> TFS_VIEW_META & 1);
		assert_int_equal(tfs_tree_valid(tree, (struct tfs_inode){ .kind = TFS_INO_SET }), views != 0);
		assert_int_equal(tfs_tree_lookup(tree, root, "adapter", &sub), 0);
		assert_int_equal(tfs_tree_lookup(tree, sub, "adapter_model.safetensors", &i),
				 views >> TFS_VIEW_WHOLE & 1 ? 0 : -ENOENT);
		tfs_tree_destroy(tree);
	}
	tree = all;
}

/* --views= */
static void test_parse(void **state)
{
	static const char *const bad[] = { "",	       ",",	 "tensors,", ",npy", "tensors,,npy", "tensors npy", "all,npy",
					   "none,npy", "tensor", "tensorss", "sets", "Tensors",	     ".tensorfs",   "tensors;npy" };
	unsigned views = 99;

	(void)state;
	for (unsigned i = 0; i < LENGTH(bad); i++) {
		assert_false(tfs_views_parse(bad[i], &views));
		assert_int_equal(views, 99);
	}
	assert_true(tfs_views_parse("all", &views));
	assert_int_equal(views, TFS_VIEWS_ALL);
	assert_true(tfs_views_parse("none", &views));
	assert_int_equal(views, 0);
	assert_true(tfs_views_parse("f32,tensors,f32", &views));
	assert_int_equal(views, 1 << TFS_VIEW_F32 | 1 << TFS_VIEW_TENSORS);
	assert_true(tfs_views_parse("whole:meta", &views));
	assert_int_equal(views, 1 << TFS_VIEW_WHOLE | 1 << TFS_VIEW_META);
	assert_true(tfs_views_parse("tensors,npy,f32,meta,tree,whole", &views));
	assert_int_equal(views, TFS_VIEWS_ALL);
}

/* tree/ shows the files of tensors/, and directories that are not those of sets/STEM/tree. */
static void test_tree(void **state)
{
	static const char *const paths[] = { "a/@", "a/b", "x/y", "%", "%25" }, *const names[] = { "a", "a.b", "x%2Fy", "%",
												   "%25" };
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
	assert_int_equal(i.node, TFS_KEYS_GGUF);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.full.json", &i), 0);
	assert_int_equal(i.node, TFS_KEYS_GGUF_FULL);
	assert_int_equal(tfs_tree_lookup(tree, d, ".safetensors.json", &i), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.full.json", &i), 0);
	tfs_tree_attr(tree, i, &st);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0444);
	i.node = TFS_KEYS_SAFETENSORS;
	assert_false(tfs_tree_valid(tree, i));
	i.node = TFS_KEYS;
	assert_false(tfs_tree_valid(tree, i));
	i.node = TFS_KEYS_GGUF;
	i.set = 0; /* safetensors */
	assert_false(tfs_tree_valid(tree, i));
	i.node = TFS_KEYS_SAFETENSORS;
	assert_true(tfs_tree_valid(tree, i));
	assert_int_equal(tfs_tree_lookup(tree, sub, "tensors", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.full.json", &i), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, root, "meta", &d), 0);
	assert_int_equal(tfs_tree_lookup(tree, d, ".gguf.json", &i), -ENOENT);
	assert_int_equal(tfs_tree_lookup(tree, d, ".safetensors.json", &i), 0);
	assert_int_equal(i.kind, TFS_INO_KEYS);
	assert_int_equal(i.node, TFS_KEYS_SAFETENSORS);
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

/* Known only at lookup: .tensorfs, and files whose size depends on a text or a header that must be generated. */
static void test_lookups_awaited(void **state)
{
	(void)state;
	for (int kind = 0; kind < TFS_INO_KINDS; kind++)
		assert_int_equal(tfs_tree_waits_for_lookup((struct tfs_inode){ .kind = (enum tfs_kind)kind }),
				 kind == TFS_INO_CONTROL || kind == TFS_INO_KEYS || kind == TFS_INO_CONSOLIDATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_absent_in_view),
		cmocka_unit_test(test_filtered),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_lookups_awaited),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
