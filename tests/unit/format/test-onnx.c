/* SPDX-License-Identifier: MIT */
/* The ONNX parser: how tensors are packed, and what is said of bad ones. Whole models are in tests/e2e and tests/reject. */
#include "support/catalog-helpers.h"

#include <errno.h>

#include "format/format.h"

/* A message that is being written. */
struct out {
	size_t n, room;
	uint8_t *data;
};

static void put(struct out *o, const void *data, size_t len)
{
	if (o->n + len > o->room) {
		o->room = 2 * (o->n + len);
		o->data = realloc(o->data, o->room);
		assert_non_null(o->data);
	}
	if (len)
		memcpy(o->data + o->n, data, len);
	o->n += len;
}

static void put_varint(struct out *o, uint64_t v)
{
	do {
		uint8_t byte = (v & 0x7f) | (v > 0x7f ? 0x80 : 0);

		put(o, &byte, 1);
		v >>= 7;
	} while (v);
}

static void put_number(struct out *o, unsigned field, uint64_t v)
{
	put_varint(o, field << 3);
	put_varint(o, v);
}

static void put_bytes(struct out *o, unsigned field, const void *data, size_t len)
{
	put_varint(o, field << 3 | 2);
	put_varint(o, len);
	put(o, data, len);
}

/* @inner as a field of @o; it is freed. */
static void put_message(struct out *o, unsigned field, struct out inner)
{
	put_bytes(o, field, inner.data, inner.n);
	free(inner.data);
}

enum { FLOAT = 1, INT32 = 6, INT64 = 7, STRING = 8, COMPLEX64 = 14, UINT4 = 21 };

/* A tensor's name, type and one dimension. */
static struct out tensor(const char *name, uint64_t type, uint64_t dim)
{
	struct out t = { 0 };

	put_bytes(&t, 8, name, strlen(name));
	put_number(&t, 2, type);
	put_number(&t, 1, dim);
	return t;
}

/* Parse a model with this one initializer, which is freed. */
static int parse(struct out t, struct tfs_catalog **ret, struct tfs_error *err)
{
	struct out graph = { 0 }, model = { 0 };
	int fd, rc;

	put_message(&graph, 5, t);
	put_message(&model, 7, graph);
	fd = memory_file(model.data, model.n);
	*ret = tfs_catalog_create();
	rc = tfs_format_onnx.parse(input_of(fd, model.n), "model.onnx", *ret, err);
	if (rc) {
		tfs_catalog_destroy(*ret);
		*ret = NULL;
	}
	close(fd);
	free(model.data);
	return rc;
}

static const struct tfs_tensor *only_tensor(struct tfs_catalog *c)
{
	size_t n;
	struct tfs_tensor *t = tfs_catalog_tensors(c, &n);

	assert_int_equal(n, 1);
	return t;
}

static void file_names_are_claimed(void **state)
{
	(void)state;
	assert_ptr_equal(tfs_format_for("model.onnx"), &tfs_format_onnx);
	assert_null(tfs_format_for(".onnx"));
	assert_null(tfs_format_for("model.onnx.data"));
	assert_null(tfs_format_for("model.onnx_data"));
}

static void plain_where_it_can_be(void **state)
{
	static const uint8_t bytes[12];
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_tensor *t;
	unsigned fields[] = { 9, 4 }; /* raw_data, float_data */

	(void)state;
	for (size_t i = 0; i < LENGTH(fields); i++) {
		struct out o = tensor("t", FLOAT, 3);

		put_bytes(&o, fields[i], bytes, sizeof bytes);
		assert_int_equal(parse(o, &c, &err), 0);
		t = only_tensor(c);
		assert_null(t->encoding);
		assert_string_equal(t->dtype->name, "F32");
		assert_int_equal(t->nbytes, 12);
		assert_int_equal(t->offset, 4 + 3 + 2 + 2 + 2); /* graph, tensor, name, type, dims, tag and length */
		tfs_catalog_destroy(c);
	}
}

