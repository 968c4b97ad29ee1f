/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <errno.h>
#include <limits.h>

#include "model/index.h"

static int read_text(const char *text, struct tfs_index **ret, struct tfs_error *err)
{
	int fd = memory_file(text, strlen(text)), rc = tfs_index_read(input_of(fd, strlen(text)), ret, err);

	close(fd);
	return rc;
}

static void file_names_are_claimed(void **state)
{
	static const struct {
		const char *name, *ext, *stem;
	} cases[] = {
		{ "model.safetensors.index.json", ".safetensors", "model" },
		{ "diffusion_pytorch_model.safetensors.index.json", ".safetensors", "diffusion_pytorch_model" },
		{ "model.safetensors.index.fp16.json", ".safetensors", "model.fp16" },
		{ "model.fp16.safetensors.index.json", ".safetensors", "model.fp16" },
		{ "pytorch_model.bin.index.json", ".bin", "pytorch_model" },
		{ "pytorch_model.bin.index.json", ".safetensors", NULL },
		{ ".safetensors.index.json", ".safetensors", NULL },
		{ "model.safetensors.index..json", ".safetensors", NULL },
		{ "model.safetensors.indexjson", ".safetensors", NULL },
		{ "index.json", ".safetensors", NULL },
		{ ".json", ".safetensors", NULL },
		{ "", ".safetensors", NULL },
		{ "config.json", ".safetensors", NULL },
	};
	char stem[NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(tfs_index_claims(cases[i].name, cases[i].ext, stem), cases[i].stem != NULL);
		if (cases[i].stem)
			assert_string_equal(stem, cases[i].stem);
		assert_int_equal(tfs_index_claims(cases[i].name, cases[i].ext, NULL), cases[i].stem != NULL);
	}
}

static void entries_are_sorted_and_files_shared(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	(void)state;
	assert_int_equal(read_text("{\"metadata\":{\"total_size\": 12, \"x\": [1]}, \"other\": null,"
				   "\"weight_map\":{\"b\":\"2\",\"c\":\"1\",\"a\":\"2\",\"a\\u0000\":\"3\",\"\":\"1\"}}",
				   &ix, &err),
			 0);
	assert_int_equal(ix->n_entries, 5);
	assert_int_equal(ix->entries[0].name_len, 0);
	assert_string_equal(ix->entries[1].name, "a");
	assert_int_equal(ix->entries[2].name_len, 2);
	assert_string_equal(ix->entries[3].name, "b");
	assert_string_equal(ix->entries[4].name, "c");
	assert_int_equal(ix->n_files, 3);
	assert_string_equal(ix->files[0], "2");
	assert_string_equal(ix->files[ix->entries[1].file], "2");
	assert_string_equal(ix->files[ix->entries[2].file], "3");
	assert_string_equal(ix->files[ix->entries[4].file], "1");
	assert_true(ix->has_total_size);
	assert_int_equal(ix->total_size, 12);
	tfs_index_destroy(ix);
	tfs_index_destroy(NULL);
}

static void total_size_may_be_anything(void **state)
{
	static const char *const metadata[] = { "{}",
						"null",
						"{\"total_size\": 1.5e9}",
						"{\"total_size\": \"12\"}",
						"{\"total_size\": -1}",
						"{\"total_size\": 1e400}",
						"[1]",
						"{\"total_size\": 99999999999999999999}" };

	(void)state;
	for (size_t i = 0; i < LENGTH(metadata); i++) {
		struct tfs_error err = { 0 };
		struct tfs_index *ix;
		char text[200];

		snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"f\"},\"metadata\":%s}", metadata[i]);
		assert_int_equal(read_text(text, &ix, &err), 0);
		assert_false(ix->has_total_size);
		tfs_index_destroy(ix);
	}
}

static void many_files_are_told_apart(void **state)
{
	char *text = malloc(20000 * 40), *p = text;
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	(void)state;
	if (!text)
		abort();
	p += sprintf(p, "{\"weight_map\":{");
	for (int i = 0; i < 20000; i++)
		p += sprintf(p, "%s\"t%05d\":\"f%d\"", i ? "," : "", i, i * 7919 % 1000);
	sprintf(p, "}}");
	assert_int_equal(read_text(text, &ix, &err), 0);
	assert_int_equal(ix->n_files, 1000);
	for (int i = 0; i < 20000; i++) {
		char want[16];

		snprintf(want, sizeof want, "f%d", i * 7919 % 1000);
		assert_string_equal(ix->files[ix->entries[i].file], want);
	}
	tfs_index_destroy(ix);
	free(text);
}

static void hostile_indexes_are_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned at;
	} cases[] = {
		{ "", 0 },
		{ "[]", 0 },
		{ "{}", 0 },
		{ "{\"weight_map\":{}}", 0 },
		{ "{\"weight_map\":[]}", 14 },
		{ "{\"weight_map\":null}", 14 },
		{ "{\"weight_map\":{\"a\":1}}", 16 },
		{ "{\"weight_map\":{\"a\":[{}],\"b\":null}}", 16 },
		{ "{\"weight_map\":{\"a\":[1}}", 21 },
		{ "{\"weight_map\":{\"a\":\"f\",\"b\":}}", 27 },
		{ "{\"weight_map\":{\"a\":\"\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\".\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"..\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"../x\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"x\\/y\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"x\\\\y\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"x\\u0000\"}}", 20 },
		{ "{\"weight_map\":{\"a\":\"f\"},\"weight_map\":{\"b\":\"f\"}}", 25 },
		{ "{\"weight_map\":{\"a\":\"f\"}} x", 25 },
		{ "{\"weight_map\":{\"a\":\"f\"}", 23 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		struct tfs_index *ix;

		if (read_text(cases[i].text, &ix, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i].text);
		if (err.offset != cases[i].at)
			fail_msg("%s: at %llu, not %u", cases[i].text, (unsigned long long)err.offset, cases[i].at);
	}
}

