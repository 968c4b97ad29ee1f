/* SPDX-License-Identifier: MIT */
/*
 * Signatures of Amazon's, version 4, of requests without a body. libcurl has them, too (CURLOPT_AWS_SIGV4), but 7.88 sends no
 * x-amz-content-sha256, several versions sort no query, and all sign a path as it is given.
 */
#ifndef TFS_FETCH_SIGV4_H
#define TFS_FETCH_SIGV4_H

#include <time.h>

#include "fetch/url.h"

/* SHA-256 of nothing: what x-amz-content-sha256 has to say. */
#define TFS_SIGV4_NO_BODY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct tfs_sigv4 {
	const char *id, *secret;
	const char *token; /* x-amz-security-token; NULL: none */
	const char *region, *service;
	time_t now;
};

/* A header that is signed, too: its name in lower case. */
struct tfs_sigv4_header {
	const char *name, *value;
};

enum { TFS_SIGV4_DATE = 17 };

/* "20130524T000000Z", what x-amz-date has to say. */
void tfs_sigv4_date(time_t now, char date[static TFS_SIGV4_DATE]);

/*
 * The value of Authorization for a GET of @url, whose path and query are encoded as tfs_url_encode() does; the query needn't be
 * sorted. Signed are host, x-amz-content-sha256 and x-amz-date (and x-amz-security-token), which the request must have, and the
 * @n ones of @more. malloc()ed, or NULL.
 */
char *tfs_sigv4_sign(const struct tfs_sigv4 *s, const struct tfs_url *url, const struct tfs_sigv4_header *more, size_t n);

#endif
