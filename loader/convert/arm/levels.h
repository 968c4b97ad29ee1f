/* SPDX-License-Identifier: MIT */
/* The levels of aarch64, and those of their kernels that are in other files. */
#ifndef TFS_CONVERT_ARM_LEVELS_H
#define TFS_CONVERT_ARM_LEVELS_H

#include "convert/kernels.h"

extern const struct tfs_level tfs_level_neon;

/* Kernels for GGUF's blocks. */
void tfs_quant_neon(struct tfs_kernels *k);

#endif
