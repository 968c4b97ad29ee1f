/* SPDX-License-Identifier: MIT */
/*
 * The type of an array or of a field, in one word, as np.dtype() accepts it: "<f4", "d", "float32"; and with ml_dtypes imported,
 * "bfloat16". Not a format by itself.
 */
#ifndef TFS_FORMAT_NPY_TYPE_H
#define TFS_FORMAT_NPY_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/catalog.h"

/* Bytes of an element: NumPy stores them in an int. */
#define TFS_NPY_MAX_ITEM INT32_MAX

/* Words are shorter than this. */
#define TFS_NPY_WORD 40

struct tfs_npy_type {
	char kind;     /* dtype.kind: one of "biufcSUVMm", or 'O', Python objects, whose other fields aren't set */
	bool big;      /* its words are big-endian */
	uint8_t word;  /* bytes of those words, 2, 4 or 8; 0: it has no byte order, or is a long double */
	uint64_t size; /* bytes of an element; may be 0, as in "S" */
	const struct tfs_dtype *builtin; /* NULL: not one of ours */
	const char *name;		 /* ml_dtypes' name, if NumPy has no word for it; else NULL */
	char unit[TFS_NPY_WORD];	 /* for times: "[ns]", or "" */
};

/* 0; -EINVAL: no such type; -E2BIG: an element of more than TFS_NPY_MAX_ITEM bytes. */
int tfs_npy_type_parse(const char *word, struct tfs_npy_type *ret);

/* The type as dtype.str has it ("<f4"), which is what NumPy writes, and as ml_dtypes writes it ("<V2"). Big-endian, if @big. */
void tfs_npy_type_str(const struct tfs_npy_type *t, bool big, char buf[TFS_NPY_WORD + 4]);

/*
 * The dtype of an array of such elements, of at least a byte each; *@ret_swap: how to bring them to little-endian (struct
 * tfs_encoding). NULL: out of memory.
 */
const struct tfs_dtype *tfs_npy_type_dtype(const struct tfs_npy_type *t, struct tfs_catalog *catalog, uint8_t *ret_swap);

#endif
