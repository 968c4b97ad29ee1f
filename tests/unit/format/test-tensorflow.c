/* SPDX-License-Identifier: MIT */
/* Snappy, and the keys of slices. Whole checkpoints are in tests/e2e and tests/reject. */
#include "support/helpers.h"

#include "format/format.h"
#include "format/tensorflow/impl.h"
#include "format/tensorflow/sstable.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* What libsnappy 1.1.9 makes of it, except for the last two, which are by hand. */
static void snappy_is_decompressed(void **state)
{
	static const char repeated[] = "hello hello hello hello hello hello hello!";
	char out[300], want[300];
	uint64_t size = 0;

	(void)state;
	assert_true(tfs_snappy(BYTES(0x00), (uint8_t *)out, 0));
	assert_true(tfs_snappy(BYTES(0x03, 0x08, 'a', 'b', 'c'), (uint8_t *)out, 3));
	assert_memory_equal(out, "abc", 3);
	assert_true(tfs_snappy_size(BYTES(0x2a, 0x14, 'h', 'e', 'l', 'l', 'o', ' ', 0x8a, 0x06, 0x00, 0x00, '!'), &size));
	assert_int_equal(size, strlen(repeated));
	assert_true(tfs_snappy(BYTES(0x2a, 0x14, 'h', 'e', 'l', 'l', 'o', ' ', 0x8a, 0x06, 0x00, 0x00, '!'), (uint8_t *)out, 42));
	assert_memory_equal(out, repeated, 42);
	/* A copy of 4 to 11 bytes, with 11 bits of distance; one with 32 bits. */
	assert_true(tfs_snappy(BYTES(0x06, 0x04, 'a', 'b', 0x01, 0x02), (uint8_t *)out, 6));
	assert_memory_equal(out, "ababab", 6);
	memset(want, 'x', 64);
	assert_true(tfs_snappy(BYTES(0x40, 0x00, 'x', 0xfb, 0x01, 0x00, 0x00, 0x00), (uint8_t *)out, 64));
	assert_memory_equal(out, want, 64);
}

static void damaged_snappy_is_not(void **state)
{
	uint8_t out[16];
	uint64_t size;

	(void)state;
	assert_false(tfs_snappy_size(BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0x01), &size));
	assert_false(tfs_snappy_size(BYTES(0x80), &size));
	assert_false(tfs_snappy(BYTES(0x03, 0x08, 'a', 'b'), out, 3));		   /* the literal ends early */
	assert_false(tfs_snappy(BYTES(0x02, 0x08, 'a', 'b', 'c'), out, 2));	   /* or is longer than all of it */
	assert_false(tfs_snappy(BYTES(0x04, 0x08, 'a', 'b', 'c'), out, 4));	   /* or shorter */
	assert_false(tfs_snappy(BYTES(0x06, 0x04, 'a', 'b', 0x01, 0x03), out, 6)); /* from before the beginning */
	assert_false(tfs_snappy(BYTES(0x06, 0x04, 'a', 'b', 0x01, 0x00), out, 6)); /* from itself */
	assert_false(tfs_snappy(BYTES(0x05, 0x04, 'a', 'b', 0x01, 0x02), out, 5)); /* beyond the end */
	assert_false(tfs_snappy(BYTES(0x06, 0x04, 'a', 'b', 0x01), out, 6));
	assert_false(tfs_snappy(BYTES(0x06, 0xfc, 0xff, 0xff, 0xff, 0xff, 'a'), out, 6));
}

/* By the encoding's definition: of n bytes the first n bits are the sign's opposite. */
static void keys_of_slices(void **state)
{
	static const struct {
		int64_t n;
		uint8_t len, bytes[10];
	} numbers[] = {
		{ 0, 1, { 0x80 } },
		{ -1, 1, { 0x7f } },
		{ 63, 1, { 0xbf } },
		{ -64, 1, { 0x40 } },
		{ 64, 2, { 0xc0, 0x40 } },
		{ 8191, 2, { 0xdf, 0xff } },
		{ 8192, 3, { 0xe0, 0x20, 0x00 } },
		{ -65, 2, { 0x3f, 0xbf } },
		{ INT64_C(1) << 55, 9, { 0xff, 0x80, 0x80, 0, 0, 0, 0, 0, 0 } },
		{ INT64_MAX, 10, { 0xff, 0xc0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
		{ INT64_MIN, 10, { 0x00, 0x3f, 0x80, 0, 0, 0, 0, 0, 0, 0 } },
	};
	static const uint8_t start[] = { 0x00, 'n', 0xff, 0x00, 0x00, 0xff, 0x00, 0x01, 0x01, 0x01 };
	uint8_t key[100];

	(void)state;
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		const struct tfs_tf_extent extent = { numbers[i].n, 0 };
		size_t len = tfs_tf_key("n\xff\0", 3, &extent, 1, key);

		assert_int_equal(len, sizeof start + numbers[i].len + 1);
		assert_true(len <= tfs_tf_key_size(3, 1));
		assert_memory_equal(key, start, sizeof start);
		assert_memory_equal(key + sizeof start, numbers[i].bytes, numbers[i].len);
		assert_int_equal(key[len - 1], 0x80);
	}
}

static void file_names_are_claimed(void **state)
{
	(void)state;
	assert_null(tfs_format_for("model.ckpt.index"));
	assert_ptr_equal(tfs_format_maybe("model.ckpt.index"), &tfs_format_tensorflow);
	assert_ptr_equal(tfs_format_for("tf_model.H5"), &tfs_format_hdf5);
	assert_ptr_equal(tfs_format_for("model.keras"), &tfs_format_keras);
	assert_ptr_equal(tfs_format_for("flax_model.msgpack"), &tfs_format_flax);
	assert_null(tfs_format_for(".h5"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snappy_is_decompressed),
		cmocka_unit_test(damaged_snappy_is_not),
		cmocka_unit_test(keys_of_slices),
		cmocka_unit_test(file_names_are_claimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
