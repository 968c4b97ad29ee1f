/* SPDX-License-Identifier: MIT */
/* The files of a repository: which commit it is (one request, none if a commit was given), then its tree, by pages of 1,000. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "base/copy.h"
#include "base/json.h"
#include "fetch/ask.h"
#include "fetch/hf.h"
#include "fetch/pages.h"
#include "remote/protocol.h"

struct lister {
	struct tfs_hf *h;
	struct tfs_remote_listing listing;
	char *known;
	char *commit;
	struct tfs_pages pages;
	char *first;  /* the path of the first entry of the page that is read */
	bool renewed; /* the token was read again */
};

static void finish(struct lister *l, int code, const struct tfs_error *err)
{
	struct tfs_origin *o = &l->h->o;

	tfs_origin_listed(o, code, err, &l->listing);
	tfs_pages_fini(&l->pages);
	free(l->first);
	free(l->known);
	free(l->commit);
	free(l);
}

static void fail(struct lister *l, int code)
{
	struct tfs_error err = { .code = code };

	finish(l, code, &err);
}

static void fail_protocol(struct lister *l, const char *what, const char *why)
{
	struct tfs_error err = { 0 };
	char host[TFS_URL_SHOWN];

	finish(l,
	       tfs_error_set(&err, -EPROTO, TFS_NO_OFFSET, "%s: %s%s%s", tfs_url_show_host(&l->h->o.base, host), what,
			     *why ? ": " : "", why),
	       &err);
}

static int ask(struct lister *l, struct tfs_url *url, void (*done)(struct tfs_ask *, void *))
{
	struct tfs_ask_spec spec = { .f = l->h->o.f, .url = *url, .accept = "application/json", .done = done, .arg = l };

	spec.sign = tfs_origin_sign;
	spec.sign_arg = &l->h->o;
	return tfs_ask(&spec);
}

/* The answer isn't 200: ask once more with a token that was replaced, or end. */
static void on_error(struct lister *l, struct tfs_ask *a, void (*done)(struct tfs_ask *, void *))
{
	struct tfs_origin *o = &l->h->o;
	struct tfs_error err = { 0 };
	struct tfs_url url;

	if (!a->code && !l->renewed && o->ops->renew(o, &a->x, a->body, a->len)) {
		l->renewed = true;
		if (!tfs_url_copy(&a->x.url, &url) && !ask(l, &url, done))
			return;
		fail(l, -ENOMEM);
		return;
	}
	if (a->code) {
		finish(l, a->code, &a->err);
		return;
	}
	o->ops->explain(o, &a->x, a->body, a->len, &err);
	finish(l, err.code, &err);
}

/* --- Tree ----------------------------------------------------------------------------------------------------------- */

struct entry {
	bool is_file;
	struct tfs_json_text path, oid, sha256;
	uint64_t size, lfs_size;
	bool has_size, has_lfs;
};

static int read_lfs(struct tfs_json *j, struct entry *e)
{
	struct tfs_json_text key;
	int r;

	if (tfs_json_peek(j) == TFS_JSON_NULL)
		return tfs_json_skip(j);
	for (r = tfs_json_object_begin(j); !r && (r = tfs_json_object_next(j, &key)) > 0;) {
		if (tfs_json_is(&key, "oid") || tfs_json_is(&key, "sha256"))
			r = tfs_json_string(j, &e->sha256);
		else if (tfs_json_is(&key, "size"))
			r = tfs_json_u64(j, &e->lfs_size);
		else
			r = tfs_json_skip(j);
	}
	e->has_lfs = true;
	return r;
}

static int read_entry(struct tfs_json *j, struct entry *e)
{
	struct tfs_json_text key, type;
	int r;

	for (r = tfs_json_object_begin(j); !r && (r = tfs_json_object_next(j, &key)) > 0;) {
		if (tfs_json_is(&key, "type")) {
			r = tfs_json_string(j, &type);
			e->is_file = !r && tfs_json_is(&type, "file");
		} else if (tfs_json_is(&key, "path")) {
			r = tfs_json_string(j, &e->path);
		} else if (tfs_json_is(&key, "oid")) {
			r = tfs_json_string(j, &e->oid);
		} else if (tfs_json_is(&key, "size")) {
			r = tfs_json_u64(j, &e->size);
			e->has_size = true;
		} else if (tfs_json_is(&key, "lfs")) {
			r = read_lfs(j, e);
		} else {
			r = tfs_json_skip(j);
		}
	}
	return r;
}

static bool is_hex(const struct tfs_json_text *t, size_t len)
{
	return t->s && t->len == len && strspn(t->s, "0123456789abcdef") == len;
}

