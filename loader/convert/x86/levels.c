/* SPDX-License-Identifier: MIT */
#include "convert/x86/levels.h"

const struct tfs_level *const tfs_levels[] = { &tfs_level_scalar, &tfs_level_avx2, &tfs_level_avx512, NULL };
