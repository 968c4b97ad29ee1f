/* SPDX-License-Identifier: MIT */
#ifndef TFS_VIEW_NPY_H
#define TFS_VIEW_NPY_H

#include <stdint.h>

/*
 * A NumPy 1.0 header of TFS_VIEW_PREFIX_MAX bytes for a C-order array of @descr (without quotes; a list of fields, "[…]", of up to 2,500 bytes) and @ndim dimensions.
 * See numpy/lib/format.py.
 */
void tfs_npy_header(const char *descr, const uint64_t *shape, unsigned ndim, uint8_t *buf);

#endif