/* @path relative to the directory that is mounted; NULL: it isn't in it. */
static const char *relative(const struct tfs_hf *h, const char *path)
{
	size_t len = strlen(h->name.dir);

	if (!len)
		return path;
	return !strncmp(path, h->name.dir, len) && path[len] == '/' ? path + len + 1 : NULL;
}

static int add(struct lister *l, struct entry *e, struct tfs_error *err)
{
	struct tfs_remote_listed file = { .size = e->has_lfs ? e->lfs_size : e->size };
	const char *path;

	if (!l->first && e->path.s)
		l->first = strdup(e->path.s);
	if (!e->is_file)
		return 0;
	if (e->sha256.s && e->sha256.len > 7 && !strncmp(e->sha256.s, "sha256:", 7)) {
		e->sha256.s += 7;
		e->sha256.len -= 7;
	}
	if (!e->path.s || memchr(e->path.s, 0, e->path.len) || !e->has_size)
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "a file without a path or size");
	path = relative(l->h, e->path.s);
	if (!path || (l->h->name.file && strcmp(path, l->h->name.file) != 0))
		return 0;
	if (!tfs_remote_path_is_good(path))
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "a path that no file can have: %.100s", e->path.s);
	if (e->has_lfs ? !is_hex(&e->sha256, 64) : !is_hex(&e->oid, 40))
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%.100s has no hash", e->path.s);
	file.path = (char *)(uintptr_t)path;
	file.version = (char *)(uintptr_t)(e->has_lfs ? e->sha256.s : e->oid.s);
	file.kind = e->has_lfs ? TFS_FETCH_SHA256 : TFS_FETCH_GIT_SHA1;
	return tfs_remote_listing_add(&l->listing, &file);
}

static int read_tree(struct lister *l, char *text, size_t len, struct tfs_error *err)
{
	struct tfs_json j;
	int r;

	free(tfs_steal(l->first));
	tfs_json_init(&j, text, len, 0, err);
	for (r = tfs_json_array_begin(&j); !r && (r = tfs_json_array_next(&j)) > 0;) {
		struct entry e = { 0 };

		r = read_entry(&j, &e);
		if (!r)
			r = add(l, &e, err);
	}
	return r ? r : tfs_json_end(&j);
}

static int name_listing(struct lister *l)
{
	l->listing.authority = tfs_url_authority(&l->h->o.base);
	return l->listing.authority ? tfs_hf_name_listing(&l->h->name, l->commit, &l->listing) : -ENOMEM;
}

static void done_listing(struct lister *l)
{
	struct tfs_error err = { 0 };
	int r;

	if (!l->listing.n && l->h->name.path)
		r = tfs_error_set(&err, -ENOENT, TFS_NO_OFFSET, "%s has no %s%s at revision %s%s", l->h->name.repo,
				  l->h->name.file ? "" : "directory ", l->h->name.path, l->commit,
				  l->h->name.file ? "" : tfs_origin_no_weights(l->h->name.path));
	else
		r = name_listing(l);
	finish(l, r, &err);
}

static void on_tree(struct tfs_ask *a, void *arg);

/* The next page is at @link, found in the answer @a. */
static void follow(struct lister *l, const struct tfs_ask *a, const char *link)
{
	struct tfs_error err = { 0 };
	struct tfs_url next;
	int r;

	if (tfs_url_join(&a->x.url, link, &next, &err)) {
		fail_protocol(l, "its list of files goes on where it can't be followed", "");
		return;
	}
	r = tfs_pages_go_on(&l->pages, next.text, l->first, &err);
	if (!r)
		r = tfs_origin_late(&l->h->o, &err);
	if (!r && tfs_origin_is_at(&l->h->o, &next)) {
		if (ask(l, &next, on_tree))
			fail(l, -ENOMEM);
		return;
	}
	tfs_url_fini(&next);
	if (r == -EPROTO)
		fail_protocol(l, err.what, "");
	else if (r)
		finish(l, r, &err);
	else
		fail_protocol(l, "its list of files goes on at another host", "");
}

static void on_tree(struct tfs_ask *a, void *arg)
{
	struct lister *l = arg;
	struct tfs_error err = { 0 };
	int r;

	if (a->code || a->x.head.status != 200) {
		on_error(l, a, on_tree);
		return;
	}
	r = read_tree(l, a->body, a->len, &err);
	if (r == -ENOMEM || r == -EFBIG) {
		fail(l, r);
	} else if (r) {
		fail_protocol(l, "its list of files isn't understood", err.what);
	} else if (!a->x.head.next) {
		done_listing(l);
	} else {
		follow(l, a, a->x.head.next);
	}
}

