/* SPDX-License-Identifier: MIT */
/* Ranges of files: reading one completely, and how much of one is in the page cache. */
#ifndef TFS_BASE_FILE_H
#define TFS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Read exactly @len bytes at @offset of @fd into @buf. 0, or -errno with @err filled (it may be NULL); -EIO: the file ends
 * earlier, so it was truncated since its size was read.
 */
int tfs_file_read(int fd, void *buf, size_t len, uint64_t offset, struct tfs_error *err);

/*
 * How many of the pages (of sysconf(_SC_PAGESIZE) bytes) that [offset, offset + len) of @fd touches are in the page cache; a
 * @len of 0 means to the end. 0; -ENOSYS if the kernel can't tell (before 6.5); -EPERM if it won't, as the caller may not write the
 * file; -EOPNOTSUPP.
 */
int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages);

#endif
