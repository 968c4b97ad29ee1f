/* SPDX-License-Identifier: MIT */
#include "fetch/s3.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "fetch/sigv4.h"
#include "fetch/xml.h"
#include "remote/name.h"
#include "remote/protocol.h"

static bool takes(const char *url)
{
	return !strncmp(url, "s3://", 5);
}

static void destroy(struct tfs_origin *o)
{
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);

	tfs_url_fini(&s->o.base);
	tfs_aws_destroy(s->aws);
	free(s->bucket);
	free(s->prefix);
	free(s->file);
	free(s->endpoint);
	free(s->region);
	free(s);
}

/* --- Where it is ---------------------------------------------------------------------------------------------------- */

#define LOWER  "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTER LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-"

/* s3://BUCKET[/PREFIX]: a prefix is that of a directory, unless it ends as the names of weight files do. */
static int read_url(struct tfs_s3 *s, struct tfs_error *err)
{
	const char *at = s->o.f->options.url + strlen("s3://"), *key, *slash;
	size_t n = strspn(at, LETTER);

	if (n < 3 || n > 255 || (at[n] && at[n] != '/'))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "not the name of a bucket: s3://BUCKET[/PREFIX] is expected");
	s->bucket = strndup(at, n);
	key = at[n] ? at + n + 1 : "";
	slash = strrchr(key, '/');
	if (tfs_remote_is_weights(key)) {
		s->prefix = strndup(key, slash ? (size_t)(slash + 1 - key) : 0);
		s->file = strdup(slash ? slash + 1 : key);
	} else if (asprintf(&s->prefix, "%s%s", key, *key && key[strlen(key) - 1] != '/' ? "/" : "") < 0) {
		s->prefix = NULL;
	}
	if (!s->bucket || !s->prefix || (tfs_remote_is_weights(key) && !s->file))
		return -ENOMEM;
	if (s->file && !tfs_remote_path_is_good(s->file))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a key that no file can be named by");
	return 0;
}

/* May the bucket's name be part of a host's, under a certificate for *.s3.REGION.amazonaws.com? */
static bool fits_host(const char *bucket)
{
	return strlen(bucket) <= 63 && strspn(bucket, LOWER "-") == strlen(bucket);
}

/* Set o.base by endpoint, region and bucket. */
static int find_base(struct tfs_s3 *s, struct tfs_error *err)
{
	const char *end = !strncmp(s->region, "cn-", 3) ? "amazonaws.com.cn" : "amazonaws.com";
	cleanup_free char *text = NULL;
	struct tfs_error why = { 0 };
	struct tfs_url base;
	size_t len;
	int n, r;

	if (s->endpoint) {
		for (len = strlen(s->endpoint); len && s->endpoint[len - 1] == '/';)
			len--;
		n = asprintf(&text, "%.*s/%s", (int)len, s->endpoint, s->bucket);
	} else if (fits_host(s->bucket)) {
		n = asprintf(&text, "https://%s.s3.%s.%s/", s->bucket, s->region, end);
	} else {
		n = asprintf(&text, "https://s3.%s.%s/%s", s->region, end, s->bucket);
	}
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	r = tfs_url_parse(text, &base, &why);
	if (r == -ENOMEM)
		return r;
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "%s is %s", s->endpoint ? s->endpoint_name : "the endpoint", why.what);
	tfs_url_fini(&s->o.base);
	s->o.base = base;
	return 0;
}

static bool is_region(const char *region)
{
	return *region && strlen(region) < 64 && strspn(region, LOWER "-") == strlen(region);
}

