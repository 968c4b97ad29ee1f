/* SPDX-License-Identifier: MIT */
/* Views: which bytes of a tensor make up which bytes of its file, and what NumPy finds in front of them. */
#include "support/helpers.h"

#include <errno.h>

#include "content/view-npy.h"
#include "content/view.h"
#include "model/model.h"

static const struct tfs_dtype *dtype(const char *name)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(name, strlen(name));
	assert_non_null(d);
	return d;
}

static struct tfs_tensor tensor(const char *type, const uint64_t *shape, unsigned ndim)
{
	struct tfs_tensor t = { .name = "t", .name_len = 1, .dtype = dtype(type), .shape = shape, .ndim = (uint8_t)ndim };
	assert_int_equal(tfs_dtype_nbytes_padded(t.dtype, shape, ndim, &t.nbytes), 0);
	return t;
}

static void test_sizes(void **state)
{
	static const struct {
		const char *dtype;
		uint64_t elems, npy, f32;
	} rows[] = {
		{ "BF16", 10, 20, 40 },	  { "F32", 3, 12, 12 },	   { "F64", 5, 40, 20 },    { "BOOL", 7, 7, 28 },
		{ "I64", 1, 8, 4 },	  { "F8_E4M3", 9, 9, 36 }, { "F4", 6, 3, 24 },	    { "F6_E2M3", 8, 6, 32 },
		{ "F16", 0, 0, 0 },	  { "F4", 0, 0, 0 },	   { "F6_E3M2", 4, 3, 16 }, { "Q4_K", 512, 288, 2048 },
		{ "MXFP4", 96, 51, 384 }, { "U4", 7, 4, 28 },	   { "I2", 9, 3, 36 },	    { "I4", 1, 1, 4 },
		{ "U2", 11, 3, 44 },
	};
	struct tfs_layout l;

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_tensor t = tensor(rows[i].dtype, &rows[i].elems, 1);
		assert_int_equal(tfs_view_layout(TFS_RAW, &t, TFS_NPY_ALIGN, &l), 0);
		assert_int_equal(l.size, rows[i].npy);
		assert_null(l.convert);
		assert_int_equal(tfs_view_layout(TFS_NPY, &t, TFS_NPY_ALIGN, &l), 0);
		assert_int_equal(l.size, (rows[i].npy ? 4096 : 128) + rows[i].npy);
		assert_null(l.convert);
		assert_int_equal(tfs_view_layout(TFS_F32, &t, TFS_NPY_ALIGN, &l), 0);
		assert_int_equal(l.size, (rows[i].f32 ? 4096 : 128) + rows[i].f32);
		assert_non_null(l.convert);
	}
}

