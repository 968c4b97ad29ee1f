/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include <errno.h>

#include "tensor/dtype.h"

static void every_dtype_is_known(void **state)
{
	static const struct tfs_dtype want[] = {
		{ "BOOL", "|b1", 1, 1 },	{ "U8", "|u1", 1, 1 },		{ "I8", "|i1", 1, 1 },
		{ "F8_E4M3", "|V1", 1, 1 },	{ "F8_E5M2", "|V1", 1, 1 },	{ "F8_E8M0", "|V1", 1, 1 },
		{ "F8_E4M3FNUZ", "|V1", 1, 1 }, { "F8_E5M2FNUZ", "|V1", 1, 1 }, { "I16", "<i2", 1, 2 },
		{ "U16", "<u2", 1, 2 },		{ "F16", "<f2", 1, 2 },		{ "BF16", "<V2", 1, 2 },
		{ "I32", "<i4", 1, 4 },		{ "U32", "<u4", 1, 4 },		{ "F32", "<f4", 1, 4 },
		{ "I64", "<i8", 1, 8 },		{ "U64", "<u8", 1, 8 },		{ "F64", "<f8", 1, 8 },
		{ "C64", "<c8", 1, 8 },		{ "F4", NULL, 2, 1 },		{ "F6_E2M3", NULL, 4, 3 },
		{ "F6_E3M2", NULL, 4, 3 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(want); i++) {
		const struct tfs_dtype *d = tfs_dtype_by_name(want[i].name, strlen(want[i].name));

		assert_non_null(d);
		assert_string_equal(d->name, want[i].name);
		if (want[i].npy)
			assert_string_equal(d->npy, want[i].npy);
		else
			assert_null(d->npy);
		assert_int_equal(d->block_elems, want[i].block_elems);
		assert_int_equal(d->block_bytes, want[i].block_bytes);
		assert_true(d->safetensors);
	}
}

static void other_names_are_not(void **state)
{
	(void)state;
	assert_null(tfs_dtype_by_name("", 0));
	assert_null(tfs_dtype_by_name("f32", 3));
	assert_null(tfs_dtype_by_name("F3", 2));
	assert_null(tfs_dtype_by_name("F32 ", 4));
	assert_null(tfs_dtype_by_name("F32\0", 4));
	assert_null(tfs_dtype_by_name("F4\0and more than the name", 25));
}

static void each_has_its_index(void **state)
{
	struct tfs_dtype another = *tfs_dtype_by_name("F32", 3);

	(void)state;
	for (size_t i = 0; i < TFS_DTYPES; i++) {
		const struct tfs_dtype *d = tfs_dtype_at(i);

		assert_ptr_equal(tfs_dtype_by_name(d->name, strlen(d->name)), d);
		assert_int_equal(tfs_dtype_index(d), i);
	}
	assert_int_equal(tfs_dtype_index(&another), TFS_DTYPES);
}

static void bytes_are_counted(void **state)
{
	static const struct {
		const char *dtype;
		uint64_t shape[3];
		unsigned ndim;
		int rc;
		uint64_t nbytes;
	} cases[] = {
		{ "F32", { 0 }, 0, 0, 4 }, /* no dimensions: one element */
		{ "F32", { 2, 3, 5 }, 3, 0, 120 },
		{ "U8", { 0 }, 1, 0, 0 },
		{ "F16", { 3, 0, 5 }, 3, 0, 0 },
		{ "U8", { UINT64_MAX / 8 }, 1, 0, UINT64_MAX / 8 },
		{ "U8", { UINT64_MAX / 8 + 1 }, 1, -EOVERFLOW, 0 }, /* bits are counted */
		{ "F64", { 1ull << 58 }, 1, -EOVERFLOW, 0 },
		{ "U8", { 1ull << 32, 1ull << 32 }, 2, -EOVERFLOW, 0 },
		{ "U8", { 1ull << 32, 1ull << 32, 0 }, 3, -EOVERFLOW, 0 }, /* left to right: overflows before the 0 */
		{ "U8", { 0, 1ull << 32, 1ull << 32 }, 3, 0, 0 },
		{ "F4", { 4, 32 }, 2, 0, 64 },
		{ "F4", { 3, 3 }, 2, -EINVAL, 0 },
		{ "F4", { 0 }, 0, -EINVAL, 0 },
		{ "F4", { 0 }, 1, 0, 0 },
		{ "F6_E2M3", { 4, 8 }, 2, 0, 24 },
		{ "F6_E3M2", { 2, 3 }, 2, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		uint64_t nbytes = 4711;
		int rc = tfs_dtype_nbytes(tfs_dtype_by_name(cases[i].dtype, strlen(cases[i].dtype)), cases[i].shape, cases[i].ndim,
					  &nbytes);

		assert_int_equal(rc, cases[i].rc);
		assert_true(nbytes == (rc ? 4711 : cases[i].nbytes)); /* untouched on failure */
	}
}

static void a_last_block_may_be_partial(void **state)
{
	static const struct {
		const char *dtype;
		uint64_t shape[3];
		unsigned ndim;
		int rc;
		uint64_t nbytes;
	} cases[] = {
		{ "U4", { 3, 3 }, 2, 0, 5 },
		{ "I4", { 0 }, 0, 0, 1 },
		{ "I4", { 0 }, 1, 0, 0 },
		{ "U2", { 4 }, 1, 0, 1 },
		{ "I2", { 5 }, 1, 0, 2 },
		{ "F4", { 2, 1 }, 2, 0, 1 },
		{ "F32", { 2, 3 }, 2, 0, 24 },
		{ "U4", { UINT64_MAX }, 1, -EOVERFLOW, 0 },
		{ "U4", { UINT64_MAX / 4 - 2 }, 1, 0, UINT64_MAX / 8 },
		{ "U8", { 1ull << 32, 1ull << 32 }, 2, -EOVERFLOW, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		uint64_t nbytes = 4711;
		int rc = tfs_dtype_nbytes_padded(tfs_dtype_by_name(cases[i].dtype, strlen(cases[i].dtype)), cases[i].shape,
						 cases[i].ndim, &nbytes);

		assert_int_equal(rc, cases[i].rc);
		assert_true(nbytes == (rc ? 4711 : cases[i].nbytes)); /* untouched on failure */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dtype_is_known),	       cmocka_unit_test(other_names_are_not),
		cmocka_unit_test(each_has_its_index),	       cmocka_unit_test(bytes_are_counted),
		cmocka_unit_test(a_last_block_may_be_partial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
