/* SPDX-License-Identifier: MIT */
/* An architecture without kernels of its own. */
#include "convert/kernels.h"

const struct tfs_level *const tfs_levels[] = { &tfs_level_scalar, NULL };
