/* SPDX-License-Identifier: MIT */
#ifndef TFS_VIEW_NPY_H
#define TFS_VIEW_NPY_H

#include <stddef.h>
#include <stdint.h>

/*
 * A NumPy 1.0 header for a C-order array of @descr (without quotes; a list of fields, "[…]", of up to 2,500 bytes) and @ndim
 * dimensions, padded so that the data begins at a multiple of @align bytes; with 64 it is what np.save() writes. Writes at most
 * TFS_VIEW_PREFIX_MAX bytes to @buf, which must have that much room. Returns their number. See numpy/lib/format.py.
 */
size_t tfs_npy_header(const char *descr, const uint64_t *shape, unsigned ndim, unsigned align, uint8_t *buf);

#endif
