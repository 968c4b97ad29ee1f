/* SPDX-License-Identifier: MIT */
/*
 * The kernel's readahead of the mount. By default it asks for 128 KiB at a time, which makes a streamed file of many small
 * round trips; the loader reads ahead in chunks of its own, so the kernel may as well ask for as much as one request holds.
 */
#ifndef TFS_FS_READAHEAD_H
#define TFS_FS_READAHEAD_H

#include <sys/types.h>

/* Let the kernel read ahead @kib on that device. Takes the right to write to sysfs; without it nothing changes. */
void tfs_set_readahead(dev_t device, unsigned kib);

#endif
