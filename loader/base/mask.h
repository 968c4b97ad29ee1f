/* SPDX-License-Identifier: MIT */
/* URLs as users give them, for messages: without what may be a secret in them. */
#ifndef TFS_BASE_MASK_H
#define TFS_BASE_MASK_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a masked argument has at most, with its NUL. Of a longer one the beginning is kept. */
#define TFS_MASKED 4352

/* Does @s begin with a scheme and "://" (RFC 3986 3.1)? Returns the length of the scheme, or 0. */
size_t tfs_url_scheme(const char *s);

/*
 * @s, which may be a URL, into @buf (@size bytes, 8 or more), always with a NUL: of a URL user and password become ***, and what
 * follows a '?' or '#' does, too, as signatures and tokens are there. Anything else, such as a path, stays as it is. Returns @buf.
 */
const char *tfs_mask_url(const char *s, char *buf, size_t size);

#endif
