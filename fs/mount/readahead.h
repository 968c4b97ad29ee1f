/* SPDX-License-Identifier: MIT */
/*
 * The kernel's readahead of the mount. By default it requests 128 KiB at a time, so streaming a file takes many small round trips;
 * the loader reads ahead in its own chunks, so the kernel may as well request as much as fits in one request.
 */
#ifndef TFS_FS_READAHEAD_H
#define TFS_FS_READAHEAD_H

#include <sys/types.h>

/* The setting of @device, for tfs_readahead_set(): a descriptor; -1: this user can't change it. */
int tfs_readahead_open(dev_t device);

/* Let the kernel read ahead @kib. Only after it has been answered INIT, which sets it, too. */
void tfs_readahead_set(int fd, unsigned kib);

#endif
