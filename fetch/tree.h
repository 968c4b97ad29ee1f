/* SPDX-License-Identifier: MIT */
/* The files of what was mounted: as they are listed, as a table for the daemon (remote/protocol.h), and as READ finds them. */
#ifndef TFS_FETCH_TREE_H
#define TFS_FETCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "fetch/url.h"

/* Files of one model. The daemon's limit of nodes is higher; a listing of so many takes minutes. */
#define TFS_LISTING_MAX_FILES (1u << 20)

/* Longest path, and name in it. */
enum { TFS_PATH_LENGTH = 4095, TFS_NAME_LENGTH = 255 };

/* --- What an origin lists ------------------------------------------------------------------------------------------- */

struct tfs_listed {
	char *path, *version, *extra; /* malloc()ed; @version, @extra: NULL if there is none */
	uint64_t size;
	int64_t mtime;
	uint32_t kind; /* enum tfs_fetch_kind */
};

struct tfs_listing {
	struct tfs_listed *files;
	size_t n, room;
	char *origin, *revision, *display, *file, *authority; /* as in struct tfs_fetch_table; NULL: "" */
};

/* Add a copy. -EFBIG: more than TFS_LISTING_MAX_FILES; -ENOMEM. */
int tfs_listing_add(struct tfs_listing *l, const struct tfs_listed *file);
void tfs_listing_fini(struct tfs_listing *l);

/* Is it a path that a table may have: relative, of components that are neither empty nor "." nor "..", within the limits? */
bool tfs_path_is_good(const char *path);

/*
 * The table of @l, as a sealed memfd: *@ret_fd is the caller's. Sorts @l. What is listed twice, or is a file and a directory, is
 * there once, and counted in *@ret_left_out.
 */
int tfs_listing_table(struct tfs_listing *l, int *ret_fd, size_t *ret_left_out);

/* --- What READ finds ------------------------------------------------------------------------------------------------ */

/* Where a file's bytes are. */
enum tfs_where {
	TFS_WHERE_DIRECT,    /* at its own URL */
	TFS_WHERE_UNKNOWN,   /* its own URL may lead elsewhere, and wasn't asked yet */
	TFS_WHERE_ASKING,    /* a request is on its way that will tell */
	TFS_WHERE_ELSEWHERE, /* at @at, until @until */
};

struct tfs_read;

struct tfs_file {
	const char *path, *version, *extra; /* in the tree's table; "": none */
	uint64_t size;
	uint32_t kind;
	struct tfs_tree *tree;

	enum tfs_where where;
	struct tfs_url at;
	double until;
	struct tfs_read *asker;	 /* of TFS_WHERE_ASKING, as long as it isn't sent */
	struct tfs_list queued;	 /* struct tfs_read that aren't sent, by offset */
	struct tfs_list waiting; /* struct tfs_read until it is known where */
};

struct tfs_tree {
	unsigned refs;
	void *table; /* mapped */
	size_t size;
	uint32_t n_files;
	struct tfs_file *files;
	const char *origin, *revision, *file;
};

/*
 * The tree of the table in @fd, every field and path of which is checked; @where: what is known about its files at first. -EINVAL:
 * it breaks the rules, @err says how.
 */
int tfs_tree_create(int fd, enum tfs_where where, struct tfs_tree **ret, struct tfs_error *err);
struct tfs_tree *tfs_tree_ref(struct tfs_tree *t);
void tfs_tree_unref(struct tfs_tree *t); /* takes NULL */

#endif
