/* SPDX-License-Identifier: MIT */
#include "fetch/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "fetch/secret.h"
#include "remote/name.h"

static bool takes(const char *url)
{
	return !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
}

/* The last component of the path, decoded; NULL with errno EINVAL: none that a file may have. */
static char *file_name(const struct tfs_url *u)
{
	const char *path = u->text + u->path, *end = u->text + u->query, *slash = memrchr(path, '/', (size_t)(end - path));
	char *name;

	if (!slash) {
		errno = EINVAL;
		return NULL;
	}
	name = tfs_url_decode(slash + 1, (size_t)(end - slash - 1));
	if (name && (strchr(name, '/') || !tfs_remote_path_is_good(name))) {
		free(name);
		errno = EINVAL;
		return NULL;
	}
	return name;
}

/* The URL that was given. One with a password isn't accepted: it would be shown. */
static int parse(const char *text, struct tfs_url *ret, struct tfs_error *err)
{
	const char *host = strstr(text, "://"), *at = strchr(text, '@');
	struct tfs_error why = { 0 };
	int r = tfs_url_parse(text, ret, &why);

	if (r != -EINVAL)
		return r;
	return tfs_error_set(err, r, TFS_NO_OFFSET, "%s%s", why.what,
			     host && at && at < host + 3 + strcspn(host + 3, "/?#") ?
				     ", which is refused: credentials are given by --netrc or TENSORFS_AUTH_FILE" :
				     "");
}

/* Of an index: the URL becomes that of its directory. */
static int leave_index(struct tfs_http *h, struct tfs_error *err)
{
	struct tfs_url *u = &h->url, directory;
	const char *end = memrchr(u->text, '/', u->query);
	cleanup_free char *path = strndup(u->text + u->path, (size_t)(end + 1 - (u->text + u->path)));
	int r = path ? tfs_url_at(u, path, NULL, &directory, err) : -ENOMEM;

	if (r)
		return r;
	tfs_url_fini(u);
	*u = directory;
	h->index = tfs_steal(h->file);
	return 0;
}

static bool is_index(const char *name)
{
	static const char end[] = ".index.json";
	size_t len = strlen(name), n = strlen(end);

	return len > n && !strcmp(name + len - n, end);
}

/* Is the URL that of a weight file, or of an index of some? Else it is that of a directory, which gets a slash. */
static int read_url(struct tfs_http *h, struct tfs_error *err)
{
	struct tfs_url *u = &h->url, with_slash;
	cleanup_free char *path = NULL;
	int r = parse(h->o.f->options.url, u, err);

	if (r)
		return r;
	h->file = file_name(u);
	if (h->file && tfs_remote_is_weights(h->file))
		return 0;
	if (h->file && is_index(h->file) && !u->text[u->query])
		return leave_index(h, err);
	free(h->file);
	h->file = NULL;
	if (u->text[u->query])
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
				     "a URL with a query has to be that of a weight file, by the end of its name");
	if (u->text[u->query - 1] == '/')
		return 0;
	if (asprintf(&path, "%s/", u->text + u->path) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = tfs_url_at(u, path, NULL, &with_slash, err);
	if (r)
		return r;
	tfs_url_fini(u);
	*u = with_slash;
	return 0;
}

static void destroy(struct tfs_origin *o)
{
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);

	tfs_url_fini(&h->url);
	tfs_url_fini(&h->o.base);
	free(h->file);
	free(h->index);
	tfs_secret_free(h->header);
	tfs_secret_free(h->user);
	free(h);
}

static int read_credentials(struct tfs_http *h, struct tfs_error *err)
{
	const struct tfs_fetch_options *options = &h->o.f->options;
	const char *path = getenv("TENSORFS_AUTH_FILE");
	int r = 0;

	if (options->anonymous)
		return 0;
	if (path && *path)
		r = tfs_secret_header(path, &h->header, err);
	if (!r && options->netrc)
		r = tfs_secret_netrc(&h->url, &h->user, err);
	return r;
}

static int create(struct tfs_fetcher *f, struct tfs_origin **ret, struct tfs_error *err)
{
	struct tfs_http *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return -ENOMEM;
	h->o = (struct tfs_origin){ .ops = &tfs_origin_http, .f = f, .where = TFS_WHERE_DIRECT };
	r = read_url(h, err);
	if (!r)
		r = tfs_url_copy(&h->url, &h->o.base);
	if (!r)
		r = read_credentials(h, err);
	if (r)
		destroy(&h->o);
	else
		*ret = &h->o;
	return r;
}

int tfs_http_url(const struct tfs_http *h, const char *path, bool slash, struct tfs_url *ret, struct tfs_error *err)
{
	cleanup_free char *encoded = tfs_url_encode(path, strlen(path), true), *whole = NULL;

	if (!encoded || asprintf(&whole, "%s%s%s", h->url.text + h->url.path, encoded, slash ? "/" : "") < 0) {
		whole = NULL;
		return -ENOMEM;
	}
	return tfs_url_at(&h->url, whole, NULL, ret, err);
}

static int url_of(struct tfs_origin *o, const struct tfs_file *file, struct tfs_url *ret, struct tfs_error *err)
{
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);

	return h->file ? tfs_url_copy(&h->url, ret) : tfs_http_url(h, file->path, false, ret, err);
}

static int sign(struct tfs_origin *o, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);

	(void)err;
	if (!tfs_origin_is_at(o, &x->url))
		return 0;
	x->user = h->user;
	return h->header ? tfs_exchange_header(x, "%s", h->header) : 0;
}

/* What to do about @from, which refuses. */
static const char *advice(const struct tfs_http *h, const struct tfs_url *from)
{
	if (!tfs_origin_is_at(&h->o, from))
		return ": the origin redirects there, and it refuses; no credentials are sent to where redirects lead";
	if (h->header || h->user)
		return ": the credentials given aren't accepted";
	if (h->url.text[h->url.query])
		return ": what signs the URL has expired, or is wrong: put a new URL into the file";
	return ": it needs credentials (TENSORFS_AUTH_FILE, --netrc)";
}

static void explain(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len, struct tfs_error *err)
{
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);
	char shown[TFS_URL_SHOWN];

	(void)body;
	(void)len;
	tfs_origin_explain_status(x, err);
	if (x->head.status != 401 && x->head.status != 403)
		return;
	if (!tfs_origin_is_at(o, &x->url))
		tfs_url_show_host(&x->url, shown);
	else
		tfs_url_show(&x->url, shown);
	tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "%s: HTTP status %d%s", shown, x->head.status, advice(h, &x->url));
}

/* A table is of a file if, and only if, the URL is. */
static int adopt(struct tfs_origin *o, const struct tfs_tree *t, struct tfs_error *err)
{
	struct tfs_http *h = tfs_container_of(o, struct tfs_http, o);

	if (!*t->file == !h->file)
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a table of another URL");
}

const struct tfs_origin_ops tfs_origin_http = {
	.takes = takes,
	.create = create,
	.destroy = destroy,
	.list = tfs_http_list,
	.adopt = adopt,
	.url = url_of,
	.sign = sign,
	.explain = explain,
};
