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

/* --- Codes: what operators say of tensors ------------------------------------------------------------------------------- */

static void put_string(struct out *o, unsigned field, const char *text)
{
	put_bytes(o, field, text, strlen(text));
}

static void put_integer(struct out *node, const char *name, uint64_t value)
{
	struct out a = { 0 };

	put_string(&a, 1, name);
	if (value)
		put_number(&a, 3, value);
	put_message(node, 5, a);
}

/* Of up to four inputs, the first NULL ends them. */
static struct out operator_of(const char *type, const char *domain, const char *const inputs[4])
{
	struct out node = { 0 };

	for (unsigned i = 0; i < 4 && inputs[i]; i++)
		put_string(&node, 1, inputs[i]);
	put_string(&node, 2, "y");
	put_string(&node, 4, type);
	if (*domain)
		put_string(&node, 7, domain);
	return node;
}

static struct out dequantize(const char *x, const char *scale, const char *zero)
{
	return operator_of("DequantizeLinear", "", (const char *const[4]){ x, scale, zero });
}

static void put_tensor(struct out *graph, const char *name, uint64_t type, uint64_t dim, size_t len)
{
	static const uint8_t bytes[64];
	struct out t = tensor(name, type, dim);

	put_bytes(&t, 9, bytes, len);
	put_message(graph, 5, t);
}

/* The graph as a model's, which is freed, and what comes after it in the model. */
static int parse_graph(struct out graph, struct out after, struct tfs_catalog **ret, struct tfs_error *err)
{
	struct out model = { 0 };
	int fd, rc;

	put_message(&model, 7, graph);
	put(&model, after.data, after.n);
	free(after.data);
	fd = memory_file(model.data, model.n);
	*ret = tfs_catalog_create();
	rc = tfs_format_onnx.parse(input_of(fd, model.n), "model.onnx", *ret, err);
	close(fd);
	free(model.data);
	return rc;
}

static const struct tfs_recipe *recipes(struct tfs_catalog *c, size_t n)
{
	size_t have;
	const struct tfs_recipe *r = tfs_catalog_recipes(c, &have);

	assert_int_equal(have, n);
	return r;
}

static void operators_name_their_codes(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_recipe *r;
	struct out graph = { 0 }, node;

	(void)state;
	node = dequantize("w", "s", "z");
	put_integer(&node, "axis", (uint64_t)-1);
	put_integer(&node, "block_size", 16);
	put_integer(&node, "output_dtype", 1);
	put_message(&graph, 1, node);
	node = operator_of("MatMulNBits", "com.microsoft", (const char *const[4]){ "x", "b", "s" });
	put_integer(&node, "K", 32);
	put_integer(&node, "N", 3);
	put_integer(&node, "block_size", 64);
	put_message(&graph, 1, node);
	put_message(&graph, 1, operator_of("GatherBlockQuantized", "com.microsoft", (const char *const[4]){ "g", "x", "s", "" }));
	put_message(&graph, 1, dequantize("x", "s", NULL)); /* x is no tensor */
	put_tensor(&graph, "z", 3, 2, 2);
	put_tensor(&graph, "b", 2, 2, 2);
	put_tensor(&graph, "w", 3, 2, 2);
	put_tensor(&graph, "g", 2, 2, 2);
	put_tensor(&graph, "s", FLOAT, 1, 4);
	assert_int_equal(parse_graph(graph, (struct out){ 0 }, &c, &err), 0);
	assert_int_equal(tfs_catalog_sort(c), 0);
	r = recipes(c, 3);
	assert_string_equal(r[0].parts[TFS_RECIPE_CODES].name, "b");
	assert_int_equal(r[0].kind, TFS_RECIPE_NBITS);
	assert_string_equal(r[0].parts[TFS_RECIPE_SCALES].name, "s");
	assert_null(r[0].parts[TFS_RECIPE_ZEROS].name);
	assert_int_equal(r[0].args[TFS_RECIPE_K], 32);
	assert_int_equal(r[0].args[TFS_RECIPE_N], 3);
	assert_int_equal(r[0].args[TFS_RECIPE_BLOCK], 64);
	assert_int_equal(r[0].args[TFS_RECIPE_BITS], 4);
	assert_string_equal(r[1].parts[TFS_RECIPE_CODES].name, "g");
	assert_int_equal(r[1].kind, TFS_RECIPE_GATHER);
	assert_int_equal(r[1].args[TFS_RECIPE_AXIS], 1);
	assert_int_equal(r[1].args[TFS_RECIPE_BLOCK], 128);
	assert_null(r[1].parts[TFS_RECIPE_ZEROS].name);
	assert_string_equal(r[2].parts[TFS_RECIPE_CODES].name, "w");
	assert_string_equal(r[2].op, "DequantizeLinear");
	assert_int_equal(r[2].parts[TFS_RECIPE_CODES].len, 1);
	assert_string_equal(r[2].parts[TFS_RECIPE_ZEROS].name, "z");
	assert_int_equal(r[2].args[TFS_RECIPE_AXIS], 0);
	assert_int_equal(r[2].args[TFS_RECIPE_BLOCK], 16);
	for (int i = 0; i < 3; i++)
		assert_null(r[i].wrong);
	tfs_catalog_destroy(c);
}

