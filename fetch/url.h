/* SPDX-License-Identifier: MIT */
/* URLs of http and https: read, joined, compared, shown. */
#ifndef TFS_FETCH_URL_H
#define TFS_FETCH_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Longest URL that is accepted. Signed ones of content delivery networks have 2 KiB. */
#define TFS_URL_MAX 16384u

/* Longest result of tfs_url_show(), with its NUL. */
#define TFS_URL_SHOWN 256u

struct tfs_url {
	char *text;   /* without fragment; malloc()ed, NULL: none */
	char *origin; /* scheme://host:port, in lower case, the port always given: who credentials are for; malloc()ed */
	size_t path;  /* position of the path in @text */
	size_t query; /* position of the '?', or the length of @text */
};

/*
 * Read @text. 0: the caller owns *@ret; -EINVAL, with @err filled (without quoting what may be a secret): not a URL of http or https,
 * or one with a user or password; -ENOMEM.
 */
int tfs_url_parse(const char *text, struct tfs_url *ret, struct tfs_error *err);

/* The URL that @relative, such as a Location or an href, names when it is found at @base. As tfs_url_parse(). */
int tfs_url_join(const struct tfs_url *base, const char *relative, struct tfs_url *ret, struct tfs_error *err);

/* A URL on @base's origin with the encoded path @path, which begins with a slash, and the query (without '?') @query, or NULL. */
int tfs_url_at(const struct tfs_url *base, const char *path, const char *query, struct tfs_url *ret, struct tfs_error *err);

int tfs_url_copy(const struct tfs_url *u, struct tfs_url *ret);

void tfs_url_fini(struct tfs_url *u); /* leaves it empty */

bool tfs_url_same_origin(const struct tfs_url *a, const struct tfs_url *b);
bool tfs_url_is_tls(const struct tfs_url *u);

/* The port that is always given in its origin. */
unsigned tfs_url_port(const struct tfs_url *u);

/* Scheme, host, and the port if it isn't the scheme's: malloc()ed, or NULL. */
char *tfs_url_authority(const struct tfs_url *u);

/* Scheme, host and path, without the query; of a long one the beginning. Returns @buf. */
const char *tfs_url_show(const struct tfs_url *u, char buf[static TFS_URL_SHOWN]);

/* The host, with its port if it isn't the scheme's. Returns @buf. */
const char *tfs_url_show_host(const struct tfs_url *u, char buf[static TFS_URL_SHOWN]);

/*
 * @s with everything but A-Z a-z 0-9 - . _ ~ as %XX, in upper case, and slashes as they are if @slashes: what Amazon calls
 * UriEncode, and RFC 3986 allows everywhere. malloc()ed, or NULL.
 */
char *tfs_url_encode(const char *s, size_t len, bool slashes);

/* The value of @name in the query of @u, decoded, malloc()ed; NULL: none. Names are compared without case. */
char *tfs_url_parameter(const struct tfs_url *u, const char *name);

#endif
