/* SPDX-License-Identifier: MIT */
/* The files of what was mounted, as READ finds them. */
#ifndef TFS_FETCH_TREE_H
#define TFS_FETCH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "fetch/url.h"

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
