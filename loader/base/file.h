/* SPDX-License-Identifier: MIT */
/* Ranges of files: reading one completely, and how much of one is in the page cache. */
#ifndef TFS_BASE_FILE_H
#define TFS_BASE_FILE_H

#include <stdbool.h>
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
 * @len of 0 means to the end. Asks cachestat(2) and, where that can't tell or is wrong (before Linux 6.5; on overlayfs it is
 * always 0), mincore(2). 0; -EPERM if the kernel won't tell, as the caller neither owns the file nor may write it; another -errno.
 */
int tfs_file_cached(int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages);

/*
 * Who is asked where the kernel doesn't tell this process, and answers as tfs_file_cached() does, with more rights. Thread-safe. To be
 * set before there are threads.
 */
typedef int tfs_file_cached_fn(void *arg, int fd, uint64_t offset, uint64_t len, uint64_t *ret_pages);
void tfs_file_ask(tfs_file_cached_fn *ask, void *arg);

/*
 * Does the page cache have all of that range, @len > 0? If the kernel doesn't tell this caller, the range is sampled by reads that
 * don't wait for storage; of which one that fails makes the kernel begin to read its page. False if nothing can tell.
 */
bool tfs_file_all_cached(int fd, uint64_t offset, uint64_t len);

#endif
