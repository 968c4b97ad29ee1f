/* SPDX-License-Identifier: MIT */
/* Is an answer what was asked for: that part, of that version, as it is? */
#include <errno.h>
#include <string.h>

#include "fetch/get.h"
#include "fetch/origin.h"

size_t tfs_get_etag(const struct tfs_get *g, const struct tfs_exchange *x)
{
	const struct tfs_origin *o = g->f->origin;

	if (g->file->kind != TFS_FETCH_ETAG || (o->own_etags && !tfs_origin_is_at(o, &x->url)))
		return 0;
	return strcspn(g->file->version + 1, "\"") + 2;
}

int tfs_get_other_size(const struct tfs_file *file, uint64_t size, const char *host, struct tfs_error *err)
{
	return tfs_error_set(
		err, -ESTALE, TFS_NO_OFFSET,
		"%s: %s has %llu bytes, and was listed with %llu: it has changed, or the list is wrong. Mount again, to "
		"list it anew",
		host, file->path, (unsigned long long)size, (unsigned long long)file->size);
}

/* Is it still the version that the table says? @etag: tfs_get_etag(). */
static int check_version(const struct tfs_file *file, const struct tfs_head *h, size_t etag, const char *host,
			 struct tfs_error *err)
{
	uint64_t size = h->has_total ? h->total : h->length;

	if ((h->has_total || (!h->has_range && h->has_length)) && size != file->size)
		return tfs_get_other_size(file, size, host, err);
	if (etag && h->etag && (strlen(h->etag) != etag || strncmp(h->etag, file->version, etag)))
		return tfs_error_set(err, -ESTALE, TFS_NO_OFFSET,
				     "%s: %s has changed since it was listed: another ETag. Mount again", host, file->path);
	if (file->kind == TFS_FETCH_MODIFIED && h->modified && strcmp(h->modified, file->version))
		return tfs_error_set(err, -ESTALE, TFS_NO_OFFSET,
				     "%s: %s has changed since it was listed: Last-Modified is %s. Mount again", host, file->path,
				     h->modified);
	return 0;
}

/* Of a status 200 or 206: can it be understood? */
static int check_shape(const struct tfs_get *g, const struct tfs_head *h, const char *host, struct tfs_error *err)
{
	if (h->encoded)
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s: the answer is compressed, although it was asked not to be",
				     host);
	if (h->bad_range || (h->status == 206 && !h->has_range))
		return tfs_head_explain_range(h, g->at, g->end - 1, host, err);
	return 0;
}

/* Are these the bytes that were asked for? */
static int check_range(const struct tfs_get *g, const struct tfs_head *h, const char *host, struct tfs_error *err)
{
	if (h->has_range) { /* ModelScope: also with 200 */
		if (h->first != g->at || h->last >= g->end)
			return tfs_head_explain_range(h, g->at, g->end - 1, host, err);
		if (h->has_length && h->length != h->last - h->first + 1)
			return tfs_error_set(err, -EPROTO, h->first, "%s: Content-Range and Content-Length contradict each other",
					     host);
		return 0;
	}
	if (g->at || g->end != g->file->size || !h->has_length)
		return tfs_error_set(err, -EOPNOTSUPP, TFS_NO_OFFSET, "%s: it ignores ranges", host);
	return 0;
}

int tfs_get_check(const struct tfs_get *g, const struct tfs_exchange *x, struct tfs_error *err)
{
	const struct tfs_head *h = &x->head;
	char host[TFS_URL_SHOWN];
	int r;

	tfs_url_show_host(&x->url, host);
	r = check_shape(g, h, host, err);
	if (!r)
		r = check_version(g->file, h, tfs_get_etag(g, x), host, err);
	return r ? r : check_range(g, h, host, err);
}
