/* SPDX-License-Identifier: MIT */
#include "fetch/origin.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"

static const struct tfs_origin_ops *const origins[] = { &tfs_origin_hf, &tfs_origin_http, &tfs_origin_s3 };

int tfs_origin_create(struct tfs_fetcher *f, struct tfs_error *err)
{
	for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
		if (origins[i]->takes(f->options.url))
			return origins[i]->create(f, &f->origin, err);
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "not a URL of a kind that is understood: hf://, s3://, https://, http://");
}

void tfs_origin_destroy(struct tfs_fetcher *f)
{
	if (f->origin)
		f->origin->ops->destroy(f->origin);
	f->origin = NULL;
}

bool tfs_origin_is_at(const struct tfs_origin *o, const struct tfs_url *url)
{
	return o && tfs_url_same_origin(&o->base, url);
}

int tfs_origin_sign(void *arg, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_origin *o = arg;

	return o->ops->sign(o, x, err);
}

int tfs_origin_late(const struct tfs_origin *o, struct tfs_error *err)
{
	char host[TFS_URL_SHOWN];

	if (tfs_now() < o->late)
		return 0;
	return tfs_error_set(err, -ENETUNREACH, TFS_NO_OFFSET,
			     "%s: its list of files wasn't complete within %.0f s (--remote-timeout)",
			     tfs_url_show_host(&o->base, host), o->f->options.timeout);
}

void tfs_origin_explain_status(const struct tfs_exchange *x, struct tfs_error *err)
{
	char shown[TFS_URL_SHOWN];
	int status = x->head.status;

	tfs_url_show(&x->url, shown);
	switch (status) {
	case 401:
		tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "%s: HTTP status 401: it wants to know who you are", shown);
		break;
	case 403:
		tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "%s: HTTP status 403: access is forbidden", shown);
		break;
	case 404:
	case 410:
		tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "%s: HTTP status %d: not there", shown, status);
		break;
	case 429:
		tfs_error_set(err, -EBUSY, TFS_NO_OFFSET, "%s: HTTP status 429: too many requests", shown);
		break;
	default:
		tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s: HTTP status %d", shown, status);
	}
}

const char *tfs_origin_no_weights(const char *path)
{
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	for (size_t i = len; i-- && path[i] != '/';)
		if (path[i] == '.')
			return i + 1 < len && isalpha((unsigned char)path[i + 1]) ?
				       ", and a file of that name isn't one of weights: give the URL of the directory that it is in" :
				       "";
	return "";
}
