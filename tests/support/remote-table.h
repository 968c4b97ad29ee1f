/* SPDX-License-Identifier: MIT */
/* Tables of remote files (remote/protocol.h), as a fetcher makes them. */
#ifndef TFS_TEST_REMOTE_TABLE_H
#define TFS_TEST_REMOTE_TABLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/protocol.h"

struct made_file {
	const char *path;
	uint32_t kind;
	const char *version;
	uint64_t size;
};

/* Of @n files; malloc'd, of *@ret_size bytes. */
static inline char *make_table(const struct made_file *files, uint32_t n, size_t *ret_size)
{
	const char *names[] = { "http://host/dir", "1a2b3c", "http://host/dir@1a", "", "http://host" };
	uint32_t at = (uint32_t)(sizeof(struct tfs_fetch_table) + n * sizeof(struct tfs_fetch_node)), where[5];
	char *bytes = calloc(1, 1 << 20);
	struct tfs_fetch_table *t = (void *)bytes;
	struct tfs_fetch_node *nodes = (void *)(t + 1);

	for (int i = 0; i < 5; i++) {
		where[i] = at;
		strcpy(bytes + at, names[i]);
		at += (uint32_t)strlen(names[i]) + 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		nodes[i] = (struct tfs_fetch_node){ .size = files[i].size, .mtime = 1, .path = at, .kind = files[i].kind };
		strcpy(bytes + at, files[i].path);
		at += (uint32_t)strlen(files[i].path) + 1;
		nodes[i].version = at;
		strcpy(bytes + at, files[i].version);
		at += (uint32_t)strlen(files[i].version) + 1;
	}
	*t = (struct tfs_fetch_table){ .magic = TFS_FETCH_MAGIC,
				       .version = TFS_FETCH_VERSION,
				       .n_nodes = n,
				       .size = at,
				       .nodes = sizeof *t,
				       .origin = where[0],
				       .revision = where[1],
				       .display = where[2],
				       .file = where[3],
				       .authority = where[4] };
	*ret_size = at;
	return bytes;
}

#endif
