/* SPDX-License-Identifier: MIT */
/* What a file is by its content, and what names say. */
#include "support/model-helpers.h"

#include "format/format.h"

#define OF(text) text, sizeof(text) - 1

/* A pickle of torch.save() without a tensor, in protocol 2, and a zip file's first bytes, which are all that was downloaded. */
#define LEGACY		    "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define ZIP(name_len, name) "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" name_len "\0\0\0" name

static struct tfs_sniffed sniff(const char *data, size_t len)
{
	struct tfs_sniffed c;
	int fd = memory_file(data, len);

	assert_int_equal(tfs_sniff(input_of(fd, len), &c, NULL), 0);
	close(fd);
	return c;
}

static void formats_are_recognised(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const struct tfs_format *format;
	} files[] = {
		{ OF("\2\0\0\0\0\0\0\0{}"), &tfs_format_safetensors },
		{ OF("\x40\0\0\0\0\0\0\0 \n{\"cut"), &tfs_format_safetensors }, /* a download that was cut short */
		{ OF("\x80\2\0\0\0\0\0\0{\"a pickle by its first two bytes"), &tfs_format_safetensors },
		{ OF("\x1f\x8b\x08\0\0\0\0\0{\"gzip by its first three"), &tfs_format_safetensors },
		{ OF("BZh\0\0\0\0\0{\"bzip2"), &tfs_format_safetensors },
		{ OF("PK\3\4\0\0\0\0{\"zip"), &tfs_format_safetensors },
		{ OF("\2\0\0\0\0\0\0\1{}"), NULL },
		{ OF("\1\0\0\0\0\0\0\0{"), NULL },
		{ OF("\2\0\0\0\0\0\0\0[]"), NULL },
		{ OF("GGUF\3\0\0\0"), &tfs_format_gguf },
		{ OF("GGU"), NULL },
		{ OF(LEGACY), &tfs_format_torch },
		{ OF("\x80\4\x95\x0d\0\0\0\0\0\0\0\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."), &tfs_format_torch },
		{ OF("L119547037146038801333356L\n."), &tfs_format_torch },
		{ OF("\x80\4}\x94."), NULL },
		{ OF(ZIP("\x10", "archive/data.pkl")), &tfs_format_torch },
		{ OF(ZIP("\5", "w.npy")), &tfs_format_npz },
		{ OF(ZIP("\6", "README")), NULL },
		{ OF(ZIP("\xff", "cut")), NULL },
		{ OF("\x93NUMPY\1\0"), &tfs_format_npy },
		{ OF("\x08\x0a\x3a\0\x42\0"), &tfs_format_onnx },
		{ OF("\x3a\0\x08\x0a"), &tfs_format_onnx },
		{ OF("\x08\x0a\x12\1x"), NULL },      /* no graph: TensorFlow's, or Core ML's */
		{ OF("\x08\x0a\x3a\0\x50\1"), NULL }, /* a field that it has not */
		{ OF("\x08\x0a\x3a\5x"), NULL },
		{ OF("\x0a\1\1\x3a\0"), NULL },
		{ OF(""), NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(files); i++)
		if (sniff(files[i].data, files[i].len).format != files[i].format)
			fail_msg("file %zu", i);
}

static void other_kinds_are_named(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *what;
	} files[] = {
		{ OF("\r\n <!DOCTYPE HTML><title>404"), "an HTML page" },
		{ OF("\xef\xbb\xbf<html>"), "an HTML page" },
		{ OF("<?xml version='1.0'?><Error>"), "XML" },
		{ OF("{\"error\":\"Repository not found\"}"), "JSON" },
		{ OF("[]"), "JSON" },
		{ OF("Entry not found"), "a server's error message" },
		{ OF("\x1f\x8b\x08\0"), "compressed by gzip" },
		{ OF("\x28\xb5\x2f\xfd\1"), "compressed by zstd" },
		{ OF("\x89HDF\r\n\x1a\n"), "an HDF5 file" },
		{ OF("\x1c\0\0\0TFL3"), "a TensorFlow Lite model" },
		{ OF("lmgg\1\0\0\0"), "a GGML file" },
		{ OF("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer" },
		{ OF(ZIP("\6", "README")), "a zip file" },
		{ OF("\x80\4}\x94."), "a Python pickle" },
		{ OF("GGUF\3\0\0\0"), "a GGUF file" },
		{ OF("%PDF-1.7"), "a PDF document" },
	};
	static const struct {
		const char *data;
		size_t len;
	} unknown[] = { { OF("") }, { OF("{\0}") }, { OF("rubbish!") }, { OF("\0\0\0\0\0\0\0\0\0") }, { OF("\x80") } };

	(void)state;
	for (size_t i = 0; i < LENGTH(files); i++) {
		const char *what = sniff(files[i].data, files[i].len).what;

		if (!what || strncmp(what, files[i].what, strlen(files[i].what)))
			fail_msg("\"%s\" instead of \"%s\"", what ? what : "nothing", files[i].what);
	}
	for (size_t i = 0; i < LENGTH(unknown); i++)
		assert_null(sniff(unknown[i].data, unknown[i].len).what);
}

