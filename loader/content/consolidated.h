/* SPDX-License-Identifier: MIT */
/*
 * All tensors of a set as one safetensors file, as they are stored: the header, padded so that data begins at a multiple of 4096,
 * with the metadata of the set's files (model/metadata.h), and then the tensors in name order, without holes. Immutable; the model must
 * outlive it.
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
