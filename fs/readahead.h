/* SPDX-License-Identifier: MIT */
/*
 * The kernel's readahead of the mount. By default it asks for 128 KiB at a time, which makes a streamed file of many small
 * round trips; the loader reads ahead in chunks of its own, so the kernel may as well ask for as much as one request holds.
 */
#ifndef TFS_FS_READAHEAD_H
#define TFS_FS_READAHEAD_H

#include <sys/types.h>

/* The device number of the file system mounted last at @mountpoint, an absolute path; 0: not found. Asks /proc, not the mount. */
dev_t tfs_mount_device(const char *mountpoint);

/* Let the kernel read ahead @kib on that device. Takes the right to write to sysfs; without it nothing changes. */
void tfs_set_readahead(dev_t device, unsigned kib);

#endif
