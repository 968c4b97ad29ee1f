/* SPDX-License-Identifier: MIT */
/*
 * The points of the IQ types: elements are not stored one by one but as the number of a point of 8 or 4 coordinates. Each set
 * has been chosen by ggml's authors to lie well among real weights, and is a part of the format: no rule makes it.
 *
 * A point is 16 bits: 8 coordinates of two bits (0 to 2) or 4 of three bits in a field of four (0 to 7), the first lowest.
 * What a coordinate stands for is the type's affair. Ordered by that number, which is ggml's order, too.
 */
#ifndef TFS_CONVERT_GRIDS_H
#define TFS_CONVERT_GRIDS_H

#include <stdint.h>

extern const uint16_t tfs_grid_iq2_xxs[256], tfs_grid_iq2_xs[512], tfs_grid_iq2_s[1024]; /* 8 coordinates */
extern const uint16_t tfs_grid_iq1[2048];						 /* 8; IQ1_S and IQ1_M */
extern const uint16_t tfs_grid_iq3_xxs[256], tfs_grid_iq3_s[512];			 /* 4 */

#endif
