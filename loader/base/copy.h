/* SPDX-License-Identifier: MIT */
#ifndef TFS_BASE_COPY_H
#define TFS_BASE_COPY_H

#include <stdlib.h>
#include <string.h>

/*
 * A copy of @len bytes with a 0 after them; the caller frees it. NULL: no memory. strndup() is for strings: what it is given may be
 * read to its 0, as AddressSanitizer does (strict_string_checks), and bytes out of a file have none.
 */
static inline char *tfs_copy_bytes(const char *s, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, s, len);
		copy[len] = 0;
	}
	return copy;
}

#endif
