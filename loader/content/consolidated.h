/* SPDX-License-Identifier: MIT */
/*
 * All tensors of a set as one safetensors file, as they are stored: the header, padded so that data begins at a multiple of 4096,
 * with the metadata of the set's files (model/metadata.h), and then the tensors in name order, without holes. Immutable; the model must
 * outlive it.
 */
#ifndef TFS_WHOLE_H
#define TFS_WHOLE_H

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
bool tfs_whole_possible(const struct tfs_set *set);

struct tfs_whole;

/* Of a set for which it is possible. -ENOMEM. */
int tfs_whole_create(const struct tfs_set *set, struct tfs_whole **ret_whole);
void tfs_whole_destroy(struct tfs_whole *w); /* takes NULL */

uint64_t tfs_whole_size(const struct tfs_whole *w);

/* How its file is made: of all its bytes as they are. */
struct tfs_layout tfs_whole_layout(const struct tfs_whole *w);

/*
 * The part that @rq asks for, as tfs_extract() does. Where tensors are read from their sources each of these is checked. On failure
 * rq->err names the tensor.
 */
int tfs_whole_read(const struct tfs_whole *w, struct tfs_extractor *x, struct tfs_read_request *rq);

#endif
