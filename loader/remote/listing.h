/* SPDX-License-Identifier: MIT */
/* The files of a remote model, as they are listed, and the table of them (remote/protocol.h). */
#ifndef TFS_REMOTE_LISTING_H
#define TFS_REMOTE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Files of one model. The daemon's limit of nodes is higher; a listing of so many takes minutes. */
#define TFS_REMOTE_LISTING_MAX (1u << 20)

/* Longest path, and name in it, and how deeply nested. */
enum { TFS_REMOTE_PATH_LENGTH = 4095, TFS_REMOTE_NAME_LENGTH = 255, TFS_REMOTE_PATH_DEPTH = 64 };

struct tfs_remote_listed {
	char *path, *version, *extra; /* malloc()ed; @version, @extra: NULL if there is none */
	uint64_t size;
	int64_t mtime;
	uint32_t kind; /* enum tfs_fetch_kind */
};

struct tfs_remote_listing {
	struct tfs_remote_listed *files;
	size_t n, room;
	char *origin, *revision, *display, *file, *authority; /* as in struct tfs_fetch_table; NULL: "" */
};

/* Add a copy. -EFBIG: more than TFS_REMOTE_LISTING_MAX; -ENOMEM. */
int tfs_remote_listing_add(struct tfs_remote_listing *l, const struct tfs_remote_listed *file);
void tfs_remote_listing_fini(struct tfs_remote_listing *l);

/* Is it a path that a table may have: relative, of components that are neither empty nor "." nor "..", within the limits? */
bool tfs_remote_path_is_good(const char *path);

/*
 * The table of @l, as a sealed memfd: *@ret_fd is the caller's. Sorts @l. What is listed twice, or is a file and a directory, is
 * there once, and counted in *@ret_left_out.
 */
int tfs_remote_listing_table(struct tfs_remote_listing *l, int *ret_fd, size_t *ret_left_out);

#endif
