/* SPDX-License-Identifier: MIT */
#include "tensor/dtype.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

/*
 * safetensors' dtypes (safetensors 0.8, tensor.rs), the common ones first as lookup goes from top to bottom; then what other
 * formats have besides. The float8 types are |V1 and BF16 <V2, which is how ml_dtypes' arrays come out of np.save. Blocks are the
 * least number of elements that fill whole bytes: safetensors' condition, bits % 8 = 0, is the same as whole blocks. GGUF's are
 * those of ggml (ggml.c, type_traits).
 */
/* clang-format off */
static const struct tfs_dtype dtypes[] = {
	{ "BF16", "<V2", 1, 2, true },
	{ "F32", "<f4", 1, 4, true },
	{ "F16", "<f2", 1, 2, true },
	{ "F8_E4M3", "|V1", 1, 1, true },
	{ "F8_E5M2", "|V1", 1, 1, true },
	{ "I8", "|i1", 1, 1, true },
	{ "U8", "|u1", 1, 1, true },
	{ "BOOL", "|b1", 1, 1, true },
	{ "I16", "<i2", 1, 2, true },
	{ "I32", "<i4", 1, 4, true },
	{ "I64", "<i8", 1, 8, true },
	{ "U16", "<u2", 1, 2, true },
	{ "U32", "<u4", 1, 4, true },
	{ "U64", "<u8", 1, 8, true },
	{ "F64", "<f8", 1, 8, true },
	{ "C64", "<c8", 1, 8, true },
	{ "F8_E8M0", "|V1", 1, 1, true },
	{ "F8_E4M3FNUZ", "|V1", 1, 1, true },
	{ "F8_E5M2FNUZ", "|V1", 1, 1, true },
	{ "F4", NULL, 2, 1, true },
	{ "F6_E2M3", NULL, 4, 3, true },
	{ "F6_E3M2", NULL, 4, 3, true },
	{ "C32", "<V4", 1, 4 }, /* torch.complex32: two F16 */
	{ "C128", "<c16", 1, 16 },
	{ "I4", NULL, 2, 1 }, /* ONNX; the first element in the low nibble, as in F4 */
	{ "U4", NULL, 2, 1 },
	{ "I2", NULL, 4, 1 },
	{ "U2", NULL, 4, 1 },
	{ "float8_e3m4", "|V1", 1, 1 }, /* ml_dtypes' own, and the narrow ones a byte each, where F4 and I4 are packed */
	{ "float8_e4m3", "|V1", 1, 1 },
	{ "float8_e4m3b11fnuz", "|V1", 1, 1 },
	{ "float6_e2m3fn", "|V1", 1, 1 },
	{ "float6_e3m2fn", "|V1", 1, 1 },
	{ "float4_e2m1fn", "|V1", 1, 1 },
	{ "int2", "|V1", 1, 1 },
	{ "uint2", "|V1", 1, 1 },
	{ "int4", "|V1", 1, 1 },
	{ "uint4", "|V1", 1, 1 },
	{ "Q4_0", NULL, 32, 18 },
	{ "Q4_1", NULL, 32, 20 },
	{ "Q5_0", NULL, 32, 22 },
	{ "Q5_1", NULL, 32, 24 },
	{ "Q8_0", NULL, 32, 34 },
	{ "Q8_1", NULL, 32, 36 },
	{ "Q2_K", NULL, 256, 84 },
	{ "Q3_K", NULL, 256, 110 },
	{ "Q4_K", NULL, 256, 144 },
	{ "Q5_K", NULL, 256, 176 },
	{ "Q6_K", NULL, 256, 210 },
	{ "Q8_K", NULL, 256, 292 },
	{ "IQ2_XXS", NULL, 256, 66 },
	{ "IQ2_XS", NULL, 256, 74 },
	{ "IQ2_S", NULL, 256, 82 },
	{ "IQ3_XXS", NULL, 256, 98 },
	{ "IQ3_S", NULL, 256, 110 },
	{ "IQ1_S", NULL, 256, 50 },
	{ "IQ1_M", NULL, 256, 56 },
	{ "IQ4_NL", NULL, 32, 18 },
	{ "IQ4_XS", NULL, 256, 136 },
	{ "TQ1_0", NULL, 256, 54 },
	{ "TQ2_0", NULL, 256, 66 },
	{ "MXFP4", NULL, 32, 17 },
	{ "NVFP4", NULL, 64, 36 },
	{ "Q1_0", NULL, 128, 18 },
	{ "Q2_0", NULL, 64, 18 },
};
/* clang-format on */

_Static_assert(sizeof dtypes / sizeof *dtypes == TFS_DTYPES, "TFS_DTYPES is the number of rows");

const struct tfs_dtype *tfs_dtype_at(size_t index)
{
	return &dtypes[index];
}

size_t tfs_dtype_index(const struct tfs_dtype *dtype)
{
	size_t at = (uintptr_t)dtype - (uintptr_t)dtypes;

	return at < sizeof dtypes ? at / sizeof *dtypes : TFS_DTYPES;
}

const struct tfs_dtype *tfs_dtype_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < TFS_DTYPES; i++)
		if (strlen(dtypes[i].name) == len && !memcmp(dtypes[i].name, name, len))
			return &dtypes[i];
	return NULL;
}

static int count(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_bytes, bool *ret_partial)
{
	uint64_t elems = 1, blocks, bits;

	for (unsigned i = 0; i < ndim; i++)
		if (ckd_mul(&elems, elems, shape[i]))
			return -EOVERFLOW;
	*ret_partial = elems % dtype->block_elems;
	blocks = elems / dtype->block_elems + *ret_partial;
	if (ckd_mul(ret_bytes, blocks, dtype->block_bytes) || ckd_mul(&bits, *ret_bytes, 8))
		return -EOVERFLOW;
	return 0;
}

int tfs_dtype_nbytes_padded(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_nbytes)
{
	uint64_t bytes;
	bool partial;
	int r = count(dtype, shape, ndim, &bytes, &partial);

	if (!r)
		*ret_nbytes = bytes;
	return r;
}

int tfs_dtype_nbytes(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_nbytes)
{
	uint64_t bytes;
	bool partial;
	int r = count(dtype, shape, ndim, &bytes, &partial);

	if (r || partial)
		return r ? r : -EINVAL;
	*ret_nbytes = bytes;
	return 0;
}
