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
 * Which of the @n pages from @offset on, where one begins, up to TFS_FILE_PAGES, are in the page cache: a bit for each, the lowest one first.
 * What is behind the file's end isn't. 0; -EPERM if the caller isn't the file's owner; another -errno.
 */
enum { TFS_FILE_PAGES = 4096, TFS_FILE_MAP = TFS_FILE_PAGES / 8 };
int tfs_file_pages(int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP]);

/*
 * Who is asked where the kernel doesn't tell this process, and answers as tfs_file_pages() does, with more rights. Of up to 64 KiB
 * tfs_file_all_cached() believes an answer for a twentieth of a second. Thread-safe. To be set before there are threads.
 */
typedef int tfs_file_pages_fn(void *arg, int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP]);
void tfs_file_ask(tfs_file_pages_fn *ask, void *arg);

/*
 * Does the page cache have all of that range, @len > 0? If the kernel doesn't tell this caller, the range is sampled by reads that
 * don't wait for storage; of which one that fails makes the kernel begin to read its page. 1 or 0; -EAGAIN: who is
 * asked has no time; another -errno: the kernel doesn't tell, and @fd is O_DIRECT, so that it can't be sampled.
 */
int tfs_file_all_cached(int fd, uint64_t offset, uint64_t len);

#endif
