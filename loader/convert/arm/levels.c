/* SPDX-License-Identifier: MIT */
#include "convert/arm/levels.h"

const struct tfs_level *const tfs_levels[] = { &tfs_level_scalar, &tfs_level_neon, NULL };
