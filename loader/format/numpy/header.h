/* SPDX-License-Identifier: MIT */
/* The header of an npy file, which is also what a member of an npz begins with (numpy/lib/format.py). Not a format by itself. */
#ifndef TFS_FORMAT_NPY_HEADER_H
#define TFS_FORMAT_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/catalog.h"

/* What a header says about its array. */
struct tfs_npy_array {
	const struct tfs_dtype *dtype; /* built in, or the catalog's own: its name is then the descr, a Python literal in ASCII */
	uint64_t shape[TFS_MAX_DIMS];
	uint64_t nbytes;
	uint8_t ndim;
	uint8_t swap; /* as in struct tfs_encoding */
	bool fortran; /* the first dimension is the fastest, and that matters */
};

/* Bytes needed to tell the length of the header; shorter files aren't npy. */
#define TFS_NPY_START 12

/* Does an array begin here? */
bool tfs_npy_claims(const uint8_t *start, size_t len);

/*
 * The length of the header, from the magic to the first byte of data, into *@ret_len: at most @size, the bytes that exist. @start:
 * the first @len of them, TFS_NPY_START or all. @catalog: of the file, which knows the limit. -EINVAL, with the offset in @err relative
 * to the magic.
 */
int tfs_npy_header_length(const uint8_t *start, size_t len, uint64_t size, const struct tfs_catalog *catalog, size_t *ret_len,
			  struct tfs_error *err);

/* Read a header of that length. -EINVAL, @err as above: it isn't valid, or its type can't be read; -ENOMEM. */
int tfs_npy_header_read(const uint8_t *header, size_t len, struct tfs_catalog *catalog, struct tfs_npy_array *ret,
			struct tfs_error *err);

/*
 * Add the array under @name. Its data begins at @offset of the file or, if @deflated isn't NULL, at its skip in the stream that
 * begins there. 0 or tfs_catalog_add()'s error.
 */
int tfs_npy_add(struct tfs_catalog *catalog, const char *name, size_t name_len, const struct tfs_npy_array *array, uint64_t offset,
		const struct tfs_encoding *deflated);

#endif
