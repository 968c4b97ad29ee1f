/* SPDX-License-Identifier: MIT */
#include "fetch/aws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "fetch/retry.h"
#include "fetch/secret.h"

/* Keys are renewed so long before they end; and after it failed, or they were refused, not again at once. */
enum { EARLY = 300, PAUSE = 10 };

const char *tfs_aws_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static void free_keys(struct tfs_aws_keys *k)
{
	free(k->id);
	tfs_secret_free(k->secret);
	tfs_secret_free(k->token);
	*k = (struct tfs_aws_keys){ 0 };
}

void tfs_aws_destroy(struct tfs_aws *a)
{
	if (!a)
		return;
	tfs_aws_end_process(a);
	free_keys(&a->keys);
	free(a->region);
	free(a->endpoint);
	free(a->process);
	tfs_secret_free(a->scratch);
	explicit_bzero(a, sizeof *a);
	free(a);
}

static int choose(struct tfs_aws *a, struct tfs_error *err)
{
	const char *id = tfs_aws_env("AWS_ACCESS_KEY_ID"), *secret = tfs_aws_env("AWS_SECRET_ACCESS_KEY");
	const char *off = tfs_aws_env("AWS_EC2_METADATA_DISABLED");
	int r = tfs_aws_read_profile(a, err);

	if (r)
		return r;
	if (a->f->options.anonymous) {
		a->source = TFS_AWS_NONE;
	} else if (id && secret) {
		tfs_aws_take(a, id, secret, tfs_aws_env("AWS_SESSION_TOKEN"), NULL);
		a->source = TFS_AWS_STATIC;
	} else if (tfs_aws_env("AWS_ROLE_ARN") && tfs_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE")) {
		a->source = TFS_AWS_WEB_IDENTITY;
	} else if (a->keys.id) {
		a->source = TFS_AWS_STATIC;
	} else if (a->process) {
		a->source = TFS_AWS_PROCESS;
	} else if (tfs_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || tfs_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
		a->source = TFS_AWS_CONTAINER;
	} else if (!off || strcasecmp(off, "true") != 0) {
		a->source = TFS_AWS_INSTANCE;
	}
	return 0;
}

static void renew(struct tfs_aws *a)
{
	a->renewing = true;
	if (a->source == TFS_AWS_PROCESS)
		tfs_aws_run_process(a);
	else
		tfs_aws_ask(a);
}

int tfs_aws_create(struct tfs_fetcher *f, struct tfs_aws **ret, struct tfs_error *err)
{
	struct tfs_aws *a = calloc(1, sizeof *a);
	const char *region = tfs_aws_env("AWS_REGION") ? tfs_aws_env("AWS_REGION") : tfs_aws_env("AWS_DEFAULT_REGION");
	int r;

	if (!a)
		return -ENOMEM;
	a->f = f;
	r = choose(a, err);
	if (!r && region) {
		free(a->region);
		a->region = strdup(region);
		r = a->region ? 0 : -ENOMEM;
	}
	if (r) {
		tfs_aws_destroy(a);
		return r;
	}
	/* The program runs as whoever started this one, which may become nobody soon. */
	if (a->source == TFS_AWS_PROCESS)
		renew(a);
	*ret = a;
	return 0;
}

int tfs_aws_keys(struct tfs_aws *a, const struct tfs_aws_keys **ret, struct tfs_error *err)
{
	time_t now = time(NULL);
	bool ended = a->keys.expires && now >= a->keys.expires, ends = a->keys.expires && now >= a->keys.expires - EARLY;
	bool pausing = a->failed > 0 && tfs_now() < a->failed + PAUSE;

	/* Keys that are never good for longer than that aren't renewed for each request. */
	ends = ends && now >= a->renewed + PAUSE;

	*ret = a->source == TFS_AWS_NONE ? NULL : &a->keys;
	if (a->source == TFS_AWS_NONE || a->source == TFS_AWS_STATIC)
		return 0;
	if ((!a->keys.id || ends) && !a->renewing && !pausing)
		renew(a);
	if (a->source == TFS_AWS_NONE) { /* by now */
		*ret = NULL;
		return 0;
	}
	if (a->keys.id && !ended)
		return 0;
	if (a->renewing)
		return -EAGAIN;
	*err = a->err;
	return -EACCES;
}

bool tfs_aws_expired(struct tfs_aws *a, unsigned generation)
{
	if (a->source == TFS_AWS_NONE || a->source == TFS_AWS_STATIC)
		return false;
	if (generation == a->generation && !a->renewing)
		free_keys(&a->keys);
	return true;
}

/* --- What is got ---------------------------------------------------------------------------------------------------- */

static bool is_clean(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

void tfs_aws_fail(struct tfs_aws *a, const char *what)
{
	static const char *const from[] = { "", "", "a web identity", "credential_process", "the container", "the instance" };

	a->renewing = false;
	a->failed = tfs_now();
	/* No metadata service: this is no instance of theirs, and nobody has said that there are credentials. */
	if (a->source == TFS_AWS_INSTANCE && !a->keys.id) {
		a->source = TFS_AWS_NONE;
		return;
	}
	tfs_error_set(&a->err, -EACCES, TFS_NO_OFFSET, "no credentials from %s: %s", from[a->source], what);
}

void tfs_aws_take(struct tfs_aws *a, const char *id, const char *secret, const char *token, const char *expires)
{
	struct tfs_aws_keys keys = { 0 };

	if (!is_clean(id) || !is_clean(secret) || !is_clean(token)) {
		tfs_aws_fail(a, "a key with a blank or a control character in it");
		return;
	}
	keys.id = strdup(id);
	keys.secret = strdup(secret);
	keys.token = token && *token ? strdup(token) : NULL;
	keys.expires = expires ? tfs_retry_time(expires) : 0;
	if (!keys.id || !keys.secret || (token && *token && !keys.token)) {
		free_keys(&keys);
		tfs_aws_fail(a, strerror(ENOMEM));
		return;
	}
	free_keys(&a->keys);
	a->keys = keys;
	a->generation++;
	a->renewing = false;
	a->renewed = time(NULL);
	a->failed = 0;
}

void tfs_aws_take_json(struct tfs_aws *a, char *text, size_t len)
{
	struct tfs_json_text key, value, id = { 0 }, secret = { 0 }, token = { 0 }, expires = { 0 };
	struct tfs_json j;
	int r;

	tfs_json_init(&j, text, len, 0, NULL);
	for (r = tfs_json_object_begin(&j); !r && (r = tfs_json_object_next(&j, &key)) > 0;) {
		if (tfs_json_peek(&j) != TFS_JSON_STRING) {
			r = tfs_json_skip(&j);
			continue;
		}
		r = tfs_json_string(&j, &value);
		if (tfs_json_is(&key, "AccessKeyId"))
			id = value;
		else if (tfs_json_is(&key, "SecretAccessKey"))
			secret = value;
		else if (tfs_json_is(&key, "SessionToken") || tfs_json_is(&key, "Token"))
			token = value;
		else if (tfs_json_is(&key, "Expiration"))
			expires = value;
	}
	if (r || !id.s || !secret.s)
		tfs_aws_fail(a, "what came isn't JSON with an AccessKeyId and a SecretAccessKey");
	else
		tfs_aws_take(a, id.s, secret.s, token.s, expires.s);
}
