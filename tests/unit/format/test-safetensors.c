/* SPDX-License-Identifier: MIT */
/* The parser on its own. Hostile files by the dozen are in tests/reject. */
#include "support/catalog-helpers.h"

#include <errno.h>

#include "format/format.h"

/* Parse a file of @header and @data bytes of data into *@ret, which is NULL on failure. */
static int parse(const char *header, size_t len, size_t data, struct tfs_catalog **ret, struct tfs_error *err)
{
	size_t size;
	char *file = make_safetensors(header, len, data, &size);
	int fd = memory_file(file, size), rc;

	*ret = tfs_catalog_create();
	rc = tfs_format_safetensors.parse(input_of(fd, size), "model.safetensors", *ret, err);
	if (rc) {
		tfs_catalog_destroy(*ret);
		*ret = NULL;
	}
	close(fd);
	free(file);
	return rc;
}

static void file_names_are_claimed(void **state)
{
	(void)state;
	assert_ptr_equal(tfs_format_for("model.safetensors"), &tfs_format_safetensors);
	assert_ptr_equal(tfs_format_for("a-00001-of-00002.safetensors"), &tfs_format_safetensors);
	assert_null(tfs_format_for(".safetensors"));
	assert_null(tfs_format_for("model.safetensors.index.json"));
	assert_null(tfs_format_for("safetensors"));
	assert_ptr_equal(tfs_format_for("model.SAFETENSORS"), &tfs_format_safetensors);
	assert_ptr_equal(tfs_format_for("ae.sft"), &tfs_format_safetensors);
	assert_null(tfs_format_for(""));
	assert_ptr_equal(tfs_format_at(0), &tfs_format_safetensors);
	assert_null(tfs_format_at(1000));
}

static void tensors_are_found(void **state)
{
	static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
				     "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
				     "\"a\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\",\"extra\":[{\"x\":1.5}]},"
				     "\"zero\":{\"dtype\":\"U8\",\"shape\":[3,0],\"data_offsets\":[16,16]}}   ";
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	assert_int_equal(parse(header, strlen(header), 16, &c, &err), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 3);
	assert_string_equal(t[0].name, "a");
	assert_string_equal(t[0].dtype->name, "F32");
	assert_int_equal(t[0].ndim, 0);
	assert_int_equal(t[0].offset, 8 + strlen(header));
	assert_int_equal(t[0].nbytes, 4);
	assert_string_equal(t[1].name, "b");
	assert_int_equal(t[1].ndim, 2);
	assert_int_equal(t[1].shape[0], 2);
	assert_int_equal(t[1].shape[1], 3);
	assert_int_equal(t[1].offset, 8 + strlen(header) + 4);
	assert_string_equal(t[2].name, "zero");
	assert_int_equal(t[2].nbytes, 0);
	tfs_catalog_destroy(c);
}

static void metadata_is_kept(void **state)
{
	static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
				     "\"__metadata__\":{\"z\":\"first\",\"\":\"\",\"k\\u0000\":\"a\\u0000b\\n\",\"z\":\"second\","
				     "\"json\":\"{\\\"x\\\":1}\",\"z\":\"last\"}}";
	static const struct {
		const char *key, *value;
		uint32_t key_len, value_len;
	} want[] = { { "", "", 0, 0 }, { "k\0", "a\0b\n", 2, 4 }, { "json", "{\"x\":1}", 4, 7 }, { "z", "last", 1, 4 } };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	size_t n;

	(void)state;
	assert_int_equal(parse(header, strlen(header), 1, &c, &err), 0);
	const struct tfs_metadata *m = tfs_catalog_metadata(c, &n);
	assert_int_equal(n, LENGTH(want)); /* of a duplicate key the last one */
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(m[i].key_len, want[i].key_len);
		assert_int_equal(m[i].value_len, want[i].value_len);
		assert_memory_equal(m[i].key, want[i].key, want[i].key_len + 1);
		assert_memory_equal(m[i].value, want[i].value, want[i].value_len + 1);
	}
	tfs_catalog_destroy(c);
}

