/* SPDX-License-Identifier: MIT */
/*
 * Reads a file from its beginning to its end, field by field, little-endian, and skips what isn't needed: for formats whose table of
 * tensors is between their bytes. What is skipped isn't read. Nothing is allocated. Not thread-safe.
 *
 * Every function returns 0 or -errno with the error filled: -EINVAL if the file ends too early, or pread's error.
 */
#ifndef TFS_FORMAT_FORWARD_H
#define TFS_FORMAT_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

#define TFS_FORWARD_BUFFER ((size_t)64 << 10)

/* Embedded; large, so don't put it on the stack. */
struct tfs_forward {
	const struct tfs_input *in;
	struct tfs_error *err;
	uint64_t at; /* of the next byte to read; at most the file's size */

	/* Private. */
	uint64_t have_at; /* the buffered part: have bytes in buf, from byte have_at of the file */
	size_t have, want;
	uint8_t buf[TFS_FORWARD_BUFFER];
};

/* Begin at byte @at, which isn't beyond the end of @in. Both are the caller's. */
void tfs_forward_init(struct tfs_forward *f, const struct tfs_input *in, uint64_t at, struct tfs_error *err);

/* The next @len bytes into @dst. */
int tfs_forward_bytes(struct tfs_forward *f, void *dst, size_t len);

/* Pass over the next @len bytes. */
int tfs_forward_skip(struct tfs_forward *f, uint64_t len);

int tfs_forward_u8(struct tfs_forward *f, uint8_t *ret);
int tfs_forward_u16(struct tfs_forward *f, uint16_t *ret);
int tfs_forward_u32(struct tfs_forward *f, uint32_t *ret);
int tfs_forward_u64(struct tfs_forward *f, uint64_t *ret);

#endif
