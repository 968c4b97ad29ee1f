/* SPDX-License-Identifier: MIT */
/*
 * Small parts of a file, wherever they are: tables that are spread over gigabytes. What is near the last part is usually in memory
 * already. Embedded; large, so don't put it on the stack. Not thread-safe.
 */
#ifndef TFS_FORMAT_WINDOW_H
#define TFS_FORMAT_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

#define TFS_WINDOW ((size_t)64 << 10)

struct tfs_window {
	const struct tfs_input *in;
	struct tfs_error *err;
	uint64_t at; /* the first of @have bytes in buf */
	size_t have, want;
	uint8_t buf[TFS_WINDOW];
};

/* @in and @err are the caller's, and outlive it. */
void tfs_window_init(struct tfs_window *w, const struct tfs_input *in, struct tfs_error *err);

/*
 * *@ret_bytes: the @len bytes, at most TFS_WINDOW, at @offset; valid until the next call. 0, or -errno with the error filled;
 * -EINVAL: the file ends before.
 */
int tfs_window_get(struct tfs_window *w, uint64_t offset, size_t len, const uint8_t **ret_bytes);

#endif
