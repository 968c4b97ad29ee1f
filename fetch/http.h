/* SPDX-License-Identifier: MIT */
/* The origin of http:// and https://: http.c is what it is, http-list.c how it lists. */
#ifndef TFS_FETCH_HTTP_H
#define TFS_FETCH_HTTP_H

#include "fetch/origin.h"

struct tfs_http {
	struct tfs_origin o;
	struct tfs_url url; /* as it was given; of a directory with a slash at the end */
	char *file;	    /* the name of the file that it is of; NULL: a directory, … */
	char *index;	    /* … of which the files that this one names are wanted, or NULL: all */
	char *header;	    /* a line with credentials, or NULL */
	char *user;	    /* "user:password" for Basic, or NULL */
};

void tfs_http_list(struct tfs_origin *o, const char *known);

/* The URL of @path, which is relative to the directory; @slash: with one at its end. */
int tfs_http_url(const struct tfs_http *h, const char *path, bool slash, struct tfs_url *ret, struct tfs_error *err);

#endif