static void test_absent(void **state)
{
	uint64_t n = 3;
	struct tfs_tensor c = tensor("C64", &n, 1), u8 = tensor("U8", &n, 1);
	struct tfs_layout l = { .size = 77 };

	(void)state;
	assert_int_equal(tfs_view_layout(TFS_F32, &c, TFS_NPY_ALIGN, &l), -ENOENT);
	u8.nbytes = (uint64_t)1 << 61;
	assert_int_equal(tfs_view_layout(TFS_F32, &u8, TFS_NPY_ALIGN, &l), -EOVERFLOW); /* 2^63 bytes and more */
	u8.nbytes = (uint64_t)1 << 62;
	assert_int_equal(tfs_view_layout(TFS_F32, &u8, TFS_NPY_ALIGN, &l), -EOVERFLOW); /* 2^64 */
	assert_int_equal(l.size, 77);							/* untouched */
	assert_int_equal(tfs_view_layout(TFS_NPY, &u8, TFS_NPY_ALIGN, &l), 0);
	assert_true(tfs_view_shows(TFS_NPY, &u8));
	assert_false(tfs_view_shows(TFS_F32, &u8));
	u8.nbytes = INT64_MAX - 4095;
	assert_int_equal(tfs_view_layout(TFS_NPY, &u8, TFS_NPY_ALIGN, &l), -EOVERFLOW);
	assert_int_equal(tfs_view_layout(TFS_NPY, &u8, 64, &l), -EOVERFLOW); /* the same files, whatever the alignment */
	assert_int_equal(tfs_view_layout(TFS_NPY, &c, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(tfs_view_layout(TFS_RAW, &c, TFS_NPY_ALIGN, &l), 0);
}

static void test_source(void **state)
{
	static const struct {
		const char *dtype;
		enum tfs_view_id view;
		uint64_t at, end, want_end, from, len;
		uint64_t want_at; /* 0: @at */
		unsigned align;	  /* 0: 4096 */
	} rows[] = {
		{ "BF16", TFS_RAW, 0, 100, 100, 0, 100 },
		{ "BF16", TFS_RAW, 33, 34, 34, 33, 1 },
		{ "BF16", TFS_NPY, 0, 4096, 4096, 0, 0 }, /* the header alone */
		{ "BF16", TFS_NPY, 0, 5000, 5000, 0, 904 },
		{ "BF16", TFS_NPY, 4000, 4097, 4097, 0, 1 },
		{ "BF16", TFS_NPY, 4099, 4101, 4101, 3, 2 },
		{ "BF16", TFS_F32, 0, 4096, 4096, 0, 0 },
		{ "BF16", TFS_F32, 0, 4097, 4100, 0, 2 }, /* up to the end of an element */
		{ "BF16", TFS_F32, 8192, 8196, 8196, 2048, 2 },
		{ "BF16", TFS_F32, 8192, 8197, 8200, 2048, 4 },
		{ "F64", TFS_F32, 4100, 4104, 4104, 8, 8 },
		{ "F4", TFS_F32, 4096, 4097, 4104, 0, 1 },
		{ "F4", TFS_F32, 4104, 4116, 4120, 1, 2 },
		{ "F6_E2M3", TFS_F32, 4096, 4113, 4128, 0, 6 },
		{ "F6_E2M3", TFS_F32, 4112, 4128, 4128, 3, 3 },
		/* A prefix of 128 bytes is shorter than a block, so that no multiple of a block's length begins one. */
		{ "F32", TFS_NPY, 0, 129, 129, 0, 1, 0, 64 },
		{ "Q4_K", TFS_F32, 0, 128, 128, 0, 0, 0, 64 },
		{ "Q4_K", TFS_F32, 100, 129, 128 + 1024, 0, 144, 0, 64 },
		{ "Q4_K", TFS_F32, 128, 4096, 128 + 4096, 0, 576, 0, 64 },
		{ "Q4_K", TFS_F32, 4096, 8192, 128 + 8192, 432, 720, 128 + 3072, 64 },
		{ "Q4_K", TFS_F32, 128 + 4096, 8192, 128 + 8192, 576, 576, 0, 64 },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		uint64_t n = 1 << 20, at = rows[i].at, end = rows[i].end, from, len;
		uint64_t want_at = rows[i].want_at ? rows[i].want_at : at;
		struct tfs_tensor t = tensor(rows[i].dtype, &n, 1);
		struct tfs_layout l;
		assert_int_equal(tfs_view_layout(rows[i].view, &t, rows[i].align ? rows[i].align : TFS_NPY_ALIGN, &l), 0);
		tfs_layout_source(&l, &at, &end, &from, &len);
		if (at != want_at || end != rows[i].want_end || from != rows[i].from || len != rows[i].len)
			fail_msg("row %u: %llu to %llu, %llu + %llu", i, (unsigned long long)at, (unsigned long long)end,
				 (unsigned long long)from, (unsigned long long)len);
		if (len)
			assert_int_equal(tfs_layout_place(&l, from), at > l.prefix ? at : l.prefix);
		/* The whole file is made of the whole tensor. */
		at = 0;
		end = l.size;
		tfs_layout_source(&l, &at, &end, &from, &len);
		assert_int_equal(end, l.size);
		assert_int_equal(from, 0);
		assert_int_equal(len, t.nbytes);
	}
}

static void test_partial_block(void **state)
{
	uint64_t shape[] = { 3, 3 }, at, end, from, len;
	struct tfs_tensor t = tensor("U4", shape, 2);
	struct tfs_layout l;

	(void)state;
	assert_int_equal(t.nbytes, 5);
	assert_int_equal(tfs_view_layout(TFS_F32, &t, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(l.size, 4096 + 36);
	end = l.size;
	at = 4096 + 32;
	tfs_layout_source(&l, &at, &end, &from, &len);
	assert_int_equal(end, l.size); /* not behind the file, though the block goes on */
	assert_int_equal(from, 4);
	assert_int_equal(len, 1);
	end = 4096 + 30;
	at = 4096;
	tfs_layout_source(&l, &at, &end, &from, &len);
	assert_int_equal(end, 4096 + 32);
	assert_int_equal(len, 4);
	shape[1] = 0;
	t.nbytes = 0;
	assert_int_equal(tfs_view_layout(TFS_F32, &t, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(l.size, 128); /* nothing to map */
}

static void test_convert(void **state)
{
	static const uint8_t bf16[] = { 0x80, 0x3f, 0x00, 0xc0 }, f4[] = { 0x21, 0xf7 };
	static const float want_f4[] = { 0.5f, 1.0f, 6.0f, -6.0f };
	uint64_t n = 4;
	struct tfs_tensor t = tensor("BF16", &n, 1), four = tensor("F4", &n, 1);
	struct tfs_layout l;
	float out[4];

	(void)state;
	assert_int_equal(tfs_view_layout(TFS_F32, &t, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(tfs_layout_convert(&l, bf16, 4, (uint8_t *)out), 8);
	assert_true(out[0] == 1.0f && out[1] == -2.0f);
	assert_int_equal(tfs_view_layout(TFS_F32, &four, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(tfs_layout_convert(&l, f4, 2, (uint8_t *)out), 16);
	assert_memory_equal(out, want_f4, 16);
	assert_int_equal(tfs_view_layout(TFS_NPY, &t, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(tfs_layout_convert(&l, bf16, 3, (uint8_t *)out), 3);
	assert_memory_equal(out, bf16, 3);
}

static void check_header(enum tfs_view_id view, const char *type, const uint64_t *shape, unsigned ndim, const char *text)
{
	struct tfs_tensor t = tensor(type, shape, ndim);
	struct tfs_layout l;
	uint8_t buf[TFS_VIEW_PREFIX_MAX + 1];

	memset(buf, 0xaa, sizeof buf);
	assert_int_equal(tfs_view_layout(view, &t, TFS_NPY_ALIGN, &l), 0);
	size_t len = t.nbytes ? 4096 : 128;
	assert_int_equal(l.prefix, len);
	tfs_layout_make_prefix(&l, buf);
	/* Magic, version 1.0, and the little-endian length of what follows: numpy/lib/format.py. */
	assert_memory_equal(buf, t.nbytes ? "\x93NUMPY\x01\x00\xf6\x0f" : "\x93NUMPY\x01\x00\x76\x00", 10);
	assert_memory_equal(buf + 10, text, strlen(text));
	for (size_t i = 10 + strlen(text); i < len - 1; i++)
		assert_int_equal(buf[i], ' ');
	assert_int_equal(buf[len - 1], '\n');
	assert_int_equal(buf[len], 0xaa);
}

#define HEADER(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': (" shape "), }"

static void test_headers(void **state)
{
	static const uint64_t a[] = { 3, 4, 8 }, zero[] = { 3, 0 }, six[] = { 3, 8 }, odd[] = { 4, 3 }, kq[] = { 3, 512 };
	uint64_t most[TFS_MAX_DIMS];

	(void)state;
	check_header(TFS_NPY, "F32", NULL, 0, HEADER("<f4", ""));
	check_header(TFS_NPY, "I64", a, 1, HEADER("<i8", "3,"));
	check_header(TFS_NPY, "BF16", a, 2, HEADER("<V2", "3, 4"));
	check_header(TFS_NPY, "F8_E4M3", a, 3, HEADER("|V1", "3, 4, 8"));
	check_header(TFS_NPY, "BOOL", a, 3, HEADER("|b1", "3, 4, 8"));
	check_header(TFS_NPY, "C64", zero, 2, HEADER("<c8", "3, 0"));
	/* Rows of bytes; one row where a row of elements is no whole number of bytes. */
	check_header(TFS_NPY, "F4", a, 3, HEADER("|u1", "3, 4, 4"));
	check_header(TFS_NPY, "F6_E2M3", six, 2, HEADER("|u1", "3, 6"));
	check_header(TFS_NPY, "F4", odd, 2, HEADER("|u1", "6,"));
	check_header(TFS_NPY, "F4", zero, 2, HEADER("|u1", "3, 0"));
	check_header(TFS_NPY, "Q4_K", kq, 2, HEADER("|u1", "3, 288"));
	/* A type that nobody knows: as many bytes as there are. */
	struct tfs_dtype unknown = { .name = "UNKNOWN(99)", .block_elems = 1, .block_bytes = 1 };
	struct tfs_tensor u = { .dtype = &unknown, .shape = kq, .ndim = 2, .nbytes = 100 };
	struct tfs_layout l;
	char head[TFS_VIEW_PREFIX_MAX];
	assert_int_equal(tfs_view_layout(TFS_F32, &u, TFS_NPY_ALIGN, &l), -ENOENT);
	assert_int_equal(tfs_view_layout(TFS_NPY, &u, TFS_NPY_ALIGN, &l), 0);
	assert_int_equal(l.size, 4196);
	tfs_layout_make_prefix(&l, (uint8_t *)head);
	assert_memory_equal(head + 10, HEADER("|u1", "100,"), strlen(HEADER("|u1", "100,")));
	/* As float32 they have the shape that they are said to have. */
	check_header(TFS_F32, "F4", odd, 2, HEADER("<f4", "4, 3"));
	check_header(TFS_F32, "F64", NULL, 0, HEADER("<f4", ""));
	check_header(TFS_F32, "BF16", a, 1, HEADER("<f4", "3,"));
	/* The longest there can be. */
	for (unsigned i = 0; i < TFS_MAX_DIMS; i++)
		most[i] = UINT64_MAX;
	uint8_t buf[TFS_VIEW_PREFIX_MAX];
	assert_int_equal(tfs_npy_header("<f4", most, TFS_MAX_DIMS, 4096, buf), 4096);
	assert_int_equal(buf[4095], '\n');
	assert_int_equal(buf[2000], ' ');
	buf[4095] = 0;
	assert_non_null(strstr((char *)buf + 10, "18446744073709551615), }  "));
}

/* What numpy.lib.format.write_array_header_1_0() of NumPy 2.4 writes; the e2e tests compare with the one that is installed. */
static void test_headers_of_np_save(void **state)
{
	static const struct {
		const char *descr;
		uint64_t shape[2];
		unsigned ndim, len;
		const char *text;
	} rows[] = {
		{ "<f4", { 0 }, 0, 128, HEADER("<f4", "") },
		{ "|u1", { 3 }, 1, 128, HEADER("|u1", "3,") },
		{ "<f4", { 3, 4 }, 2, 128, HEADER("<f4", "3, 4") },
		{ "<V2", { UINT64_MAX, 0 }, 2, 128, HEADER("<V2", "18446744073709551615, 0") },
		/* The text, its newline and what is before fill 64 bytes exactly, and NumPy pads all the same. */
		{ "[('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '<f4')]",
		  { 1 },
		  1,
		  192,
		  "{'descr': [('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '<f4')], 'fortran_order': False, 'shape': (1,), }" },
		{ "[('a', '<f4'), ('b', '|S3', (2, 3))]",
		  { 2 },
		  1,
		  128,
		  "{'descr': [('a', '<f4'), ('b', '|S3', (2, 3))], 'fortran_order': False, 'shape': (2,), }" },
	};
	char longest[2501], buf[TFS_VIEW_PREFIX_MAX];
	uint64_t most[TFS_MAX_DIMS];

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		size_t n = strlen(rows[i].text);

		assert_int_equal(tfs_npy_header(rows[i].descr, rows[i].shape, rows[i].ndim, 64, (uint8_t *)buf), rows[i].len);
		assert_memory_equal(buf, "\x93NUMPY\x01", 8);
		assert_int_equal((uint8_t)buf[8] + 256 * (uint8_t)buf[9], rows[i].len - 10);
		assert_memory_equal(buf + 10, rows[i].text, n);
		for (size_t at = 10 + n; at < rows[i].len - 1; at++)
			assert_int_equal(buf[at], ' ');
		assert_int_equal(buf[rows[i].len - 1], '\n');
	}
	memset(longest, ' ', sizeof longest - 1);
	longest[0] = '[';
	longest[2500] = 0;
	for (unsigned i = 0; i < TFS_MAX_DIMS; i++)
		most[i] = UINT64_MAX;
	assert_true(tfs_npy_header(longest, most, TFS_MAX_DIMS, 64, (uint8_t *)buf) <= 4096);
	assert_int_equal(tfs_npy_header(longest, most, TFS_MAX_DIMS, 4096, (uint8_t *)buf), 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_partial_block),
		cmocka_unit_test(test_convert),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_headers_of_np_save),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