/* A header as long as the number that @start is, little-endian: what other kinds of files begin with. */
static void assert_sound(const char *start, size_t n)
{
	const char *header = ONE("t");
	size_t len = 0, file_len;
	char *dir = make_tree(), *padded, *file;
	struct tfs_model *m;
	struct warnings w;

	for (size_t i = n; i--;)
		len = len << 8 | (unsigned char)start[i];
	padded = malloc(len);
	assert_non_null(padded);
	memset(padded, ' ', len);
	memcpy(padded, header, strlen(header));
	file = make_safetensors(padded, len, 4, &file_len);
	put_file(dir, "model.safetensors", file, file_len);
	put_file(dir, "blob", file, file_len);
	m = open_model(dir, &w);
	assert_int_equal(w.n, 0);
	assert_int_equal(m->sets[0].n_tensors, 1);
	tfs_model_destroy(m);
	m = open_model(in_tree(dir, "blob"), &w);
	assert_int_equal(m->sets[0].n_tensors, 1);
	assert_string_equal(stems(m, 0), "blob");
	tfs_model_destroy(m);
	free(padded);
	free(file);
	remove_tree(dir);
}

static void no_sound_file_is_taken_for_another(void **state)
{
	(void)state;
	assert_sound(OF("\x1f\x8b\x08"));
	assert_sound(OF("\x80\2"));
	assert_sound(OF("BZh"));
	assert_sound(OF("<ht"));
}

static void names_are_told(void **state)
{
	static const struct {
		const char *name;
		size_t stem;
	} names[] = {
		{ "model.safetensors", 5 },
		{ "MODEL.SafeTensors", 5 },
		{ "ae.sft", 2 },
		{ "checkpoint.pth.tar", 10 },
		{ "a.PKL", 1 },
		{ "sha256-9999", 11 },
		{ "model.gguf-split-a", 18 },
		{ ".npy", 4 },
		{ "", 0 },
		{ "x.y.npz", 3 },
	};
	struct tfs_shard_name s;

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		assert_int_equal(tfs_format_stem(names[i].name), names[i].stem);
	assert_ptr_equal(tfs_format_maybe("model.TH"), &tfs_format_torch);
	assert_ptr_equal(tfs_format_maybe("c.pth.tar"), &tfs_format_torch);
	assert_ptr_equal(tfs_format_maybe("c.tar"), &tfs_format_tar);
	assert_true(tfs_format_may_have(&tfs_format_tar, "c.pth.tar"));
	assert_false(tfs_format_may_have(&tfs_format_tar, "c.nemo"));
	assert_null(tfs_format_maybe(".pkl"));
	assert_null(tfs_format_for("model.pkl"));
	assert_true(tfs_format_is_shard(&tfs_format_gguf, "m-00002-of-00003.GGUF", &s));
	assert_int_equal(s.name_len, 1);
	assert_int_equal(s.total, 3);
	assert_false(tfs_format_is_shard(&tfs_format_gguf, "m-00004-of-00003.gguf", &s));
	assert_false(tfs_format_is_shard(&tfs_format_npy, "m-00001-of-00003.npy", &s));
	assert_string_equal(tfs_sniff_name("model.Engine", false), "a TensorRT engine");
	assert_null(tfs_sniff_name(".engine", false));
	assert_null(tfs_sniff_name("config.json", false));
	/* A name against a content that is a format's. */
	assert_null(tfs_sniff_name("m.zip", true));
	assert_string_equal(tfs_sniff_name("__0_0.distcp", true), "a part of a torch distributed checkpoint");
	assert_string_equal(tfs_sniff_name("v.data-00010-of-00011", false), "a part of a TensorFlow checkpoint");
	assert_null(tfs_sniff_name(".data-00010-of-00011", false));
	assert_null(tfs_sniff_name("v.data-0001x-of-00011", false));
}

static void parts_have_a_table(void **state)
{
	char name[NAME_MAX + 1];

	(void)state;
	assert_true(tfs_sniff_part("a.b.data-00001-of-00002", name));
	assert_string_equal(name, "a.b.index");
	assert_true(tfs_sniff_part("m.ckpt.meta", name));
	assert_string_equal(name, "m.ckpt.index");
	assert_true(tfs_sniff_part("__0_0.distcp", name));
	assert_string_equal(name, ".metadata");
	assert_false(tfs_sniff_part("data-00001-of-00002", name));
	assert_false(tfs_sniff_part("model.safetensors", name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_are_recognised),
		cmocka_unit_test(other_kinds_are_named),
		cmocka_unit_test(no_sound_file_is_taken_for_another),
		cmocka_unit_test(names_are_told),
		cmocka_unit_test(parts_have_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
