/* SPDX-License-Identifier: MIT */
/* Credentials in files. What they are is in no error, no log and no message; memory that had one is wiped. */
#ifndef TFS_FETCH_SECRET_H
#define TFS_FETCH_SECRET_H

#include <stddef.h>

#include "base/error.h"
#include "fetch/url.h"

/* All of the file @path, at most @max bytes, followed by a NUL; for tfs_secret_free(). 0, or -errno (-EFBIG: it is longer). */
int tfs_secret_read(const char *path, size_t max, char **ret);

/* Wipes and frees a string; takes NULL. */
void tfs_secret_free(char *s);

/* The header line in the file @path: "Authorization: Bearer …", and nothing else. 0; -EINVAL with @err filled. */
int tfs_secret_header(const char *path, char **ret, struct tfs_error *err);

/* "login:password" of ~/.netrc (or $NETRC) for the host of @url; NULL: it has none. 0; -EINVAL with @err filled: it can't be read. */
int tfs_secret_netrc(const struct tfs_url *url, char **ret, struct tfs_error *err);

/* The same of the text of such a file, which is changed. 0 or -ENOMEM. */
int tfs_secret_netrc_find(char *text, const char *host, char **ret);

#endif