static void one_recipe_for_a_tensor(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_recipe *r;
	struct out graph = { 0 }, node;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_message(&graph, 1, dequantize("same", "s", NULL));
	put_message(&graph, 1, dequantize("two", "s", NULL));
	put_message(&graph, 1, dequantize("two", "t", NULL));
	put_message(&graph, 1, dequantize("none", "gone", NULL));
	put_message(&graph, 1, dequantize("zero", "s", "gone"));
	/* One scale for all: whatever axis. */
	put_message(&graph, 1, dequantize("one", "s", NULL));
	node = dequantize("one", "s", NULL);
	put_integer(&node, "axis", 0);
	put_message(&graph, 1, node);
	put_tensor(&graph, "none", 3, 2, 2);
	put_tensor(&graph, "one", 3, 2, 2);
	put_tensor(&graph, "s", FLOAT, 1, 4);
	put_tensor(&graph, "same", 3, 2, 2);
	put_tensor(&graph, "t", FLOAT, 1, 4);
	put_tensor(&graph, "two", 3, 2, 2);
	put_tensor(&graph, "zero", 3, 2, 2);
	assert_int_equal(parse_graph(graph, (struct out){ 0 }, &c, &err), 0);
	r = recipes(c, 5);
	assert_string_equal(r[0].parts[TFS_RECIPE_CODES].name, "none");
	assert_non_null(strstr(r[0].wrong, "scales aren't a tensor of the model"));
	assert_string_equal(r[1].parts[TFS_RECIPE_CODES].name, "one");
	assert_null(r[1].wrong);
	assert_string_equal(r[2].parts[TFS_RECIPE_CODES].name, "same");
	assert_null(r[2].wrong);
	assert_string_equal(r[3].parts[TFS_RECIPE_CODES].name, "two");
	assert_string_equal(r[3].wrong, "two operators make different values of it");
	assert_non_null(strstr(r[4].wrong, "zero points aren't a tensor of the model"));
	tfs_catalog_destroy(c);
}

