/* SPDX-License-Identifier: MIT */
/* The keys below a prefix: ListObjectsV2, page after page. Keys that no path can be are left out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "fetch/ask.h"
#include "fetch/pages.h"
#include "fetch/retry.h"
#include "fetch/s3.h"
#include "fetch/xml.h"
#include "remote/name.h"
#include "remote/protocol.h"

enum { MAX_RENEWALS = 3 };

struct lister {
	struct tfs_s3 *s;
	struct tfs_remote_listing listing;
	char *token; /* where the list goes on; NULL: at the beginning, or not */
	struct tfs_pages pages;
	unsigned renewals;
	size_t left_out;

	/* Of the page that is read. */
	char *key, *etag, *next;
	char *first; /* key */
	uint64_t size;
	int64_t mtime;
	bool has_size, truncated, encoded;
	int code;
};

static void ask_page(struct lister *l);

static void finish(struct lister *l, int code, const struct tfs_error *err)
{
	struct tfs_origin *o = &l->s->o;

	if (!code && l->left_out)
		tfs_fetch_warn(o->f, "%zu objects are left out, as their keys can't be paths", l->left_out);
	tfs_origin_listed(o, code, err, &l->listing);
	tfs_pages_fini(&l->pages);
	free(l->token);
	free(l->first);
	free(l->key);
	free(l->etag);
	free(l->next);
	free(l);
}

/* --- A page --------------------------------------------------------------------------------------------------------- */

static int keep(char **to, const char *text)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

/* As bytes: percent-encoded, and a blank as '+', if they are encoded. */
static char *decode(const struct lister *l, const char *text)
{
	cleanup_free char *plain = strdup(text);

	if (!plain || !l->encoded)
		return tfs_steal(plain);
	for (char *c = plain; *c; c++)
		if (*c == '+')
			*c = ' ';
	return tfs_url_decode(plain, strlen(plain));
}

static int add(struct lister *l)
{
	struct tfs_remote_listed file = { .size = l->size, .mtime = l->mtime, .kind = TFS_FETCH_NO_VERSION };
	cleanup_free char *key = l->key ? decode(l, l->key) : NULL;
	size_t n = strlen(l->s->prefix);
	bool strong = l->etag && tfs_head_etag_is_strong(l->etag);

	if (!l->key || !l->has_size)
		return -EPROTO;
	if (!key)
		return errno == ENOMEM ? -ENOMEM : -EPROTO;
	if (strncmp(key, l->s->prefix, n) != 0)
		return -EPROTO;
	/* The directory itself, as some programs create it. */
	if (!key[n] || key[strlen(key) - 1] == '/' || (l->s->file && strcmp(key + n, l->s->file) != 0))
		return 0;
	if (!tfs_remote_path_is_good(key + n)) {
		l->left_out++;
		return 0;
	}
	file.path = key + n;
	if (strong) {
		file.version = l->etag;
		file.kind = TFS_FETCH_ETAG;
	}
	return tfs_remote_listing_add(&l->listing, &file);
}

static int on_element(void *arg, const char *name, const char *text)
{
	struct lister *l = arg;
	char *end;
	int r = 0;

	if (!strcmp(name, "Key")) {
		r = keep(&l->key, text);
	} else if (!strcmp(name, "ETag")) {
		r = keep(&l->etag, text);
	} else if (!strcmp(name, "Size")) {
		errno = 0;
		l->size = strtoull(text, &end, 10);
		l->has_size = *text >= '0' && *text <= '9' && !*end && !errno;
	} else if (!strcmp(name, "LastModified")) {
		l->mtime = tfs_retry_time(text);
	} else if (!strcmp(name, "Contents")) {
		r = add(l);
		if (l->first)
			free(tfs_steal(l->key));
		else
			l->first = tfs_steal(l->key);
		free(tfs_steal(l->etag));
		l->has_size = false;
		l->mtime = 0;
	} else if (!strcmp(name, "IsTruncated")) {
		l->truncated = !strcmp(text, "true");
	} else if (!strcmp(name, "NextContinuationToken")) {
		r = keep(&l->next, text);
	}
	return r;
}

/* Whether keys are encoded is said after the first of them, by some. */
static int read_page(struct lister *l, char *text, size_t len, struct tfs_error *err)
{
	cleanup_free char *encoding = tfs_xml_find(text, len, "EncodingType");

	l->encoded = encoding && !strcmp(encoding, "url");
	l->truncated = false;
	free(tfs_steal(l->next));
	free(tfs_steal(l->first));
	return tfs_xml_read(text, len, on_element, l, err);
}

/* --- Pages ---------------------------------------------------------------------------------------------------------- */

