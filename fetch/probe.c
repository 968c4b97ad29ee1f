/* SPDX-License-Identifier: MIT */
#include "fetch/probe.h"

#include <curl/curl.h>
#include <string.h>

#include "remote/protocol.h"

/* The best that there is: a strong ETag, else a date. */
static void read_version(const struct tfs_head *h, struct tfs_remote_listed *ret)
{
	ret->mtime = h->modified ? (int64_t)curl_getdate(h->modified, NULL) : 0;
	if (ret->mtime < 0)
		ret->mtime = 0;
	if (h->etag && tfs_head_etag_is_strong(h->etag)) {
		ret->kind = TFS_FETCH_ETAG;
		ret->version = h->etag;
	} else if (h->modified) {
		ret->kind = TFS_FETCH_MODIFIED;
		ret->version = h->modified;
	} else {
		ret->kind = TFS_FETCH_NO_VERSION;
	}
}

enum tfs_probed tfs_probe_read(const struct tfs_ask *a, struct tfs_remote_listed *ret)
{
	const struct tfs_head *h = &a->x.head;

	if (a->code)
		return TFS_PROBED_FAILED;
	if (h->status == 403 || h->status == 404 || h->status == 410)
		return TFS_PROBED_ABSENT;
	*ret = (struct tfs_remote_listed){ 0 };
	read_version(h, ret);
	if ((h->status == 206 || h->status == 200) && h->has_range && h->has_total && h->first == 0 && h->last == 0) {
		ret->size = h->total;
		return TFS_PROBED;
	}
	/* An empty file has no first byte. */
	if ((h->status == 416 && h->has_total && !h->total) || (h->status == 200 && !h->has_range && h->has_length && !h->length))
		return TFS_PROBED;
	return h->status == 200 ? TFS_PROBED_NO_RANGES : TFS_PROBED_FAILED;
}
