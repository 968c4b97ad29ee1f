/* SPDX-License-Identifier: MIT */
/*
 * Tensors of a set as one safetensors file: the header, padded so that data begins at a multiple of 4096, and then the tensors in name
 * order, without holes. Either all of the set as they are stored, with the metadata of the set's files (model/metadata.h); or some, of
 * which those that are had by their values only (content/values.h) are that, in a type that anything loads. The model must outlive it.
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
 * Is there such a file? Not where the set has what the format can't express: other dtypes, blocks of GGUF for example, half a byte, a
 * tensor named __metadata__, or more names and metadata than the longest header has room for. Looks at every tensor.
 */
bool tfs_consolidated_possible(const struct tfs_set *set);

struct tfs_consolidated;

/* Of a set for which it is possible. -ENOMEM. */
int tfs_consolidated_create(const struct tfs_set *set, struct tfs_consolidated **ret_consolidated);
/*
 * Of the @n tensors @members of the set, which are sorted by name and no tensor called __metadata__: those that are tfs_valued() as an
 * array of @as, F32, F16 or BF16; all else must be of a type that the format has. @members is the file's from now on, malloc()ed. -ENOMEM,
 * -EFBIG: there are too many for a header.
 */
int tfs_consolidated_create_as(const struct tfs_set *set, const struct tfs_tensor **members, size_t n, const struct tfs_dtype *as,
			       struct tfs_consolidated **ret_consolidated);
/* What @t takes there. */
uint64_t tfs_consolidated_bytes(const struct tfs_tensor *t, const struct tfs_dtype *as);

void tfs_consolidated_destroy(struct tfs_consolidated *w); /* takes NULL */

uint64_t tfs_consolidated_size(const struct tfs_consolidated *w);

/* How its file is made: of all its bytes as they are. */
struct tfs_layout tfs_consolidated_layout(const struct tfs_consolidated *w);

/*
 * The part that @rq asks for, as tfs_extract() does. Where tensors are read from their sources each of these is checked. On failure
 * rq->err names the tensor.
 */
int tfs_consolidated_read(const struct tfs_consolidated *w, struct tfs_extractor *x, struct tfs_read_request *rq);

#endif