static int name_listing(struct lister *l)
{
	struct tfs_remote_listing *t = &l->listing;
	struct tfs_s3 *s = l->s;
	const char *file = s->file ? s->file : "";
	size_t n = strlen(s->prefix);

	if (!*file && n)
		n--; /* its slash */
	if (asprintf(&t->origin, "s3://%s%s%.*s%s", s->bucket, n || *file ? "/" : "", (int)n, s->prefix, file) < 0) {
		t->origin = NULL;
		return -ENOMEM;
	}
	t->display = strdup(t->origin);
	t->authority = tfs_url_authority(&s->o.base);
	t->file = s->file ? strdup(s->file) : NULL;
	return t->display && t->authority && (t->file || !s->file) ? 0 : -ENOMEM;
}

static void done_listing(struct lister *l)
{
	struct tfs_error err = { 0 };
	int r;

	if (l->listing.n)
		r = name_listing(l);
	else
		r = tfs_error_set(&err, -ENOENT, TFS_NO_OFFSET, "s3://%s has nothing at %s%s%s", l->s->bucket, l->s->prefix,
				  l->s->file ? l->s->file : "", l->s->file ? "" : tfs_origin_no_weights(l->s->prefix));
	finish(l, r, &err);
}

/* To the next page. @host: who says so. */
static void go_on(struct lister *l, const char *host)
{
	struct tfs_error err = { 0 };
	int r = tfs_pages_go_on(&l->pages, l->next, l->first, &err);

	if (r == -EPROTO)
		tfs_error_set(&err, r, TFS_NO_OFFSET, "%s: %s", host, err.what);
	if (!r)
		r = tfs_origin_late(&l->s->o, &err);
	if (r) {
		finish(l, r, &err);
		return;
	}
	free(l->token);
	l->token = tfs_steal(l->next);
	ask_page(l);
}

static void on_page(struct tfs_ask *a, void *arg)
{
	struct lister *l = arg;
	struct tfs_origin *o = &l->s->o;
	struct tfs_error err = { 0 };
	char host[TFS_URL_SHOWN];
	int r;

	if (a->code) {
		finish(l, a->code, &a->err);
		return;
	}
	if (a->x.head.status != 200) {
		if (l->renewals++ < MAX_RENEWALS && o->ops->renew(o, &a->x, a->body, a->len)) {
			ask_page(l);
			return;
		}
		o->ops->explain(o, &a->x, a->body, a->len, &err);
		finish(l, err.code, &err);
		return;
	}
	tfs_url_show_host(&a->x.url, host);
	r = a->body ? read_page(l, a->body, a->len, &err) : -EPROTO;
	if (!r && l->truncated && (!l->next || !*l->next))
		r = -EPROTO;
	if (r == -EINVAL || r == -EPROTO)
		r = tfs_error_set(&err, -EPROTO, TFS_NO_OFFSET, "%s: its list of keys isn't understood%s%.200s", host,
				  *err.what ? ": " : "", err.what);
	if (r)
		finish(l, r, &err);
	else if (l->truncated && !(l->s->file && l->listing.n))
		go_on(l, host);
	else
		done_listing(l);
}

static void ask_page(struct lister *l)
{
	struct tfs_ask_spec spec = { .f = l->s->o.f, .done = on_page, .arg = l, .sign = tfs_origin_sign, .sign_arg = &l->s->o };
	cleanup_free char *prefix = NULL, *encoded = NULL, *token = NULL, *query = NULL;
	struct tfs_error err = { 0 };
	int r = -ENOMEM;

	spec.no_redirects = true; /* to another region: renew() knows better */
	if (asprintf(&prefix, "%s%s", l->s->prefix, l->s->file ? l->s->file : "") < 0)
		prefix = NULL;
	encoded = prefix ? tfs_url_encode(prefix, strlen(prefix), false) : NULL;
	token = l->token ? tfs_url_encode(l->token, strlen(l->token), false) : NULL;
	if (encoded && (token || !l->token) &&
	    asprintf(&query, "%s%s%sencoding-type=url&list-type=2%s%s", token ? "continuation-token=" : "", token ? token : "",
		     token ? "&" : "", *prefix ? "&prefix=" : "", encoded) < 0)
		query = NULL;
	if (query)
		r = tfs_s3_url(l->s, "", query, &spec.url, &err);
	if (!r)
		r = tfs_ask(&spec);
	if (r)
		finish(l, r, &err);
}

void tfs_s3_list(struct tfs_origin *o, const char *known)
{
	struct lister *l = calloc(1, sizeof *l);

	(void)known; /* there is no revision of a bucket */
	if (!l) {
		tfs_origin_listed(o, -ENOMEM, NULL, NULL);
		return;
	}
	l->s = tfs_container_of(o, struct tfs_s3, o);
	ask_page(l);
}
