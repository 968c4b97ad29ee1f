/* SPDX-License-Identifier: MIT */
/* The reader of protobuf's wire format. What it refuses is in tests/reject, too, as ONNX models. */
#include "support/helpers.h"

#include <errno.h>

#include "format/onnx/protobuf.h"

/* A reader of a file of these bytes. */
static struct tfs_pb *reader_of(const void *data, size_t len, struct tfs_error *err)
{
	struct tfs_pb *r = malloc(sizeof *r);
	struct tfs_input *in = malloc(sizeof *in);

	assert_non_null(r);
	assert_non_null(in);
	*in = tfs_input_of_fd(memory_file(data, len), len);
	tfs_pb_init(r, in, err);
	return r;
}

static void done(struct tfs_pb *r)
{
	close(r->in->fd);
	free((void *)r->in);
	free(r);
}

static void fields_of_each_wire_type(void **state)
{
	/* 1: 150; 2: 8 bytes; 3: a group that holds 1: 5 and group 4; 5: 4 bytes; 2047: "abc" */
	static const uint8_t data[] = { 0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5,	  6,	7, 8,	0x1b, 0x08, 5,
					0x23, 0x24, 0x1c, 0x2d, 1, 2, 3, 4, 0xfa, 0x7f, 3, 'a', 'b',  'c' };
	static const struct tfs_pb_field want[] = {
		{ 1, TFS_PB_VARINT, 0, 1, 150 },
		{ 2, TFS_PB_FIXED64, 3, 4, 0 },
		{ 5, TFS_PB_FIXED32, 18, 19, 0 },
		{ 2047, TFS_PB_BYTES, 23, 26, 3 },
	};
	struct tfs_error err = { 0 };
	struct tfs_pb *r = reader_of(data, sizeof data, &err);
	struct tfs_pb_field f;
	char text[3];

	(void)state;
	for (size_t i = 0; i < LENGTH(want); i++) {
		assert_int_equal(tfs_pb_next(r, &f), 1);
		assert_int_equal(f.number, want[i].number);
		assert_int_equal(f.wire, want[i].wire);
		assert_int_equal(f.tag_at, want[i].tag_at);
		assert_int_equal(f.at, want[i].at);
		assert_int_equal(f.value, want[i].value);
	}
	assert_int_equal(tfs_pb_copy(r, &f, text, 3), 0);
	assert_memory_equal(text, "abc", 3);
	assert_int_equal(tfs_pb_next(r, &f), 0);
	assert_int_equal(tfs_pb_next(r, &f), 0);
	done(r);
}

static void messages_are_entered_and_left(void **state)
{
	/* 1: { 2: { 3: 7 }, 4: 8 }, 5: 9 */
	static const uint8_t data[] = { 0x0a, 6, 0x12, 2, 0x18, 7, 0x20, 8, 0x28, 9 };
	struct tfs_error err = { 0 };
	struct tfs_pb *r = reader_of(data, sizeof data, &err);
	struct tfs_pb_field outer, inner, f;
	struct tfs_pb_place top, back;

	(void)state;
	assert_int_equal(tfs_pb_next(r, &outer), 1);
	assert_int_equal(tfs_pb_enter(r, &outer, &top), 0);
	assert_int_equal(tfs_pb_next(r, &inner), 1);
	assert_int_equal(tfs_pb_next(r, &f), 1);
	assert_int_equal(f.number, 4);
	assert_int_equal(tfs_pb_next(r, &f), 0);
	tfs_pb_leave(r, top);
	assert_int_equal(tfs_pb_next(r, &f), 1);
	assert_int_equal(f.number, 5);
	/* Back to one that was passed, and from there to where we were. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tfs_pb_enter(r, &inner, &back), 0);
		assert_int_equal(tfs_pb_next(r, &f), 1);
		assert_int_equal(f.number, 3);
		assert_int_equal(f.value, 7);
		assert_int_equal(tfs_pb_next(r, &f), 0);
		tfs_pb_leave(r, back);
		assert_int_equal(tfs_pb_next(r, &f), 0);
	}
	assert_int_equal(tfs_pb_enter(r, &f, &back), -EINVAL); /* a varint */
	done(r);
}

