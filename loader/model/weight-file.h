/* SPDX-License-Identifier: MIT */
/* One weight file, or one index, of a model that is being built. Private to model/. */
#ifndef TFS_MODEL_WEIGHT_FILE_H
#define TFS_MODEL_WEIGHT_FILE_H

#include "model/candidates.h"
#include "model/impl.h"

/*
 * Parse it: fills its catalog or its index, or else its error; or says that it is something else than its name may mean. Touches nothing
 * but @file and what it takes from the budget for parsing, so files can be parsed in parallel.
 */
void tfs_weight_file_parse(struct tfs_model_impl *m, struct tfs_weight_file *file);

/* Back to before it was parsed: its results are freed. */
void tfs_weight_file_clear(struct tfs_weight_file *file);

#endif
