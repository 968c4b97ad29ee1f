/* SPDX-License-Identifier: MIT */
#include "dtype.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

/*
 * safetensors' dtypes (safetensors 0.8, tensor.rs), the common ones first as lookup goes from top to bottom. The float8
 * types are |V1 and BF16 <V2, which is how ml_dtypes' arrays come out of np.save. Blocks are the least number of
 * elements that fill whole bytes: the reader's condition, bits % 8 = 0, is the same as whole blocks.
 */
/* clang-format off */
static const struct tfs_dtype dtypes[] = {
	{ "BF16", "<V2", 1, 2 },
	{ "F32", "<f4", 1, 4 },
	{ "F16", "<f2", 1, 2 },
	{ "F8_E4M3", "|V1", 1, 1 },
	{ "F8_E5M2", "|V1", 1, 1 },
	{ "I8", "|i1", 1, 1 },
	{ "U8", "|u1", 1, 1 },
	{ "BOOL", "|b1", 1, 1 },
	{ "I16", "<i2", 1, 2 },
	{ "I32", "<i4", 1, 4 },
	{ "I64", "<i8", 1, 8 },
	{ "U16", "<u2", 1, 2 },
	{ "U32", "<u4", 1, 4 },
	{ "U64", "<u8", 1, 8 },
	{ "F64", "<f8", 1, 8 },
	{ "C64", "<c8", 1, 8 },
	{ "F8_E8M0", "|V1", 1, 1 },
	{ "F8_E4M3FNUZ", "|V1", 1, 1 },
	{ "F8_E5M2FNUZ", "|V1", 1, 1 },
	{ "F4", NULL, 2, 1 },
	{ "F6_E2M3", NULL, 4, 3 },
	{ "F6_E3M2", NULL, 4, 3 },
};
/* clang-format on */

const struct tfs_dtype *tfs_dtype_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
		if (strlen(dtypes[i].name) == len && !memcmp(dtypes[i].name, name, len))
			return &dtypes[i];
	return NULL;
}

int tfs_dtype_nbytes(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_nbytes)
{
	uint64_t elems = 1, bytes, bits;

	for (unsigned i = 0; i < ndim; i++)
		if (ckd_mul(&elems, elems, shape[i]))
			return -EOVERFLOW;
	if (ckd_mul(&bytes, elems / dtype->block_elems, dtype->block_bytes) || ckd_mul(&bits, bytes, 8))
		return -EOVERFLOW;
	if (elems % dtype->block_elems)
		return -EINVAL;
	*ret_nbytes = bytes;
	return 0;
}
