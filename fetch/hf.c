/* SPDX-License-Identifier: MIT */
#include "fetch/hf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "fetch/secret.h"

#define ENDPOINT "https://huggingface.co"

enum { MAX_TOKEN = 16384 };

/* --- Token ---------------------------------------------------------------------------------------------------------- */

/* Names and order are huggingface_hub's (its constants.py and utils/_auth.py). */
static bool is_set(const char *name)
{
	const char *v = getenv(name);

	return v && (!strcasecmp(v, "1") || !strcasecmp(v, "on") || !strcasecmp(v, "yes") || !strcasecmp(v, "true"));
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static char *token_file(void)
{
	char *path = NULL;
	int n = 0;

	if (env("HF_TOKEN_PATH"))
		return strdup(env("HF_TOKEN_PATH"));
	if (env("HF_HOME"))
		n = asprintf(&path, "%s/token", env("HF_HOME"));
	else if (env("XDG_CACHE_HOME"))
		n = asprintf(&path, "%s/huggingface/token", env("XDG_CACHE_HOME"));
	else if (env("HOME"))
		n = asprintf(&path, "%s/.cache/huggingface/token", env("HOME"));
	return n < 0 ? NULL : path;
}

/* What fits into a header, from @s; NULL: it is empty, or isn't a token. */
static char *clean(const char *s)
{
	size_t len;
	char *token;

	s += strspn(s, " \t\r\n");
	len = strcspn(s, " \t\r\n");
	if (!len || s[len + strspn(s + len, " \t\r\n")])
		return NULL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f)
			return NULL;
	token = strndup(s, len);
	return token;
}

static void read_token(struct tfs_hf *h)
{
	const char *given = env("HF_TOKEN") ? env("HF_TOKEN") : env("HUGGING_FACE_HUB_TOKEN");
	char *text;

	if (h->o.f->options.anonymous || is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
		return;
	if (given) {
		h->token = clean(given);
		return;
	}
	h->token_file = token_file();
	if (!h->token_file || tfs_secret_read(h->token_file, MAX_TOKEN, &text))
		return;
	h->token = clean(text);
	tfs_secret_free(text);
}

/* Other programs replace the token in the file before it ends: is there another one now? */
static bool read_token_again(struct tfs_hf *h)
{
	char *text, *token;

	if (!h->token_file || tfs_secret_read(h->token_file, MAX_TOKEN, &text))
		return false;
	token = clean(text);
	tfs_secret_free(text);
	if (!token || (h->token && !strcmp(token, h->token))) {
		tfs_secret_free(token);
		return false;
	}
	tfs_secret_free(h->token);
	h->token = token;
	h->generation++;
	return true;
}

/* --------------------------------------------------------------------------------------------------------------------- */

static void destroy(struct tfs_origin *o)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);

	tfs_hf_name_fini(&h->name);
	tfs_url_fini(&h->o.base);
	free(h->endpoint_path);
	tfs_secret_free(h->token);
	free(h->token_file);
	free(h);
}

static int read_endpoint(struct tfs_hf *h, struct tfs_error *err)
{
	const char *given = env("HF_ENDPOINT");
	struct tfs_url *u = &h->o.base;
	struct tfs_error why = { 0 };
	size_t len;
	int r = tfs_url_parse(given ? given : ENDPOINT, u, &why);

	if (r == -ENOMEM)
		return r;
	if (r || u->text[u->query])
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "HF_ENDPOINT is %s", r ? why.what : "a URL with a query");
	h->endpoint_path = strdup(u->text + u->path);
	if (!h->endpoint_path)
		return -ENOMEM;
	for (len = strlen(h->endpoint_path); len && h->endpoint_path[len - 1] == '/';)
		h->endpoint_path[--len] = 0;
	return 0;
}

static int create(struct tfs_fetcher *f, struct tfs_origin **ret, struct tfs_error *err)
{
	struct tfs_hf *h = calloc(1, sizeof *h);
	int r;

	if (!h)
		return -ENOMEM;
	h->o = (struct tfs_origin){ .ops = &tfs_origin_hf, .f = f, .where = TFS_WHERE_UNKNOWN };
	h->generation = 1;
	r = tfs_hf_name_parse(f->options.url, &h->name, err);
	if (!r)
		r = read_endpoint(h, err);
	if (!r)
		read_token(h);
	if (r)
		destroy(&h->o);
	else
		*ret = &h->o;
	return r;
}