static void any_utf8_is_a_name(void **state)
{
	char header[20000], *p = header, name[5001];
	static const char *const names[] = { "\\u0000", "a\\u0000b", "/", "a/b", ".", "..", "", "\\n\\u001b", "\xf0\x9f\xa4\x97" };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	*p++ = '{';
	for (size_t i = 0; i <= LENGTH(names); i++)
		p += sprintf(p, "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}", i ? "," : "",
			     i < LENGTH(names) ? names[i] : name, i, i + 1);
	*p++ = '}';
	assert_int_equal(parse(header, (size_t)(p - header), LENGTH(names) + 1, &c, &err), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, LENGTH(names) + 1);
	assert_int_equal(t[0].name_len, 0);
	assert_int_equal(t[1].name_len, 1);
	assert_memory_equal(t[1].name, "\0", 2);
	tfs_catalog_destroy(c);
}

static void no_tensors_are_a_sound_file(void **state)
{
	static const char *const headers[] = { "{}", "  {}  \n", "{\"__metadata__\":{}}", "{\"__metadata__\":null}" };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	size_t n;

	(void)state;
	for (size_t i = 0; i < LENGTH(headers); i++) {
		assert_int_equal(parse(headers[i], strlen(headers[i]), 0, &c, &err), 0);
		tfs_catalog_tensors(c, &n);
		assert_int_equal(n, 0);
		tfs_catalog_metadata(c, &n);
		assert_int_equal(n, 0);
		tfs_catalog_destroy(c);
	}
}

/* An odd dtype is what it says, as far as it can be shown; its bytes are where its offsets say. */
static void unknown_dtypes_are_shown_raw(void **state)
{
	static const struct {
		const char *dtype, *shown;
	} cases[] = {
		{ "F8_E4M3B11", "UNKNOWN(F8_E4M3B11)" },
		{ "f32", "UNKNOWN(f32)" },
		{ "Q4_0", "UNKNOWN(Q4_0)" }, /* ggml's name is not safetensors' */
		{ "", "UNKNOWN()" },
		{ "a\\u0000b\\n\\\"", "UNKNOWN(a\\x00b\\x0a\\\")" },
		{ "\xc3\xa9", "UNKNOWN(\xc3\xa9)" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		const struct tfs_note *notes;
		struct tfs_catalog *c;
		struct tfs_tensor *t;
		char header[300], what[300];
		size_t n, more;

		n = (size_t)snprintf(header, sizeof header,
				     "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
				     "\"t\":{\"dtype\":\"%s\",\"shape\":[2,3],\"data_offsets\":[4,9]},"
				     "\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9,10]}}",
				     cases[i].dtype);
		assert_int_equal(parse(header, n, 10, &c, &err), 0);
		t = tfs_catalog_tensors(c, &n);
		assert_int_equal(n, 3);
		assert_string_equal(t[1].dtype->name, cases[i].shown);
		assert_null(t[1].dtype->npy);
		assert_int_equal(t[1].offset, t[0].offset + 4);
		assert_int_equal(t[1].nbytes, 5);
		assert_int_equal(t[1].ndim, 2);
		assert_string_equal(t[2].dtype->name, "U8");
		snprintf(what, sizeof what,
			 "tensor \"t\": unknown dtype: its 5 bytes are shown raw, as %s; the safetensors library refuses the "
			 "whole file",
			 cases[i].shown);
		notes = tfs_catalog_notes(c, &n, &more);
		assert_int_equal(n, 1);
		assert_string_equal(notes[0].text, what);
		assert_int_equal(notes[0].offset, 8 + (strstr(header, "\"t\"") - header) + 1);
		tfs_catalog_destroy(c);
	}
}

static void a_tensor_of_many_dimensions_is_left_out(void **state)
{
	char header[1000] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"t\":{\"dtype\":\"U8\",\"shape\":[2";
	const char *const *names;
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct tfs_tensor *t;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < TFS_MAX_DIMS; i++)
		strcat(header, ",1");
	strcat(header, "],\"data_offsets\":[2,4]},\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}");
	assert_int_equal(parse(header, strlen(header), 6, &c, &err), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 2);
	assert_string_equal(t[1].name, "u");
	assert_int_equal(t[1].offset, 8 + strlen(header) + 4);
	names = tfs_catalog_left_out(c, &n);
	assert_int_equal(n, 1);
	assert_string_equal(names[0], "t");
	assert_noted(c, "tensor \"t\" left out: 65 dimensions; the limit is 64");
	tfs_catalog_destroy(c);
	/* Its size has to be right all the same. */
	memcpy(strstr(header, "[2,1"), "[3,1", 4);
	assert_int_equal(parse(header, strlen(header), 6, &c, &err), -EINVAL);
	assert_string_equal(err.what, "tensor \"t\": dtype U8 and the shape make 3 bytes, data_offsets 2");
}

