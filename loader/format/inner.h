/* SPDX-License-Identifier: MIT */
/*
 * Files within files: a weight file that an archive has as it is, without compressing it, is read where it lies. Its parser gets a
 * window of the archive (tfs_input_window()), and knows nothing of what is around it; the extents that it finds become extents of
 * the archive.
 */
#ifndef TFS_FORMAT_INNER_H
#define TFS_FORMAT_INNER_H

#include <stdint.h>

#include "base/error.h"

struct tfs_catalog;
struct tfs_format;
struct tfs_input;

/*
 * Read the file of @format that is the @size bytes of @outer from @base on, and add its tensors to @catalog, the one of @outer, with
 * names that begin with @prefix ("": as they are in the file). @file_name: the last component of the inner file's name. The format
 * isn't one that refers to other files (struct tfs_format.external). 0, or as its parse(): then nothing was added, and @err counts
 * from the start of @outer. -EINVAL also if the inner file doesn't lie within the outer one.
 */
int tfs_inner_read(const struct tfs_format *format, const struct tfs_input *outer, uint64_t base, uint64_t size,
		   const char *file_name, const char *prefix, struct tfs_catalog *catalog, struct tfs_error *err);

#endif
