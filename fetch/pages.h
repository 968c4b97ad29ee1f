/* SPDX-License-Identifier: MIT */
/* A listing in pages, each of which says where the next one is: does it get on? */
#ifndef TFS_FETCH_PAGES_H
#define TFS_FETCH_PAGES_H

#include "base/error.h"

/* Pages of one listing. Those of the hub and of S3 have 1,000 files. */
#define TFS_MAX_PAGES 5000u

/* All zero at first. */
struct tfs_pages {
	unsigned n; /* read so far */
	/* Of one of them, to which each later one is compared: where it said that the next one is, and its first file. NULL: none yet. */
	char *next, *first;
	unsigned until; /* another one takes its place once there are so many */
};

/*
 * A page was read that names @next: a URL or a token; @first: the first file in it, or NULL. 0: go on there; -EPROTO, with @err
 * filled: it leads back to where it was, or there are more than TFS_MAX_PAGES; -ENOMEM.
 */
int tfs_pages_go_on(struct tfs_pages *p, const char *next, const char *first, struct tfs_error *err);
void tfs_pages_fini(struct tfs_pages *p);

#endif