static void varints(void **state)
{
	static const struct {
		uint8_t bytes[11];
		size_t len;
		int rc;
		uint64_t value;
	} cases[] = {
		{ { 0 }, 1, 0, 0 },
		{ { 0x7f }, 1, 0, 127 },
		{ { 0x80, 0x01 }, 2, 0, 128 },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, 10, 0, UINT64_MAX },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 }, 10, 0, 1ull << 63 },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, 10, 0, 0 }, /* as long as it can be */
		{ { 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e }, 10, 0, 1 }, /* bits that no one has */
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 }, 11, -EINVAL, 0 },
		{ { 0x80 }, 1, -EINVAL, 0 },
		{ { 0xff, 0xff }, 2, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct tfs_error err = { 0 };
		struct tfs_pb *r = reader_of(cases[i].bytes, cases[i].len, &err);
		uint64_t value = 4711;

		assert_int_equal(tfs_pb_varint(r, &value), cases[i].rc);
		if (!cases[i].rc) {
			assert_true(value == cases[i].value);
			assert_int_equal(r->at, cases[i].len);
		} else {
			assert_int_equal(err.offset, 0);
			assert_non_null(strstr(err.what, "varint"));
		}
		done(r);
	}
}

/* Fields of many sizes, most of which are passed over: those that are looked at are right wherever the buffer stands. */
static void buffers_are_crossed(void **state)
{
	enum { FIELDS = 3000 };
	size_t room = 64 << 20, len = 0;
	uint8_t *data = calloc(1, room);
	struct tfs_error err = { 0 };
	struct tfs_pb_field f;
	struct tfs_pb *r;

	(void)state;
	assert_non_null(data);
	for (unsigned i = 0; i < FIELDS; i++) {
		size_t size = (i * 2654435761u) % (i % 50 ? 300 : 1 << 20);

		data[len++] = 0x08; /* 1: i */
		data[len++] = (uint8_t)(i | 0x80);
		data[len++] = (uint8_t)(i >> 7);
		data[len++] = 0x12; /* 2: size bytes */
		for (size_t n = size; len < room; n >>= 7) {
			data[len++] = (uint8_t)(n & 0x7f) | (n > 0x7f ? 0x80 : 0);
			if (n <= 0x7f)
				break;
		}
		assert_true(len + size < room);
		if (size)
			data[len + size - 1] = (uint8_t)i;
		len += size;
	}
	r = reader_of(data, len, &err);
	for (unsigned i = 0; i < FIELDS; i++) {
		uint8_t last;

		assert_int_equal(tfs_pb_next(r, &f), 1);
		assert_int_equal(f.number, 1);
		assert_int_equal(f.value, i);
		assert_int_equal(tfs_pb_next(r, &f), 1);
		assert_int_equal(f.number, 2);
		if (!f.value)
			continue;
		f.at += f.value - 1;
		assert_int_equal(tfs_pb_copy(r, &f, &last, 1), 0);
		assert_int_equal(last, (uint8_t)i);
	}
	assert_int_equal(tfs_pb_next(r, &f), 0);
	assert_int_equal(r->at, len);
	done(r);
	free(data);
}

static void a_file_that_was_cut_is_an_io_error(void **state)
{
	static const uint8_t data[] = { 0x08, 0x01, 0x10, 0x02 };
	struct tfs_error err = { 0 };
	struct tfs_pb *r = reader_of(data, sizeof data, &err);
	struct tfs_pb_field f;

	(void)state;
	assert_int_equal(ftruncate(r->in->fd, 2), 0);
	assert_int_equal(tfs_pb_next(r, &f), -EIO);
	assert_int_equal(err.offset, 2);
	done(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_each_wire_type),
		cmocka_unit_test(messages_are_entered_and_left),
		cmocka_unit_test(varints),
		cmocka_unit_test(buffers_are_crossed),
		cmocka_unit_test(a_file_that_was_cut_is_an_io_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