static void pieces_are_runs(void **state)
{
	static const uint8_t bytes[16];
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_encoding *p;
	struct out o = tensor("t", COMPLEX64, 4);

	(void)state;
	put_bytes(&o, 4, bytes, 4);
	put_bytes(&o, 4, bytes, 0); /* none */
	put_bytes(&o, 4, bytes, 16);
	put_bytes(&o, 4, bytes, 12);
	assert_int_equal(parse(o, &c, &err), 0);
	p = only_tensor(c)->encoding;
	assert_non_null(p);
	assert_int_equal(p->coding, TFS_STORED);
	assert_null(p->strides);
	assert_int_equal(p->n_segments, 3);
	assert_int_equal(p->segments[0].at, 0);
	assert_int_equal(p->segments[0].offset, only_tensor(c)->offset);
	assert_int_equal(p->segments[1].at, 4);
	assert_int_equal(p->segments[1].offset, p->segments[0].offset + 4 + 2 + 2);
	assert_int_equal(p->segments[2].at, 20);
	assert_int_equal(p->length, p->segments[2].offset + 12 - p->segments[0].offset);
	tfs_catalog_destroy(c);
}

static void numbers_with_tags_are_strides(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_encoding *p;
	struct out o = tensor("t", FLOAT, 3);

	(void)state;
	put_number(&o, 1, 2);
	for (int i = 0; i < 6; i++) {
		put_varint(&o, 4 << 3 | 5);
		put(&o, "\0\0\0", 4);
	}
	assert_int_equal(parse(o, &c, &err), 0);
	p = only_tensor(c)->encoding;
	assert_non_null(p);
	assert_int_equal(p->coding, TFS_STORED);
	assert_int_equal(p->n_segments, 0);
	assert_int_equal(p->strides[0], 10);
	assert_int_equal(p->strides[1], 5);
	assert_int_equal(p->length, 5 * 5 + 4);
	assert_int_equal(only_tensor(c)->nbytes, 24);
	tfs_catalog_destroy(c);
}

/* Decoding may begin every 64 Ki values, and in each piece. */
static void varints_have_places_to_begin(void **state)
{
	enum { N = 200000 };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_encoding *p;
	struct out o = tensor("t", INT32, N + 1), values = { 0 };
	uint64_t at[5] = { 0 };

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		if (i % 65536 == 0)
			at[i / 65536] = values.n;
		put_varint(&values, i % 3 ? i : (uint64_t) - (int64_t)i);
	}
	put_message(&o, 5, values);
	put_number(&o, 5, 7); /* one more, by itself */
	assert_int_equal(parse(o, &c, &err), 0);
	assert_int_equal(only_tensor(c)->nbytes, 4 * (N + 1));
	p = only_tensor(c)->encoding;
	assert_non_null(p);
	assert_int_equal(p->coding, TFS_VARINT);
	assert_int_equal(p->width, 4);
	assert_int_equal(p->n_segments, 5);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(p->segments[i].at, i * 65536 * 4);
		assert_int_equal(p->segments[i].offset, only_tensor(c)->offset + at[i]);
	}
	assert_int_equal(p->segments[4].at, N * 4);
	assert_int_equal(p->length, p->segments[4].offset + 1 - p->segments[0].offset);
	tfs_catalog_destroy(c);
}

static void strings_are_noted(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct out o = tensor("words", STRING, 1);
	size_t n;

	(void)state;
	put_bytes(&o, 6, "word", 4);
	assert_int_equal(parse(o, &c, &err), 0);
	tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 0);
	assert_noted(c, "1 tensor of strings left out, the first is \"words\"");
	tfs_catalog_destroy(c);
}

static void put_entry(struct out *o, const char *key, const char *value)
{
	struct out entry = { 0 };

	put_bytes(&entry, 1, key, strlen(key));
	put_bytes(&entry, 2, value, strlen(value));
	put_message(o, 13, entry);
}

static void external_data_are_located(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const char *const *locations;
	struct out o = tensor("t", UINT4, 7);
	size_t n;

	(void)state;
	put_entry(&o, "offset", "4096");
	put_entry(&o, "location", "a/b.data");
	put_entry(&o, "length", "4");
	put_entry(&o, "something else", "?");
	put_number(&o, 14, 1);
	assert_int_equal(parse(o, &c, &err), 0);
	assert_int_equal(only_tensor(c)->offset, 4096);
	assert_int_equal(only_tensor(c)->nbytes, 4);
	assert_int_equal(only_tensor(c)->source, 1);
	locations = tfs_catalog_locations(c, &n);
	assert_int_equal(n, 1);
	assert_string_equal(locations[0], "a/b.data");
	tfs_catalog_destroy(c);
}

