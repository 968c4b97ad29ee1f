/* SPDX-License-Identifier: MIT */
/* Where a model's files are. What parsers read from is a struct tfs_input, whatever it is that holds the bytes. */
#ifndef TFS_STORAGE_H
#define TFS_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

struct tfs_input_ops {
	/* What tfs_input_read() says. */
	int (*read_at)(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, struct tfs_error *err);
};

/* A file that is open for reading. It has no position, so several threads may read it at once. */
struct tfs_input {
	const struct tfs_input_ops *ops;
	uint64_t size; /* as it was when the model was opened; there may be less by now */
	int fd;	       /* of a local file, for those who read it by other ways; else -1 */
};

/*
 * Read exactly @len bytes at @offset of @in into @buf. 0, or -errno with @err filled (it may be NULL); -EIO: the file ends
 * before them, so it was cut short since its size was asked.
 */
static inline int tfs_input_read(const struct tfs_input *in, void *buf, size_t len, uint64_t offset,
				 struct tfs_error *err)
{
	return in->ops->read_at(in, buf, len, offset, err);
}

/* The local file @fd, of which @size bytes are to be read. The descriptor stays the caller's. */
struct tfs_input tfs_input_of_fd(int fd, uint64_t size);

#endif