/* A name is that of the innermost graph that has it; a function knows its own only. */
static void names_are_of_their_graph(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_recipe *r;
	struct out graph = { 0 }, inner = { 0 }, attribute = { 0 }, node = { 0 }, function = { 0 }, after = { 0 };

	(void)state;
	put_message(&inner, 1, dequantize("w", "s", NULL));
	put_message(&inner, 1, dequantize("outer", "s", NULL));
	put_message(&inner, 1, dequantize("inner", "outer-s", NULL));
	put_tensor(&inner, "inner", 3, 2, 2);
	put_tensor(&inner, "s", FLOAT, 1, 4);
	put_message(&attribute, 6, inner);
	put_message(&node, 5, attribute);
	put_message(&graph, 1, node);
	put_tensor(&graph, "outer", 3, 2, 2);
	put_tensor(&graph, "outer-s", FLOAT, 1, 4);
	put_tensor(&graph, "s", FLOAT, 1, 4);
	put_message(&function, 7, dequantize("outer", "outer-s", NULL));
	put_message(&after, 25, function);
	assert_int_equal(parse_graph(graph, after, &c, &err), 0);
	r = recipes(c, 2);
	assert_string_equal(r[0].parts[TFS_RECIPE_CODES].name, "inner");
	assert_string_equal(r[0].parts[TFS_RECIPE_SCALES].name, "outer-s");
	assert_string_equal(r[1].parts[TFS_RECIPE_CODES].name, "outer");
	assert_string_equal(r[1].parts[TFS_RECIPE_SCALES].name, "s~2");
	tfs_catalog_destroy(c);
}

/* Operators without a tensor, many of one tensor, and of a name that is as long as the file. */
static void many_operators_are_bounded(void **state)
{
	enum { N = 200000, LONG = 1 << 20 };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	const struct tfs_recipe *r;
	struct out graph = { 0 }, node = { 0 };
	char *name = malloc(LONG);

	(void)state;
	assert_non_null(name);
	memset(name, 'n', LONG);
	put_bytes(&node, 1, name, LONG);
	put_bytes(&node, 1, name, LONG);
	put_string(&node, 4, "DequantizeLinear");
	put_message(&graph, 1, node);
	for (int i = 0; i < N; i++) {
		put_message(&graph, 1, dequantize("x", "s", "z"));
		put_message(&graph, 1, dequantize("w", i % 2 ? "s" : "z", NULL));
	}
	put_tensor(&graph, "w", 3, 2, 2);
	put_tensor(&graph, "s", FLOAT, 1, 4);
	assert_int_equal(parse_graph(graph, (struct out){ 0 }, &c, &err), 0);
	r = recipes(c, 1);
	assert_string_equal(r[0].parts[TFS_RECIPE_CODES].name, "w");
	assert_non_null(r[0].wrong);
	tfs_catalog_destroy(c);
	free(name);
}

static void too_many_operators_are_refused(void **state)
{
	enum { N = (1 << 20) + 1 };
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct out graph = { 0 };

	(void)state;
	for (int i = 0; i < N; i++)
		put_message(&graph, 1, dequantize("x", NULL, NULL));
	assert_int_equal(parse_graph(graph, (struct out){ 0 }, &c, &err), -EINVAL);
	assert_string_equal(err.what, "more than 1048576 operators that take quantised tensors");
	tfs_catalog_destroy(c);
}

static void other_operators_are_none(void **state)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c;
	struct out graph = { 0 };
	const char *const inputs[4] = { "w", "w", "w", "w" };

	(void)state;
	put_message(&graph, 1, operator_of("DequantizeLinear", "other", inputs));
	put_message(&graph, 1, operator_of("DequantizeLinear", "a domain of more bytes than any that is known", inputs));
	put_message(&graph, 1, operator_of("MatMulNBits", "", inputs));
	put_message(&graph, 1, operator_of("MatMulNBitz", "com.microsoft", inputs));
	put_message(&graph, 1, operator_of("", "", inputs));
	put_message(&graph, 1, dequantize("", "w", "w"));
	put_tensor(&graph, "w", 3, 2, 2);
	assert_int_equal(parse_graph(graph, (struct out){ 0 }, &c, &err), 0);
	recipes(c, 0);
	tfs_catalog_destroy(c);
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
		cmocka_unit_test(operators_name_their_codes),
		cmocka_unit_test(one_recipe_for_a_tensor),
		cmocka_unit_test(names_are_of_their_graph),
		cmocka_unit_test(many_operators_are_bounded),
		cmocka_unit_test(too_many_operators_are_refused),
		cmocka_unit_test(other_operators_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