static void errors_say_where_and_what(void **state)
{
	static const struct {
		const char *header;
		size_t data;
		unsigned at;
		const char *what;
	} cases[] = {
		{ "{\"t\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[4,8]}}", 8, 10,
		  "tensor \"t\": data_offsets begin at 4, but the tensor before it ends at 0" },
		{ "{\"t\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[0,4]}}", 8, 63,
		  "the file has 67 bytes, its header and its tensors only 63" },
		{ "{\"t\":{\"dtype\":\"X\",\"shape\":[],\"data_offsets\":[0,18446744073709551615]}}", 8, 86,
		  "truncated: the file has 86 of 18446744073709551615 bytes; is the download complete?" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, 10,
		  "tensor \"t\": dtype F32 and the shape make 8 bytes, data_offsets 4" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, 10,
		  "tensor \"t\": data_offsets begin at 4, but the tensor before it ends at 0" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, 66,
		  "the file has 70 bytes, its header and its tensors only 66" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, 65,
		  "truncated: the file has 65 of 66 bytes; is the download complete?" },
		{ "{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, 10, "tensor \"t\": dtype is missing" },
		{ "{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, 10, "tensor \"t\": duplicate dtype" },
		{ "{\"__metadata__\":{},\"__metadata__\":{}}", 0, 28, "duplicate __metadata__" },
		{ "{\"__metadata__\":{\"k\":1}}", 0, 29, "JSON: found '1', expected a string" },
		{ "{\"t\\n\\\"\":{}}", 0, 10, "tensor \"t\\x0a\\\"\": dtype is missing" },
		{ "{\"t\":1}", 0, 13, "JSON: found '1', expected an object" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		struct tfs_catalog *c;

		assert_int_equal(parse(cases[i].header, strlen(cases[i].header), cases[i].data, &c, &err), -EINVAL);
		assert_string_equal(err.what, cases[i].what);
		assert_int_equal(err.offset, cases[i].at);
	}
}

static void a_long_name_does_not_hide_the_cause(void **state)
{
	char header[2100] = "{\"", *p = header + 2;
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;

	(void)state;
	memset(p, 'x', 2000);
	strcpy(p + 2000, "\":{}}");
	assert_int_equal(parse(header, strlen(header), 0, &c, &err), -EINVAL);
	assert_non_null(strstr(err.what, "xxx...\": dtype is missing"));
}

static void a_file_that_shrinks_is_an_error(void **state)
{
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	size_t size;
	char *file = make_safetensors("{}      ", 8, 0, &size);
	int fd = memory_file(file, size - 4);

	(void)state;
	/* The size was asked before it was cut. */
	assert_int_equal(tfs_format_safetensors.parse(input_of(fd, size), "model.safetensors", c, &err), -EIO);
	assert_int_equal(err.offset, size - 4);
	close(fd);
	free(file);
	tfs_catalog_destroy(c);
}

static void placeholders_are_called_by_name(void **state)
{
	static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
	struct tfs_error err = { 0 };
	int fd = memory_file(pointer, strlen(pointer));

	(void)state;
	assert_int_equal(tfs_sniff_present(input_of(fd, strlen(pointer)), &err), -EINVAL);
	assert_string_equal(err.what, "is a Git LFS pointer, not weights: run `git lfs pull`");
	assert_int_equal(tfs_sniff_present(input_of(fd, 0), &err), -EINVAL);
	assert_non_null(strstr(err.what, "zero bytes"));
	assert_int_equal(tfs_sniff_present(input_of(fd, 10), &err), 0);
	close(fd);
	fd = memory_file("something else, and longer than that", 36);
	assert_int_equal(tfs_sniff_present(input_of(fd, 36), &err), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_are_claimed),
		cmocka_unit_test(tensors_are_found),
		cmocka_unit_test(metadata_is_kept),
		cmocka_unit_test(any_utf8_is_a_name),
		cmocka_unit_test(no_tensors_are_a_sound_file),
		cmocka_unit_test(unknown_dtypes_are_shown_raw),
		cmocka_unit_test(a_tensor_of_many_dimensions_is_left_out),
		cmocka_unit_test(errors_say_where_and_what),
		cmocka_unit_test(a_long_name_does_not_hide_the_cause),
		cmocka_unit_test(a_file_that_shrinks_is_an_error),
		cmocka_unit_test(placeholders_are_called_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
