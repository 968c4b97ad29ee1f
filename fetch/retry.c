/* SPDX-License-Identifier: MIT */
#include "fetch/retry.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"

double tfs_retry_delay(unsigned n)
{
	double most = n < 5 ? 0.25 * (1u << n) : 8;
	unsigned random = 1u << 31;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	return most * ((double)random / 4294967296.0);
}

bool tfs_retry_status(int status)
{
	return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

bool tfs_retry_is_throttled(int status)
{
	return status == 429 || status == 503;
}

bool tfs_retry_is_redirect(const struct tfs_head *h)
{
	return h->location && (h->status == 301 || h->status == 302 || h->status == 303 || h->status == 307 || h->status == 308);
}

int tfs_retry_redirect(const struct tfs_url *from, const struct tfs_head *h, struct tfs_url *ret, struct tfs_error *err)
{
	char shown[TFS_URL_SHOWN];
	int r = tfs_url_join(from, h->location, ret, err);

	if (r == -ENOMEM)
		return r;
	if (r)
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s redirects to something that can't be followed",
				     tfs_url_show(from, shown));
	if (tfs_url_is_tls(from) && !tfs_url_is_tls(ret)) {
		tfs_url_fini(ret);
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s redirects from https to http, which isn't followed",
				     tfs_url_show(from, shown));
	}
	return 0;
}

time_t tfs_retry_time(const char *s)
{
	struct tm tm = { 0 };

	if (sscanf(s, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 &&
	    sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return timegm(&tm);
}

static double by_date(const struct tfs_url *u, const char *date_name, const char *expires_name)
{
	cleanup_free char *date = tfs_url_parameter(u, date_name), *expires = tfs_url_parameter(u, expires_name);
	time_t from = date ? tfs_retry_time(date) : time(NULL); /* CloudFront's have none: they were made just now */

	return from && expires ? (double)(from - time(NULL)) + strtod(expires, NULL) : 0;
}

double tfs_retry_expires(const struct tfs_url *u)
{
	cleanup_free char *expires = tfs_url_parameter(u, "Expires"), *se = tfs_url_parameter(u, "se");
	double left = by_date(u, "X-Amz-Date", "X-Amz-Expires");

	if (left == 0)
		left = by_date(u, "X-Goog-Date", "X-Goog-Expires");
	if (left == 0 && expires)
		left = strtod(expires, NULL) - (double)time(NULL);
	if (left == 0 && se && tfs_retry_time(se))
		left = (double)(tfs_retry_time(se) - time(NULL));
	return isfinite(left) && left > 0 ? left : 0;
}
