/* SPDX-License-Identifier: MIT */
/*
 * The kernel's readahead of the mount. By default it requests 128 KiB at a time, so streaming a file takes many small round trips;
 * the loader reads ahead in its own chunks, so the kernel may as well request as much as fits in one request.
 */
#ifndef TFS_FS_READAHEAD_H
#define TFS_FS_READAHEAD_H

#include <sys/types.h>

/* Let the kernel read ahead @kib on that device. Requires the right to write to sysfs; without it nothing changes. */
void tfs_set_readahead(dev_t device, unsigned kib);

#endif