static void ask_tree(struct lister *l)
{
	struct tfs_hf *h = l->h;
	cleanup_free char *dir = tfs_url_encode(h->name.dir, strlen(h->name.dir), true), *what = NULL;
	struct tfs_error err = { 0 };
	struct tfs_url url;

	if (!dir || asprintf(&what, "tree/%s%s%s", l->commit, *dir ? "/" : "", dir) < 0) {
		what = NULL;
		fail(l, -ENOMEM);
	} else if (tfs_hf_api(h, what, h->name.file ? "limit=1000" : "recursive=true&limit=1000", &url, &err) ||
		   ask(l, &url, on_tree)) {
		fail(l, -ENOMEM);
	}
}

/* --- Revision ------------------------------------------------------------------------------------------------------- */

static int take_commit(struct lister *l, const struct tfs_json_text *sha)
{
	free(l->commit);
	l->commit = tfs_copy_bytes(sha->s, sha->len);
	return l->commit ? 0 : -ENOMEM;
}

/* A repository that was renamed says its new name. */
static int take_name(struct lister *l, const struct tfs_json_text *id)
{
	struct tfs_hf_name *name = &l->h->name, renamed;
	cleanup_free char *url = NULL;
	struct tfs_error err = { 0 };

	if (!strcmp(id->s, name->repo))
		return 0;
	if (asprintf(&url, "hf://%s%s", name->dataset ? "datasets/" : "", id->s) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (tfs_hf_name_parse(url, &renamed, &err))
		return 0; /* it goes on by redirects */
	if (strcasecmp(id->s, name->repo) != 0)
		tfs_fetch_warn(l->h->o.f, "%s is called %s now", name->repo, renamed.repo);
	free(name->repo);
	name->repo = tfs_steal(renamed.repo);
	tfs_hf_name_fini(&renamed);
	return 0;
}

static int read_revision(struct lister *l, char *text, size_t len, struct tfs_error *err)
{
	struct tfs_json_text key, value;
	struct tfs_json j;
	int r;

	tfs_json_init(&j, text, len, 0, err);
	for (r = tfs_json_object_begin(&j); !r && (r = tfs_json_object_next(&j, &key)) > 0;) {
		bool sha = tfs_json_is(&key, "sha"), id = tfs_json_is(&key, "id");

		if ((!sha && !id) || tfs_json_peek(&j) != TFS_JSON_STRING) {
			r = tfs_json_skip(&j);
			continue;
		}
		r = tfs_json_string(&j, &value);
		if (!r)
			r = sha ? take_commit(l, &value) : take_name(l, &value);
	}
	if (r)
		return r;
	if (l->commit && tfs_hf_is_commit(l->commit))
		return tfs_json_end(&j);
	return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "it names no commit");
}

static void have_commit(struct lister *l)
{
	struct tfs_hf *h = l->h;

	if (strcmp(l->commit, l->known) != 0) {
		ask_tree(l);
		return;
	}
	tfs_origin_unchanged(&h->o);
	free(l->known);
	free(l->commit);
	free(l);
}

static void on_revision(struct tfs_ask *a, void *arg)
{
	struct lister *l = arg;
	struct tfs_error err = { 0 };
	int r;

	if (a->code || a->x.head.status != 200) {
		on_error(l, a, on_revision);
		return;
	}
	r = read_revision(l, a->body, a->len, &err);
	if (r == -ENOMEM)
		fail(l, r);
	else if (r)
		fail_protocol(l, "what it says of the revision isn't understood", err.what);
	else
		have_commit(l);
}

static void ask_revision(struct lister *l)
{
	const char *revision = l->h->name.revision ? l->h->name.revision : "main";
	cleanup_free char *encoded = tfs_url_encode(revision, strlen(revision), false), *what = NULL;
	struct tfs_error err = { 0 };
	struct tfs_url url;

	if (!encoded || asprintf(&what, "revision/%s", encoded) < 0) {
		what = NULL;
		fail(l, -ENOMEM);
	} else if (tfs_hf_api(l->h, what, NULL, &url, &err) || ask(l, &url, on_revision)) {
		fail(l, -ENOMEM);
	}
}

void tfs_hf_list(struct tfs_origin *o, const char *known)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);
	struct lister *l = calloc(1, sizeof *l);

	if (!l) {
		tfs_origin_listed(o, -ENOMEM, NULL, NULL);
		return;
	}
	l->h = h;
	l->known = strdup(known);
	if (h->name.revision && tfs_hf_is_commit(h->name.revision))
		l->commit = strdup(h->name.revision);
	if (!l->known) {
		fail(l, -ENOMEM);
	} else if (l->commit) {
		have_commit(l);
	} else {
		ask_revision(l);
	}
}