static void what_cannot_be_read_is_left_out(void **state)
{
	static const uint8_t bytes[8];
	static const struct {
		uint64_t type, dim;
		unsigned field;
		size_t len;
		unsigned at;
		const char *what;
	} cases[] = {
		{ FLOAT, 1, 9, 8, 11, "dtype F32 and the dimensions require 4 bytes, raw_data has 8" },
		{ FLOAT, 1, 0, 0, 2, "dtype F32 and the dimensions require 4 bytes, 0 values make 0" },
		{ FLOAT, 1, 4, 8, 2, "dtype F32 and the dimensions require 4 bytes, 2 values make 8" },
		{ FLOAT, 2, 10, 8, 11, "F32 in double_data instead of float_data" },
		{ FLOAT, (uint64_t)-2, 9, 8, 9, "a negative dimension, -2" },
		{ INT64, 1ull << 62, 9, 8, 2, "the shape has more than 2^64-1 bits" },
		{ 99, 2, 9, 8, 2, "unknown data type 99" },
		{ 0, 2, 9, 8, 2, "unknown data type 0" },
		{ FLOAT, 2, 3, 8, 11, "a segment of a tensor, which isn't supported" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		struct tfs_catalog *c;
		struct out o = tensor("t", cases[i].type, cases[i].dim);
		const struct tfs_note *notes;
		const char *const *names;
		char what[200];
		size_t n, more;

		if (cases[i].field)
			put_bytes(&o, cases[i].field, bytes, cases[i].len);
		assert_int_equal(parse(o, &c, &err), 0);
		tfs_catalog_tensors(c, &n);
		assert_int_equal(n, 0);
		names = tfs_catalog_left_out(c, &n);
		assert_int_equal(n, 1);
		assert_string_equal(names[0], "t");
		notes = tfs_catalog_notes(c, &n, &more);
		assert_int_equal(n, 1);
		snprintf(what, sizeof what, "tensor \"t\" left out: %s", cases[i].what);
		assert_string_equal(notes[0].text, what);
		assert_int_equal(notes[0].offset, cases[i].at);
		tfs_catalog_destroy(c);
	}
}

/* Where the name comes after what is wrong with it, and others are around it. */
static void the_others_are_none_the_worse(void **state)
{
	static const uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct out odd = { 0 }, graph = { 0 }, model = { 0 }, t;
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { 0 };
	const struct tfs_tensor *all;
	size_t n;
	int fd;

	(void)state;
	t = tensor("before", FLOAT, 1);
	put_bytes(&t, 9, bytes, sizeof bytes);
	put_message(&graph, 5, t);
	put_bytes(&odd, 3, bytes, 0);
	put_number(&odd, 2, 77);
	put_bytes(&odd, 9, bytes, sizeof bytes);
	put_bytes(&odd, 8, "odd", 3);
	put_message(&graph, 5, odd);
	t = tensor("after", FLOAT, 1);
	put_bytes(&t, 9, bytes, sizeof bytes);
	put_message(&graph, 5, t);
	put_message(&model, 7, graph);
	fd = memory_file(model.data, model.n);
	assert_int_equal(tfs_format_onnx.parse(input_of(fd, model.n), "model.onnx", c, &err), 0);
	all = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 2);
	assert_string_equal(all[0].name, "after");
	assert_int_equal(all[0].offset, model.n - sizeof bytes);
	assert_string_equal(all[1].name, "before");
	assert_noted(c, "tensor \"odd\" left out: a segment of a tensor, which isn't supported");
	close(fd);
	free(model.data);
	tfs_catalog_destroy(c);
}

static void errors_say_where_and_what(void **state)
{
	static const uint8_t bytes[8];
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct out o = tensor("t", FLOAT, 1);

	(void)state;
	put_bytes(&o, 4, bytes, 7);
	assert_int_equal(parse(o, &c, &err), -EINVAL);
	assert_string_equal(err.what, "field 4: 7 bytes aren't a multiple of 4");
	assert_int_equal(err.offset, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_are_claimed),
		cmocka_unit_test(plain_where_it_can_be),
		cmocka_unit_test(pieces_are_runs),
		cmocka_unit_test(numbers_with_tags_are_strides),
		cmocka_unit_test(varints_have_places_to_begin),
		cmocka_unit_test(strings_are_noted),
		cmocka_unit_test(external_data_are_located),
		cmocka_unit_test(what_cannot_be_read_is_left_out),
		cmocka_unit_test(the_others_are_none_the_worse),
		cmocka_unit_test(errors_say_where_and_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