static int read_environment(struct tfs_s3 *s, struct tfs_error *err)
{
	static const char *const names[] = { "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL" };
	const char *endpoint = NULL;
	int r = tfs_aws_create(s->o.f, &s->aws, err);

	if (r)
		return r;
	s->o.runs_programs = s->aws->source == TFS_AWS_PROCESS;
	s->o.stays = s->o.runs_programs || s->aws->source == TFS_AWS_WEB_IDENTITY ||
		     (s->aws->source == TFS_AWS_CONTAINER && tfs_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
	for (size_t i = 0; i < sizeof names / sizeof *names && !endpoint; i++) {
		endpoint = tfs_aws_env(names[i]);
		s->endpoint_name = names[i];
	}
	if (!endpoint) {
		endpoint = s->aws->endpoint;
		s->endpoint_name = "endpoint_url, of the profile,";
	}
	s->endpoint = endpoint ? strdup(endpoint) : NULL;
	s->region = strdup(s->aws->region ? s->aws->region : "us-east-1");
	if (!s->region || (endpoint && !s->endpoint))
		return -ENOMEM;
	if (!is_region(s->region))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "not a region: %s", s->region);
	return find_base(s, err);
}

static int create(struct tfs_fetcher *f, struct tfs_origin **ret, struct tfs_error *err)
{
	struct tfs_s3 *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->o = (struct tfs_origin){ .ops = &tfs_origin_s3, .f = f, .where = TFS_WHERE_DIRECT, .own_etags = true };
	r = read_url(s, err);
	if (!r)
		r = read_environment(s, err);
	if (r)
		destroy(&s->o);
	else
		*ret = &s->o;
	return r;
}

int tfs_s3_url(const struct tfs_s3 *s, const char *key, const char *query, struct tfs_url *ret, struct tfs_error *err)
{
	const char *bucket = s->o.base.text + s->o.base.path;
	size_t len = strlen(bucket);
	cleanup_free char *encoded = tfs_url_encode(key, strlen(key), true), *path = NULL;

	if (len && bucket[len - 1] == '/')
		len--;
	if (!encoded || asprintf(&path, "%.*s%s%s", (int)len, bucket, *key || !len ? "/" : "", encoded) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return tfs_url_at(&s->o.base, path, query, ret, err);
}

static int url_of(struct tfs_origin *o, const struct tfs_file *file, struct tfs_url *ret, struct tfs_error *err)
{
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);
	cleanup_free char *key = NULL;

	if (asprintf(&key, "%s%s", s->prefix, file->path) < 0) {
		key = NULL;
		return -ENOMEM;
	}
	return tfs_s3_url(s, key, NULL, ret, err);
}

static int adopt(struct tfs_origin *o, const struct tfs_tree *t, struct tfs_error *err)
{
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);

	if (!*t->file == !s->file)
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a table of another URL");
}

/* --- Signature ------------------------------------------------------------------------------------------------------ */

static int sign(struct tfs_origin *o, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);
	struct tfs_sigv4 v = { .region = s->region, .service = "s3" };
	const struct tfs_aws_keys *keys;
	cleanup_free char *authorization = NULL;
	char date[TFS_SIGV4_DATE];
	int r;

	if (!tfs_origin_is_at(o, &x->url))
		return 0;
	r = tfs_aws_keys(s->aws, &keys, err);
	if (r || !keys)
		return r;
	x->signed_with = (uint64_t)s->moves << 32 | s->aws->generation;
	v.id = keys->id;
	v.secret = keys->secret;
	v.token = keys->token;
	v.now = time(NULL) + (time_t)s->skew;
	authorization = tfs_sigv4_sign(&v, &x->url, NULL, 0);
	if (!authorization)
		return -ENOMEM;
	tfs_sigv4_date(v.now, date);
	r = tfs_exchange_header(x, "Authorization: %s", authorization);
	if (!r)
		r = tfs_exchange_header(x, "x-amz-content-sha256: " TFS_SIGV4_NO_BODY);
	if (!r)
		r = tfs_exchange_header(x, "x-amz-date: %s", date);
	if (!r && v.token)
		r = tfs_exchange_header(x, "x-amz-security-token: %s", v.token);
	return r;
}

/* --- What it says --------------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *code, const char *const *codes)
{
	for (; code && *codes; codes++)
		if (!strcmp(code, *codes))
			return true;
	return false;
}

/* The region that an answer names, if it is another one than that of the request; malloc()ed, or NULL. */
static char *named_region(const struct tfs_exchange *x, const char *body, size_t len)
{
	char *region = x->head.region ? strdup(x->head.region) : tfs_xml_find(body, len, "Region");

	if (region && is_region(region))
		return region;
	free(region);
	return NULL;
}

