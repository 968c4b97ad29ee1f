/* SPDX-License-Identifier: MIT */
/*
 * Element types. A dtype is an immutable record, compared by pointer; the built-in ones live forever, those that a file defines as
 * long as its catalog. Names are those of safetensors, for GGUF's block types those of ggml, and for types that only ml_dtypes has
 * its own: the field's standard terms, and what meta/ prints.
 */
#ifndef TFS_DTYPE_H
#define TFS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tfs_dtype {
	const char *name;     /* "BF16" */
	const char *npy;      /* NumPy descr of one element, "<f4"; types NumPy lacks as ml_dtypes stores them ("<V2");
	                         NULL if an element isn't a whole number of bytes: shown as uint8 rows */
	uint32_t block_elems; /* elements in the smallest addressable unit: 1 for plain types, 2 for F4, 4 for F6 */
	uint32_t block_bytes; /* bytes of that unit */
	bool safetensors;     /* also in the safetensors format, under this name */
};

/* The built-in dtype of that name (@len bytes, no NUL needed), or NULL. */
const struct tfs_dtype *tfs_dtype_by_name(const char *name, size_t len);

enum { TFS_DTYPES = 65 }; /* that are built in */

/* The built-in dtype at that index, below TFS_DTYPES; and the index of one, which is TFS_DTYPES for those that a file defines. */
const struct tfs_dtype *tfs_dtype_at(size_t index);
size_t tfs_dtype_index(const struct tfs_dtype *dtype);

/*
 * Bytes of a C-order array of @dtype with @ndim dimensions (none: one element) into *@ret_nbytes.
 * -EOVERFLOW: the element or bit count doesn't fit in 64 bits. -EINVAL: the elements don't fill whole blocks. A zero dimension
 * makes 0 bytes whatever the others are, but no partial product may overflow (safetensors' reader multiplies left to right and
 * checks each step).
 */
int tfs_dtype_nbytes(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_nbytes);

/* The same, but the last block may be partly filled, as in ONNX: 3 elements of U4 are 2 bytes. */
int tfs_dtype_nbytes_padded(const struct tfs_dtype *dtype, const uint64_t *shape, unsigned ndim, uint64_t *ret_nbytes);

#endif
