/* SPDX-License-Identifier: MIT */
/* Ranges of files: what the page cache has of one. */
#ifndef TFS_BASE_FILE_H
#define TFS_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * How many of the pages (of sysconf(_SC_PAGESIZE) bytes) that [offset, offset + len) of @fd touches are in the page cache; a
 * @len of 0 is all to the end. 0; -ENOSYS where the kernel can't tell (before 6.5); -EPERM where it won't, to those who may not
 * write the file; -EOPNOTSUPP.
 */
int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages);

#endif
