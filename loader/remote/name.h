/* SPDX-License-Identifier: MIT */
/* What models are called: one has many URLs, of which one is its name, in the cache and for people. */
#ifndef TFS_REMOTE_NAME_H
#define TFS_REMOTE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "remote/table.h"

/* Digits of a commit: all, and as few as it is known by. */
enum { TFS_COMMIT = 40, TFS_COMMIT_LEAST = 7 };

/*
 * Is it a weight file by its name? These are the formats that tensorfs reads. A URL that ends so is of one file, and with a slash at its
 * end of a directory; any other one is of a directory.
 */
bool tfs_remote_is_weights(const char *name);

/*
 * The URL that is the name of the same: its scheme in lower case, without a slash at its end that says nothing, "models/" of the hub, and
 * "@main". The caller frees it. NULL: out of memory.
 */
char *tfs_remote_name(const char *url);

/* Where "@REVISION" of a URL of the hub begins; NULL: there is none. */
const char *tfs_remote_revision(const char *url);

/* Is @url the name of what was listed as @t, or that with its commit, by 7 digits or more, for the revision? */
bool tfs_remote_is_named(const struct tfs_remote_table *t, const char *url);

/* Decode %XX in @s. malloc()ed; NULL: out of memory, or (errno EINVAL) a '%' without two digits, or a NUL. */
char *tfs_url_decode(const char *s, size_t len);

#endif
