/* SPDX-License-Identifier: MIT */
/*
 * A catalog: the tensors that files declare, as immutable tables. A format parses one file into a catalog of its own;
 * the model merges the catalogs of one weight set (see model.h). Building is single-threaded, reading needs no lock.
 */
#ifndef TFS_CATALOG_H
#define TFS_CATALOG_H

#include <stddef.h>
#include <stdint.h>

#include "dtype.h"

/*
 * Dimensions we accept. NumPy stops at 64 (since 2.0), torch at 64, ggml at 4; more than that is no tensor but an attack
 * on whoever multiplies them.
 */
#define TFS_MAX_DIMS 64

/*
 * One tensor. 56 bytes, as a model has up to a million of them. All pointers belong to the catalog.
 * The bytes are those of the file at [offset, offset + nbytes), in C order and little-endian.
 */
struct tfs_tensor {
	const char *name; /* @name_len bytes, any but ill-formed UTF-8; may contain NUL; also NUL-terminated */
	const struct tfs_dtype *dtype;
	const uint64_t *shape; /* @ndim entries, row-major, slowest first, in elements */
	uint64_t offset;       /* byte offset in the source file */
	uint64_t nbytes;
	uint32_t name_len;
	uint32_t source; /* node of the source file in the model (struct tfs_model.nodes) */
	uint8_t ndim;
};

struct tfs_catalog;

struct tfs_catalog *tfs_catalog_create(void);
void tfs_catalog_destroy(struct tfs_catalog *c); /* takes NULL */

/*
 * Room for @tensors tensors, with @name_bytes bytes of names and @dims dimensions in all, so that adding that many takes
 * exactly the memory they need. 0 or -ENOMEM.
 */
int tfs_catalog_reserve(struct tfs_catalog *c, size_t tensors, size_t name_bytes, size_t dims);

/*
 * Append a tensor; name and shape are copied. -ENOMEM, or -E2BIG above UINT32_MAX tensors, bytes of name, or
 * TFS_MAX_DIMS. The tensor's source is set later, by the model.
 */
int tfs_catalog_add(struct tfs_catalog *c, const char *name, size_t name_len, const struct tfs_dtype *dtype,
		    const uint64_t *shape, unsigned ndim, uint64_t offset, uint64_t nbytes);

/* The tensors in the order they were added; valid until the next add or destroy. */
struct tfs_tensor *tfs_catalog_tensors(struct tfs_catalog *c, size_t *ret_count);

/* Order the tensors by name; those of one name keep their order. Cheap where they are in order. 0 or -ENOMEM. */
int tfs_catalog_sort(struct tfs_catalog *c);

/* Free the table of tensors, but keep the names and shapes: copies of the tensors stay valid until destroy. */
void tfs_catalog_drop_table(struct tfs_catalog *c);

#endif
