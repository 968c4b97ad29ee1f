/* SPDX-License-Identifier: MIT */
/*
 * Tensors of a set as one safetensors file: the header, padded so that data begins at a multiple of 4096, then the tensors in name
 * order, without holes. Either as they are stored, with the metadata of the set's files (model/metadata.h); or those that are
 * tfs_valued() (content/values.h) are converted to a type that anything can load. The model must outlive it.
 */
#ifndef TFS_CONTENT_CONSOLIDATED_H
#define TFS_CONTENT_CONSOLIDATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "content/extract.h"
#include "content/view.h"
#include "model/model.h"

/*
 * Is there such a file? Not if the set has something that the format can't express: other dtypes such as GGUF's blocks, half a
 * byte, a tensor named __metadata__, or more names and metadata than the longest header can hold. Checks every tensor.
 */
bool tfs_consolidated_possible(const struct tfs_set *set);

struct tfs_consolidated;

/* For a set for which it is possible. -ENOMEM. */
int tfs_consolidated_create(const struct tfs_set *set, struct tfs_consolidated **ret_consolidated);
/* Which tensors are converted, and to what. */
struct tfs_conversion {
	const struct tfs_dtype *as; /* F32, F16 or BF16; NULL: all are as stored */
	bool floats;		    /* not only those that are tfs_valued(), but all of floating-point numbers */
};

/*
 * One of the @n tensors @members of the set, sorted by name, none called __metadata__: those that are converted as arrays of
 * @conversion's type; all others must have a dtype of the format. @members is malloc()ed, and owned by the file from now on. -ENOMEM;
 * -EFBIG: too many for a header.
 */
int tfs_consolidated_create_as(const struct tfs_set *set, const struct tfs_tensor **members, size_t n,
			       struct tfs_conversion conversion, struct tfs_consolidated **ret_consolidated);
/* Is @t converted? And its size there, in bytes. */
bool tfs_consolidated_converts(const struct tfs_tensor *t, struct tfs_conversion conversion);
uint64_t tfs_consolidated_bytes(const struct tfs_tensor *t, struct tfs_conversion conversion);

void tfs_consolidated_destroy(struct tfs_consolidated *w); /* takes NULL */

uint64_t tfs_consolidated_size(const struct tfs_consolidated *w);

/* The layout of its file: all bytes as they are. */
struct tfs_layout tfs_consolidated_layout(const struct tfs_consolidated *w);

/*
 * Read the part that @rq requests, like tfs_extract(). If tensors are read from their sources, each of these is checked. On failure
 * rq->err names the tensor.
 */
int tfs_consolidated_read(const struct tfs_consolidated *w, struct tfs_extractor *x, struct tfs_read_request *rq);

#endif
