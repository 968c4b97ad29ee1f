/* SPDX-License-Identifier: MIT */
/* Directories that hold more than one format, or what looks like weights and is none. */
#include "support/model-helpers.h"

static void put_npy(const char *dir, const char *name, const char *shape, size_t data)
{
	char file[400], header[200];
	size_t len = (size_t)snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': %s}", shape);

	memcpy(file, "\x93NUMPY\1\0", 8);
	file[8] = (char)len;
	file[9] = 0;
	memcpy(file + 10, header, len);
	memset(file + 10 + len, 'd', data);
	put_file(dir, name, file, 10 + len + data);
}

/* An npz without members is a sound file without tensors. */
static void put_empty_npz(const char *dir, const char *name)
{
	put_file(dir, name, "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
}

static void put_gguf(const char *dir, const char *name)
{
	char file[32 + 32 + 4] = "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				 "\1\0\0\0\0\0\0\0"
				 "g\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0"; /* one F32, of one element, at 0 */

	put_file(dir, name, file, sizeof file);
}

static void npy_files_are_one_set(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_npy(dir, "b.npy", "(4,)", 4);
	put_npy(dir, "a.x.npy", "(2,)", 2);
	put_npy(dir, "a.npy", "(0,)", 0);
	put_npy(dir, "broken.npy", "(4,)", 3);
	mkdir(in_tree(dir, "sub"), 0755);
	put_npy(dir, "sub/c.npy", "(1,)", 1);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "npy");
	assert_string_equal(stems(m, child(m, 0, "sub")), "npy");
	assert_int_equal(m->sets[0].n_tensors, 3);
	assert_int_equal(m->sets[0].total_bytes, 6);
	assert_string_equal(m->sets[0].tensors[1].name, "a.x");
	assert_string_equal(m->nodes[m->sets[0].tensors[1].source].name, "a.x.npy");
	assert_int_equal(w.n, 1);
	assert_warned(&w, "broken.npy: byte 68: left out: the array requires 4 bytes, the file has 3");
	tfs_model_destroy(m);

	/* Where all are broken the first is the reason. */
	assert_int_equal(unlink(in_tree(dir, "b.npy")), 0);
	assert_int_equal(unlink(in_tree(dir, "a.x.npy")), 0);
	assert_int_equal(unlink(in_tree(dir, "a.npy")), 0);
	assert_int_equal(unlink(in_tree(dir, "sub/c.npy")), 0);
	put_npy(dir, "also.npy", "(4,)", 2);
	assert_refused(dir, -EINVAL, "also.npy: byte 67: the array requires 4 bytes, the file has 2");
	remove_tree(dir);
}

static void formats_have_an_order(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_npy(dir, "a.npy", "(4,)", 4);
	put_gguf(dir, "model.gguf");
	put_gguf(dir, "a.gguf");
	put_safetensors(dir, "z.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "z model a npy");
	assert_string_equal(m->sets[1].format->name, "gguf");
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);

	/* One stem in three formats: the preferred one keeps it. */
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	put_safetensors(dir, "npy.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "model npy z model~ a npy~");
	assert_string_equal(m->sets[3].format->name, "gguf");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void a_set_without_tensors_gives_way(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	put_empty_npz(dir, "empty.npz");
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "empty");
	assert_int_equal(w.n, 1);
	assert_warned(&w, "empty.npz: has no tensors");
	tfs_model_destroy(m);

	put_safetensors(dir, "empty.safetensors", "{}", 0);
	put_npy(dir, "a.npy", "(4,)", 4);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_string_equal(stems(m, 0), "npy");
	assert_int_equal(w.n, 2);
	assert_warned(&w, "empty.npz: left out: has no tensors");
	assert_warned(&w, "empty.safetensors: left out: has no tensors");
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void what_is_no_weights_is_named(void **state)
{
	static const struct {
		const char *name, *text, *what;
	} files[] = {
		{ "ggml-base.bin", "lmgg\x01 and some header parameters",
		  "is a GGML file of a program that tensorfs doesn't know" },
		{ "q4_0.bin", "tjgg\x03 and some header parameters", "is a GGML file of a program that tensorfs doesn't know" },
		{ "old.gguf", "fmgg\x01 and some header parameters", "is a GGML file of a kind that tensorfs doesn't read" },
		{ "zero.pt", "", "has zero bytes" },
		{ "zero.onnx", "", "has zero bytes" },
		{ "zero.gguf", "", "has zero bytes" },
		{ "zero.npz", "", "has zero bytes" },
		{ "lfs.bin", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer" },
		{ "lfs.gguf", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer" },
		{ "lfs.onnx", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer" },
		{ "lfs.npz", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer" },
		{ "tokenizer.bin", "any bytes, of no format that is known", "" },
		{ "model.safetensors.part", "", "is an unfinished download" },
		{ "0123abcd.incomplete", "", "is an unfinished download" },
		{ "Unconfirmed 1.crdownload", "", "is an unfinished download" },
		{ "model.gguf.aria2", "", "shows that aria2 has not finished the file beside it" },
	};
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	for (size_t i = 0; i < LENGTH(files); i++) {
		char *dir = make_tree(), line[200];

		/* Alone it is the error, beside a model a warning. */
		put_text(dir, files[i].name, files[i].text);
		snprintf(line, sizeof line, "%s: %s", files[i].name, files[i].what);
		assert_refused(dir, -EINVAL, line);
		put_safetensors(dir, "z.safetensors", ONE("t"), 4);
		m = open_model(dir, &w);
		assert_string_equal(stems(m, 0), "z");
		assert_int_equal(w.n, 1);
		assert_warned(&w, files[i].name);
		snprintf(line, sizeof line, "left out: %s", files[i].what);
		assert_warned(&w, line);
		tfs_model_destroy(m);
		remove_tree(dir);
	}
}

static void other_files_are_not_mentioned(void **state)
{
	static const char *const names[] = { "notes.part", ".part",	   "a.npy.txt", ".incomplete",
					     "aria2",	   "disk.partial", "x.download" };
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		put_text(dir, names[i], "");
	mkdir(in_tree(dir, "sub.incomplete"), 0755);
	assert_refused(dir, -EINVAL, "no weights found: no file (of 7 in 2 directories)");
	put_safetensors(dir, "model.safetensors", ONE("t"), 4);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);
	/* A broken model is the better reason. */
	put_text(dir, "model.safetensors", "short");
	put_text(dir, "model.safetensors.part", "");
	assert_refused(dir, -EINVAL, "model.safetensors: byte 0: the file has 5 bytes");
	/* So is that of a format that comes first. */
	put_text(dir, "arguments.bin", "no pickle, and nobody's weights");
	assert_refused(dir, -EINVAL, "model.safetensors: byte 0: the file has 5 bytes");
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npy_files_are_one_set),	   cmocka_unit_test(formats_have_an_order),
		cmocka_unit_test(a_set_without_tensors_gives_way), cmocka_unit_test(what_is_no_weights_is_named),
		cmocka_unit_test(other_files_are_not_mentioned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