int tfs_hf_api(const struct tfs_hf *h, const char *what, const char *query, struct tfs_url *ret, struct tfs_error *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/api/%s/%s/%s", h->endpoint_path, h->name.dataset ? "datasets" : "models", h->name.repo, what) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return tfs_url_at(&h->o.base, path, query, ret, err);
}

static int url_of(struct tfs_origin *o, const struct tfs_file *file, struct tfs_url *ret, struct tfs_error *err)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);
	cleanup_free char *dir = tfs_url_encode(h->name.dir, strlen(h->name.dir), true);
	cleanup_free char *name = tfs_url_encode(file->path, strlen(file->path), true), *path = NULL;

	if (!dir || !name ||
	    asprintf(&path, "%s%s/%s/resolve/%s/%s%s%s", h->endpoint_path, h->name.dataset ? "/datasets" : "", h->name.repo,
		     file->tree->revision, dir, *dir ? "/" : "", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return tfs_url_at(&h->o.base, path, NULL, ret, err);
}

static int sign(struct tfs_origin *o, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);

	(void)err;
	if (!h->token || !tfs_origin_is_at(o, &x->url))
		return 0;
	x->signed_with = h->generation;
	return tfs_exchange_header(x, "Authorization: Bearer %s", h->token);
}

static bool renew(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);

	(void)body;
	(void)len;
	if (x->head.status != 401)
		return false;
	return (h->token && x->signed_with != h->generation) || read_token_again(h);
}

static int adopt(struct tfs_origin *o, const struct tfs_tree *t, struct tfs_error *err)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);

	if (tfs_hf_is_commit(t->revision) && !*t->file == !h->name.file)
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a table of another URL");
}

/* --- What the hub says ------------------------------------------------------------------------------------------------ */

static bool is_code(const struct tfs_exchange *x, const char *code)
{
	return x->head.error_code && !strcmp(x->head.error_code, code);
}

static void explain_access(const struct tfs_hf *h, const struct tfs_exchange *x, const char *kind, struct tfs_error *err)
{
	const char *said = x->head.error_message ? x->head.error_message : "";
	const char *login = h->token ? "the token that is used may not read it" : "set HF_TOKEN, or log in with `hf auth login`";
	const char *dataset = h->name.dataset ? "datasets/" : "";

	if (is_code(x, "GatedRepo"))
		tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "the %s %s is gated: accept its terms at %.*s/%s%s, and %s. %.200s",
			      kind, h->name.repo, (int)h->o.base.path, h->o.base.text, dataset, h->name.repo,
			      h->token ? "use a token of that account" : login, said);
	else
		tfs_error_set(
			err, -EACCES, TFS_NO_OFFSET,
			"there is no %s %s, or it is private (the hub doesn't tell which): HTTP status %d. Check its name; %s. %.200s",
			kind, h->name.repo, x->head.status, login, said);
}

static void explain(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len, struct tfs_error *err)
{
	struct tfs_hf *h = tfs_container_of(o, struct tfs_hf, o);
	const char *kind = h->name.dataset ? "dataset" : "model";
	const char *revision = h->name.revision ? h->name.revision : "main";
	char host[TFS_URL_SHOWN];
	int status = x->head.status;

	(void)body;
	(void)len;
	tfs_origin_explain_status(x, err);
	if (!tfs_origin_is_at(o, &x->url)) {
		if (status == 400)
			tfs_error_set(
				err, -EIO, TFS_NO_OFFSET,
				"%s: HTTP status 400; a file that is too large for plain HTTP needs Xet, which tensorfs doesn't speak",
				tfs_url_show_host(&x->url, host));
		return;
	}
	if (status == 401 || status == 403)
		explain_access(h, x, kind, err);
	else if (status == 404 && is_code(x, "RevisionNotFound"))
		tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "the %s %s has no revision %s", kind, h->name.repo, revision);
	else if (status == 404 && is_code(x, "EntryNotFound"))
		tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "the %s %s has no %s%s at revision %s%s", kind, h->name.repo,
			      !h->name.path || h->name.file ? "" : "directory ", h->name.path ? h->name.path : "such file",
			      revision, !h->name.path || h->name.file ? "" : tfs_origin_no_weights(h->name.path));
	else if (status == 404)
		tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "there is no %s %s at %s", kind, h->name.repo,
			      tfs_url_show_host(&x->url, host));
}

static bool takes(const char *url)
{
	return tfs_hf_name_takes(url);
}

const struct tfs_origin_ops tfs_origin_hf = {
	.takes = takes,
	.create = create,
	.destroy = destroy,
	.list = tfs_hf_list,
	.adopt = adopt,
	.url = url_of,
	.sign = sign,
	.renew = renew,
	.explain = explain,
};
