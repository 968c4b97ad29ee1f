/* SPDX-License-Identifier: MIT */
/*
 * Errors with context. Functions return 0 or -errno; those that read files also fill a struct tfs_error, which says which file,
 * which byte, what was found and what would have been valid. The library never logs what it returns.
 */
#ifndef TFS_BASE_ERROR_H
#define TFS_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#define TFS_NO_OFFSET UINT64_MAX

struct tfs_error {
	int code;	 /* -errno, as the function returned it; 0: no error */
	uint64_t offset; /* byte offset in the file, or TFS_NO_OFFSET */
	char file[256];	 /* file the error is about, relative to the model directory; of a longer path the end is kept */
	char what[1280]; /* one line without a newline: what was found, and the limit it exceeds */
};

/*
 * Fill @err (may be NULL) with @code, @offset and the formatted text, leaving the file name as it is; returns @code.
 * Control characters in the text, which may quote hostile input, are replaced by '?'.
 */
int tfs_error_set(struct tfs_error *err, int code, uint64_t offset, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Name the file that an error is about. Keeps a name that is already set. */
void tfs_error_in(struct tfs_error *err, const char *file);

/*
 * "FILE: byte OFFSET: WHAT" into @buf, each part only if it is known, always NUL-terminated. TFS_ERROR_LINE bytes fit any error.
 * Returns @buf.
 */
#define TFS_ERROR_LINE 1664
const char *tfs_error_line(const struct tfs_error *err, char *buf, unsigned long size);

/* Does @text begin with the URL @url, or with one beneath it, so that it needn't be said before it? Of a path: false. */
bool tfs_error_names_url(const char *text, const char *url);

/*
 * The @len bytes at @s, which may be hostile, in double quotes into @buf (@size bytes, 16 or more): control characters and
 * NUL as \xNN, what doesn't fit replaced by "...". Returns @buf.
 */
#define TFS_QUOTE_SIZE 128
const char *tfs_quote(char *buf, unsigned long size, const char *s, unsigned long len);

#endif
