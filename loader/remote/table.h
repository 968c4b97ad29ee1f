/* SPDX-License-Identifier: MIT */
/* A table of files (remote/protocol.h), checked: it comes from the fetcher, which reads what strangers send, or from a cache on disk. */
#ifndef TFS_REMOTE_TABLE_H
#define TFS_REMOTE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "remote/protocol.h"

/* Paths and versions are no longer than this. */
enum { TFS_TABLE_MAX_STRING = 4095 };

struct tfs_remote_table {
	char *bytes; /* all of it; everything below points into it */
	size_t size;
	uint32_t n;
	const struct tfs_fetch_node *nodes;
	const char *origin, *revision, *display, *file, *authority;
};

/*
 * Take ownership of the @size bytes at @bytes (malloc'd), and check them. 0; -EPROTO: they aren't a table, @err says why; they are
 * freed.
 */
int tfs_remote_table_take(char *bytes, size_t size, struct tfs_remote_table *ret_table, struct tfs_error *err);

/* The same of the bytes of the file @fd, which are read, up to @max. Also -EFBIG, -ENOMEM, -EIO. */
int tfs_remote_table_read(int fd, size_t max, struct tfs_remote_table *ret_table, struct tfs_error *err);

void tfs_remote_table_fini(struct tfs_remote_table *t); /* accepts one of zeros */

/* A string of a checked table. */
static inline const char *tfs_remote_table_string(const struct tfs_remote_table *t, uint32_t at)
{
	return t->bytes + at;
}

#endif
