/* SPDX-License-Identifier: MIT */
/* What to do with an answer that isn't the one that was wanted: the same for small requests and for ranges. */
#ifndef TFS_FETCH_RETRY_H
#define TFS_FETCH_RETRY_H

#include <stdbool.h>
#include <time.h>

#include "fetch/head.h"
#include "fetch/url.h"

/*
 * Requests that repeat a small one, but for 429, and redirects of one, at most. Ranges are repeated until the time is over.
 */
enum { TFS_MAX_RETRIES = 5, TFS_MAX_REDIRECTS = 5 };

/* Seconds until a request is tried again whose credentials are being renewed. */
#define TFS_SIGN_AGAIN 0.05

/* Seconds until the @n-th retry, from 0 on: up to 0.25 s · 2^n, at most 8 s, any part of that (full jitter). */
double tfs_retry_delay(unsigned n);

/* May the request succeed if it is repeated? 408, 425, 429, and 5xx but those that say that it isn't implemented. */
bool tfs_retry_status(int status);

/* 429 and 503: too much. */
bool tfs_retry_is_throttled(int status);

/* Is it a redirect, with a Location? */
bool tfs_retry_is_redirect(const struct tfs_head *h);

/* Where the answer @h to @from leads. 0; -EPROTO: not a URL, or from https to http. */
int tfs_retry_redirect(const struct tfs_url *from, const struct tfs_head *h, struct tfs_url *ret, struct tfs_error *err);

/* A time as "20261129T101500Z" or "2026-11-29T10:15:00Z", of UTC; 0: it isn't one. */
time_t tfs_retry_time(const char *s);

/*
 * When a signed URL (CloudFront's Expires, S3's and others' X-Amz-Date + X-Amz-Expires, Google's X-Goog-…, Azure's se) ends to be
 * good, in seconds from now; 0: it doesn't say.
 */
double tfs_retry_expires(const struct tfs_url *u);

#endif
