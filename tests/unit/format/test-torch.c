/* SPDX-License-Identifier: MIT */
/* torch files as sets: which names are whose, and where a tensor's bytes are. tests/reject has the rest of it, file by file. */
#include "support/model-helpers.h"

#define HEAD	"\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}."
#define STORAGE "(X\7\0\0\0storagectorch\nShortStorage\nX\1\0\0\0kX\3\0\0\0cpuK\6NtQ"
#define TAIL	"\x80\2]X\1\0\0\0ka."
#define DATA	"\6\0\0\0\0\0\0\0\1\0\2\0\3\0\4\0\5\0\6\0"
/* _rebuild_tensor(storage, offset, size, stride) */
#define TENSOR(offset, size, stride) "ctorch._utils\n_rebuild_tensor\n(" STORAGE "K" offset size stride "tR"

/* A file of before torch 1.6: one storage of six I16, and a dict of what @items are. */
#define FILE_OF(items) HEAD "\x80\2}" items "." TAIL DATA
#define LONE(name)     FILE_OF("U\1" name TENSOR("\1", "K\5\x85", "K\1\x85") "s")

static void put(const char *dir, const char *name, const char *bytes, size_t len)
{
	put_file(dir, name, bytes, len);
}

#define PUT(dir, name, file) put(dir, name, file, sizeof file - 1)

static void names_are_claimed(void **state)
{
	(void)state;
	assert_ptr_equal(tfs_format_for("pytorch_model.bin"), &tfs_format_torch);
	assert_ptr_equal(tfs_format_for("a.pt"), &tfs_format_torch);
	assert_ptr_equal(tfs_format_for("a.pth"), &tfs_format_torch);
	assert_ptr_equal(tfs_format_for("v1-5.ckpt"), &tfs_format_torch);
	assert_null(tfs_format_for("a.tar"));
	assert_null(tfs_format_for(".bin"));
	assert_ptr_equal(tfs_format_for("a.pt2"), &tfs_format_torch);
	assert_null(tfs_format_for("pytorch_model.bin.index.json"));
}

static void tensors_are_parts_of_the_file(void **state)
{
	static const char file[] = FILE_OF(
		"U\1a" TENSOR("\1", "K\2K\2\x86", "K\2K\1\x86") "s"
								"U\1b" TENSOR("\0", "K\3K\2\x86",
									      "K\1K\3\x86") "s"
											    "U\1c" TENSOR("\2", "K\4K\3\x86",
													  "K\0K\1\x86") "s");
	uint64_t data = sizeof file - 1 - 12;
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;
	const struct tfs_tensor *t;

	(void)state;
	PUT(dir, "m.pt", file);
	m = open_model(dir, &w);
	assert_consistent(m);
	assert_int_equal(m->sets[0].n_tensors, 3);
	t = m->sets[0].tensors;
	assert_string_equal(t[0].name, "a");
	assert_string_equal(t[0].dtype->name, "I16");
	assert_int_equal(t[0].offset, data + 2);
	assert_int_equal(t[0].nbytes, 8);
	assert_null(t[0].encoding);

	assert_int_equal(t[1].offset, data);
	assert_int_equal(t[1].nbytes, 12);
	assert_int_equal(t[1].encoding->strides[0], 2);
	assert_int_equal(t[1].encoding->strides[1], 6);
	assert_int_equal(t[1].encoding->length, 12);

	assert_int_equal(t[2].offset, data + 4);
	assert_int_equal(t[2].nbytes, 24); /* more than it takes of the file */
	assert_int_equal(t[2].encoding->strides[0], 0);
	assert_int_equal(t[2].encoding->length, 6);
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void shards_are_those_of_bin(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	PUT(dir, "pytorch_model-00001-of-00002.bin", LONE("a"));
	PUT(dir, "pytorch_model-00002-of-00002.bin", LONE("b"));
	PUT(dir, "x-1-of-23.pt", LONE("c")); /* torch has no shards of that name */
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "pytorch_model x-1-of-23");
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);

	put_text(dir, "pytorch_model.bin.index.json",
		 "{\"weight_map\":{\"a\":\"pytorch_model-00001-of-00002.bin\",\"b\":\"pytorch_model-00002-of-00002.bin\"}}");
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "pytorch_model x-1-of-23");
	assert_true(m->sets[0].sharded);
	assert_int_equal(w.n, 0);
	tfs_model_destroy(m);
	remove_tree(dir);
}