/* The bucket is elsewhere: from now on requests go there. */
static bool move(struct tfs_s3 *s, const struct tfs_exchange *x, const char *body, size_t len)
{
	cleanup_free char *region = named_region(x, body, len);
	char *old = s->region;

	if (!region)
		return false;
	/* Another request has learnt it, while this one was under way. */
	if (!strcmp(region, s->region))
		return x->signed_with >> 32 != s->moves;
	s->region = tfs_steal(region);
	if (find_base(s, NULL)) {
		free(s->region);
		s->region = old;
		return false;
	}
	free(old);
	s->moves++;
	return true;
}

/* Some have status 400. */
static const char *const expired[] = { "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", NULL };

static bool renew(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len)
{
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);
	cleanup_free char *code = tfs_xml_find(body, len, "Code");
	int status = x->head.status;

	if (status == 301 || status == 307 || status == 400 || status == 403)
		if (move(s, x, body, len))
			return true;
	if (is_one_of(code, expired))
		return tfs_aws_expired(s->aws, (unsigned)x->signed_with);
	/* More than 15 minutes: ours is the one to give way. */
	if (code && !strcmp(code, "RequestTimeTooSkewed") && x->head.date &&
	    fabs((double)(x->head.date - time(NULL)) - s->skew) > 60) {
		s->skew = (double)(x->head.date - time(NULL));
		tfs_fetch_warn(o->f, "the clock of this machine is off by %.0f s", -s->skew);
		return true;
	}
	return false;
}

/* What to do about a refusal. */
static const char *advice(const struct tfs_s3 *s, const char *code)
{
	if (s->aws->source == TFS_AWS_NONE)
		return s->o.f->options.anonymous ? ": it isn't public" :
						   ": it isn't public, and there are no credentials (AWS_ACCESS_KEY_ID, "
						   "AWS_PROFILE, a role)";
	if (!strcmp(code, "AccessDenied"))
		return ": the credentials that are used don't allow s3:ListBucket or s3:GetObject for it";
	if (!strcmp(code, "InvalidAccessKeyId") || !strcmp(code, "SignatureDoesNotMatch"))
		return ": the credentials are wrong";
	if (is_one_of(code, expired))
		return ": the credentials have expired; get new ones (such as by `aws sso login`) and mount again";
	if (!strcmp(code, "InvalidObjectState"))
		return ": the object is archived (Glacier), and has to be restored first";
	return "";
}

static void explain(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len, struct tfs_error *err)
{
	static const char *const absent[] = { "NoSuchBucket", "NoSuchKey", NULL };
	struct tfs_s3 *s = tfs_container_of(o, struct tfs_s3, o);
	cleanup_free char *code = tfs_xml_find(body, len, "Code");
	char shown[TFS_URL_SHOWN];
	int status = x->head.status;

	tfs_origin_explain_status(x, err);
	if (!tfs_origin_is_at(o, &x->url))
		return;
	tfs_url_show(&x->url, shown);
	if (is_one_of(code, absent))
		tfs_error_set(err, -ENOENT, TFS_NO_OFFSET, "s3://%s: %s", s->bucket,
			      !strcmp(code, "NoSuchBucket") ? "there is no such bucket" : "there is no such key");
	else if (status == 401 || status == 403 || is_one_of(code, expired))
		tfs_error_set(err, -EACCES, TFS_NO_OFFSET, "%s: HTTP status %d %.60s%s", shown, status, code ? code : "",
			      advice(s, code ? code : "AccessDenied"));
	else if (code)
		tfs_error_set(err, status == 404 ? -ENOENT : -EPROTO, TFS_NO_OFFSET, "%s: HTTP status %d %.60s", shown, status,
			      code);
}

const struct tfs_origin_ops tfs_origin_s3 = {
	.takes = takes,
	.create = create,
	.destroy = destroy,
	.list = tfs_s3_list,
	.adopt = adopt,
	.url = url_of,
	.sign = sign,
	.renew = renew,
	.explain = explain,
};