/* Where there is a sound row. */
static void bad_rows_take_no_others_down(void **state)
{
	static const struct {
		const char *row; /* between two sound ones */
		const char *what;
		bool listed; /* the name is, without a file */
	} cases[] = {
		{ "\"b\":1", "\"b\" isn't mapped to a file name", false },
		{ "\"b\":{\"x\":[null]}", "\"b\" isn't mapped to a file name", false },
		{ "\"b\":\"\"", "\"\" isn't a shard's name: it is empty", true },
		{ "\"b\":\"./f\"", "\"./f\" isn't a shard's name: it contains a path separator", true },
		{ "\"b\":\"..\"", "\"..\" isn't a shard's name", true },
		{ "\"b\":\"x\\u0000\"", "\"x\\x00\" isn't a shard's name: it contains a NUL", true },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		struct tfs_index *ix;
		char text[200];

		snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"f\",%s,\"c\":\"g\"}}", cases[i].row);
		assert_int_equal(read_text(text, &ix, &err), 0);
		assert_int_equal(ix->n_entries, 2 + cases[i].listed);
		assert_string_equal(ix->entries[0].name, "a");
		assert_string_equal(ix->files[ix->entries[0].file], "f");
		assert_string_equal(ix->entries[1 + cases[i].listed].name, "c");
		assert_string_equal(ix->files[ix->entries[1 + cases[i].listed].file], "g");
		if (cases[i].listed)
			assert_int_equal(ix->entries[1].file, TFS_INDEX_NO_FILE);
		assert_int_equal(ix->n_bad, 1);
		assert_string_equal(ix->bad.what, cases[i].what);
		assert_in_range(ix->bad.offset, 24, 29);
		tfs_index_destroy(ix);
	}
}

/* As Python's json.load() has it. */
static void of_two_rows_the_last_counts(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	(void)state;
	assert_int_equal(read_text("{\"weight_map\":{\"a\":\"f\",\"b\":\"f\",\"a\":\"g\",\"\\u0061\":\"h\"}}", &ix, &err), 0);
	assert_int_equal(ix->n_entries, 2);
	assert_string_equal(ix->entries[0].name, "a");
	assert_string_equal(ix->files[ix->entries[0].file], "h");
	assert_string_equal(ix->files[ix->entries[1].file], "f");
	assert_int_equal(ix->n_bad, 2);
	assert_string_equal(ix->bad.what, "\"a\" is listed twice: the last row is used");
	assert_int_equal(ix->bad.offset, 32);
	tfs_index_destroy(ix);
}

/* What struct tfs_format.indexed does. */
static char *shorter(char *name, size_t *len)
{
	char *slash = memchr(name, '/', *len);

	if (!slash)
		return name;
	*len -= slash + 1 - name;
	return slash + 1;
}

static void names_can_be_those_of_the_format(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	(void)state;
	assert_int_equal(read_text("{\"weight_map\":{\"m/b\":\"1\",\"a\":\"2\",\"m/c\":\"3\",\"n/b\":\"4\"}}", &ix, &err), 0);
	assert_int_equal(tfs_index_rename(ix, shorter), 0);
	assert_int_equal(ix->n_entries, 3);
	assert_string_equal(ix->entries[0].name, "a");
	assert_string_equal(ix->entries[1].name, "b");
	assert_int_equal(ix->entries[1].name_len, 1);
	assert_string_equal(ix->files[ix->entries[1].file], "4");
	assert_string_equal(ix->entries[2].name, "c");
	assert_int_equal(ix->n_bad, 1);
	tfs_index_destroy(ix);
}

static void limits_hold(void **state)
{
	char *text = malloc(20000 * 40), *p = text;
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	(void)state;
	if (!text)
		abort();
	assert_int_equal(tfs_index_read(input_of(-1, (uint64_t)TFS_INDEX_MAX_SIZE + 1), &ix, &err), -EFBIG);
	p += sprintf(p, "{\"weight_map\":{");
	for (int i = 0; i < 10001; i++)
		p += sprintf(p, "%s\"%d\":\"%d\"", i ? "," : "", i, i);
	sprintf(p, "}}");
	assert_int_equal(read_text(text, &ix, &err), -EINVAL);
	p = text + sprintf(text, "{\"weight_map\":{\"a\":\"");
	memset(p, 'x', 255);
	strcpy(p + 255, "\"}}");
	assert_int_equal(read_text(text, &ix, &err), 0);
	tfs_index_destroy(ix);
	strcpy(p + 255, "x\"}}");
	assert_int_equal(read_text(text, &ix, &err), -EINVAL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_are_claimed),	    cmocka_unit_test(entries_are_sorted_and_files_shared),
		cmocka_unit_test(total_size_may_be_anything),	    cmocka_unit_test(many_files_are_told_apart),
		cmocka_unit_test(hostile_indexes_are_refused),	    cmocka_unit_test(bad_rows_take_no_others_down),
		cmocka_unit_test(of_two_rows_the_last_counts),	    cmocka_unit_test(limits_hold),
		cmocka_unit_test(names_can_be_those_of_the_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
