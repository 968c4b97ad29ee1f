/* SPDX-License-Identifier: MIT */
/* Reading a range of a file whole. */
#ifndef TFS_BASE_FILE_H
#define TFS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Read exactly @len bytes at @offset of @fd into @buf. 0, or -errno with @err filled (it may be NULL); -EIO: the file ends
 * before them, so it was cut short since its size was asked.
 */
int tfs_file_read(int fd, void *buf, size_t len, uint64_t offset, struct tfs_error *err);

#endif
