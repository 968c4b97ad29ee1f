/* SPDX-License-Identifier: MIT */
/* The levels of x86, and what they have in files of its own. */
#ifndef TFS_CONVERT_X86_LEVELS_H
#define TFS_CONVERT_X86_LEVELS_H

#include "convert/kernels.h"

extern const struct tfs_level tfs_level_avx2;	/* and F16C */
extern const struct tfs_level tfs_level_avx512; /* F, BW, DQ, VL */

/* Of GGUF's blocks. */
void tfs_quant_avx2(struct tfs_kernels *k);
void tfs_quant_avx512(struct tfs_kernels *k);

#endif