static void the_model_comes_before_what_trained_it(void **state)
{
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	PUT(dir, "optimizer.pt", LONE("a"));
	PUT(dir, "pytorch_model.bin", LONE("a"));
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "pytorch_model optimizer");
	tfs_model_destroy(m);
	put_safetensors(dir, "z.safetensors", "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
	m = open_model(dir, &w);
	assert_string_equal(stems(m, 0), "z pytorch_model optimizer");
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* What Python keeps of a pickle in which a key is set twice is the last. */
static void the_last_of_a_key_counts(void **state)
{
	static const char file[] = FILE_OF("U\1a" TENSOR("\0", "K\1\x85", "K\1\x85") "s"
										     "U\1a" TENSOR("\5", "K\1\x85", "K\1\x85") "s");
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	PUT(dir, "m.pt", file);
	m = open_model(dir, &w);
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].tensors[0].offset, sizeof file - 1 - 2);
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* NumPy's arrays are shown; one without a state has nothing to show, and numbers are named. */
static void numpy_arrays_are_shown(void **state)
{
	static const char file[] = FILE_OF(
		"U\1a" TENSOR("\1", "K\5\x85", "K\1\x85") "s"
							  "U\1n"
							  "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btR"
							  "(K\1K\2\x85"
							  "cnumpy\ndtype\n(U\2u1K\0K\1tR\x89U\2xytbs"
							  "U\1m"
							  "cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\1btRs"
							  "U\1s"
							  "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\2u1K\0K\1tRU\1xtRs");
	char *dir = make_tree();
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	PUT(dir, "m.pt", file);
	m = open_model(dir, &w);
	assert_int_equal(m->sets[0].n_tensors, 2);
	assert_string_equal(m->sets[0].tensors[0].name, "a");
	assert_string_equal(m->sets[0].tensors[1].name, "n");
	assert_string_equal(m->sets[0].tensors[1].dtype->name, "U8");
	assert_int_equal(m->sets[0].tensors[1].nbytes, 2);
	assert_memory_equal(file + m->sets[0].tensors[1].offset, "xy", 2);
	assert_int_equal(m->sets[0].n_missing, 1);
	assert_int_equal(w.n, 2);
	assert_warned(&w, "\"m\" left out: a NumPy array without a state");
	assert_warned(&w, "\"s\" is a NumPy number, not a tensor: left out");
	tfs_model_destroy(m);
	remove_tree(dir);
}

/* The pickles are longer than what is read of the file at first. */
static void a_long_pickle_is_read_on(void **state)
{
	enum { LONG = 3 << 20 };
	static const char start[] = HEAD "\x80\2}U\1xX\0\0\x30\0",
			  end[] = "sU\1a" TENSOR("\1", "K\5\x85", "K\1\x85") "s." TAIL DATA;
	size_t len = sizeof start - 1 + LONG + sizeof end - 1;
	char *dir = make_tree(), *file = malloc(len);
	struct tfs_model *m;
	struct warnings w;

	(void)state;
	assert_non_null(file);
	memcpy(file, start, sizeof start - 1);
	memset(file + sizeof start - 1, 'x', LONG);
	memcpy(file + sizeof start - 1 + LONG, end, sizeof end - 1);
	put(dir, "m.pt", file, len);
	m = open_model(dir, &w);
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_int_equal(m->sets[0].tensors[0].offset, len - 10);
	tfs_model_destroy(m);
	remove_tree(dir);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_claimed),	    cmocka_unit_test(tensors_are_parts_of_the_file),
		cmocka_unit_test(shards_are_those_of_bin),  cmocka_unit_test(the_model_comes_before_what_trained_it),
		cmocka_unit_test(the_last_of_a_key_counts), cmocka_unit_test(a_long_pickle_is_read_on),
		cmocka_unit_test(numpy_arrays_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
