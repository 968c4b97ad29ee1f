/* SPDX-License-Identifier: MIT */
#include "remote/hf-name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "remote/listing.h"
#include "remote/name.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const char *const pages[] = { "https://huggingface.co/", "https://hf.co/" };

/* What follows the hub's address, or NULL. */
static const char *after_page(const char *url)
{
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (!strncasecmp(url, pages[i], strlen(pages[i])))
			return url + strlen(pages[i]);
	return NULL;
}

bool tfs_hf_name_takes(const char *url)
{
	return !strncmp(url, "hf://", 5) || after_page(url);
}

bool tfs_hf_is_commit(const char *revision)
{
	return strlen(revision) == 40 && strspn(revision, "0123456789abcdef") == 40;
}

static bool skip(const char **at, const char *word)
{
	if (strncmp(*at, word, strlen(word)) != 0)
		return false;
	*at += strlen(word);
	return true;
}

static int bad(struct tfs_error *err, const char *what)
{
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "%s: hf://NAMESPACE/NAME[@REVISION][/PATH] is expected", what);
}

/* NS/NAME, at **@at. */
static int read_repo(struct tfs_hf_name *n, const char **at, struct tfs_error *err)
{
	const char *s = *at;
	size_t ns = strspn(s, LETTERS), name = s[ns] == '/' ? strspn(s + ns + 1, LETTERS) : 0;

	if (!name && ns && (!s[ns] || s[ns] == '@' || !strcmp(s + ns, "/")))
		return bad(err, "a name without its namespace (such as openai-community/gpt2 for gpt2)");
	if (!ns || !name || ns > 96 || name > 96)
		return bad(err, "not the name of a repository");
	n->repo = strndup(s, ns + 1 + name);
	*at = s + ns + 1 + name;
	return n->repo ? 0 : -ENOMEM;
}

/* Up to the next slash that isn't part of it. */
static int read_revision(struct tfs_hf_name *n, const char **at, struct tfs_error *err)
{
	const char *s = *at;
	size_t len = strcspn(s, "/");

	if (!strncmp(s, "refs/pr/", 8))
		len = 8 + strcspn(s + 8, "/");
	else if (!strncmp(s, "refs/convert/", 13))
		len = 13 + strcspn(s + 13, "/");
	n->revision = tfs_url_decode(s, len);
	if (!n->revision && errno != EINVAL)
		return -ENOMEM;
	if (!n->revision || !*n->revision || strlen(n->revision) > 255)
		return bad(err, "not a revision");
	*at = s + len;
	return 0;
}

static int read_path(struct tfs_hf_name *n, const char *s, bool encoded, struct tfs_error *err)
{
	size_t len = strlen(s);

	while (len && s[len - 1] == '/') {
		n->is_dir = true;
		len--;
	}
	if (!len)
		return 0;
	n->path = encoded ? tfs_url_decode(s, len) : strndup(s, len);
	if (!n->path && !(encoded && errno == EINVAL))
		return -ENOMEM;
	return n->path && tfs_remote_path_is_good(n->path) ? 0 : bad(err, "not a path in a repository");
}

/* [/(tree|blob|resolve)/REVISION[/PATH]], as in the address of a page. */
static int read_page(struct tfs_hf_name *n, const char *at, struct tfs_error *err)
{
	cleanup_free char *plain = strndup(at, strcspn(at, "?#"));
	int r;

	if (!plain)
		return -ENOMEM;
	at = plain;
	if (!*at || !strcmp(at, "/"))
		return 0;
	if (!skip(&at, "/tree/") && !skip(&at, "/blob/") && !skip(&at, "/resolve/"))
		return bad(err, "a page of the hub that is none of a repository's files");
	r = read_revision(n, &at, err);
	return r ? r : read_path(n, at + (*at == '/'), true, err);
}

static int read_dir(struct tfs_hf_name *n)
{
	const char *path = n->path ? n->path : "", *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	n->file = !n->is_dir && tfs_remote_is_weights(path) ? name : NULL;
	n->dir = n->file ? strndup(path, slash ? (size_t)(slash - path) : 0) : strdup(path);
	return n->dir ? 0 : -ENOMEM;
}

int tfs_hf_name_parse(const char *url, struct tfs_hf_name *ret, struct tfs_error *err)
{
	const char *at = after_page(url);
	bool page = at;
	struct tfs_hf_name n = { 0 };
	int r;

	if (!page)
		at = url + strlen("hf://");
	if (skip(&at, "datasets/"))
		n.dataset = true;
	else if (!page)
		skip(&at, "models/");
	r = read_repo(&n, &at, err);
	if (!r && page) {
		r = read_page(&n, at, err);
	} else if (!r) {
		if (skip(&at, "@"))
			r = read_revision(&n, &at, err);
		if (!r && *at && *at != '/')
			r = bad(err, "not the name of a repository");
		else if (!r)
			r = read_path(&n, at + (*at == '/'), false, err);
	}
	if (!r)
		r = read_dir(&n);
	if (r)
		tfs_hf_name_fini(&n);
	else
		*ret = n;
	return r;
}

void tfs_hf_name_fini(struct tfs_hf_name *n)
{
	free(n->repo);
	free(n->revision);
	free(n->path);
	free(n->dir);
	*n = (struct tfs_hf_name){ 0 };
}

char *tfs_hf_name_show(const struct tfs_hf_name *n, const char *revision, unsigned len)
{
	char *s;

	if (asprintf(&s, "hf://%s%s%s%.*s%s%s", n->dataset ? "datasets/" : "", n->repo, revision ? "@" : "", (int)len,
		     revision ? revision : "", n->path ? "/" : "", n->path ? n->path : "") < 0)
		return NULL;
	return s;
}

int tfs_hf_name_listing(const struct tfs_hf_name *n, const char *commit, struct tfs_remote_listing *l)
{
	l->origin = tfs_hf_name_show(n, n->revision, 255);
	l->display = tfs_hf_name_show(n, commit, 7);
	l->revision = strdup(commit);
	l->file = n->file ? strdup(n->file) : NULL;
	return l->origin && l->display && l->revision && (l->file || !n->file) ? 0 : -ENOMEM;
}
