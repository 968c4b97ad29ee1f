/* SPDX-License-Identifier: MIT */
/* Credentials that a service gives: STS for a web identity, the agent of a container, the metadata service of an instance (IMDSv2). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/ask.h"
#include "fetch/aws.h"
#include "fetch/secret.h"
#include "fetch/xml.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST  "http://169.254.169.254"
#define INSTANCE_ROLES "/latest/meta-data/iam/security-credentials/"

enum { MAX_TOKEN = 65536 };

/* The error of an answer, without what it says, which may be about secrets. */
static void fail_answer(struct tfs_aws *a, const struct tfs_ask *ask)
{
	char text[300];

	if (ask->code)
		snprintf(text, sizeof text, "%.250s", ask->err.what);
	else
		snprintf(text, sizeof text, "HTTP status %d", ask->x.head.status);
	tfs_aws_fail(a, text);
}

/* @trusted: as in struct tfs_ask_spec. */
static void send_ask(struct tfs_aws *a, struct tfs_ask_spec *spec, const char *url, bool trusted)
{
	struct tfs_error err = { 0 };

	spec->f = a->f;
	spec->arg = a;
	spec->sign_arg = a;
	spec->trusted = trusted;
	spec->no_redirects = true;
	spec->max_body = MAX_TOKEN;
	if (tfs_url_parse(url, &spec->url, &err))
		tfs_aws_fail(a, *err.what ? err.what : strerror(ENOMEM));
	else if (tfs_ask(spec))
		tfs_aws_fail(a, strerror(ENOMEM));
}

/* --- Web identity --------------------------------------------------------------------------------------------------- */

struct found {
	char *id, *secret, *token, *expires;
};

static int on_element(void *arg, const char *name, const char *text)
{
	struct found *f = arg;
	char **to = !strcmp(name, "AccessKeyId")     ? &f->id :
		    !strcmp(name, "SecretAccessKey") ? &f->secret :
		    !strcmp(name, "SessionToken")    ? &f->token :
		    !strcmp(name, "Expiration")	     ? &f->expires :
						       NULL;

	if (!to)
		return 0;
	tfs_secret_free(*to);
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

static void on_web_identity(struct tfs_ask *ask, void *arg)
{
	struct tfs_aws *a = arg;
	struct found f = { 0 };

	tfs_secret_free(tfs_steal(a->scratch));
	if (ask->code || ask->x.head.status != 200 || !ask->body) {
		cleanup_free char *code = ask->code ? NULL : tfs_xml_find(ask->body, ask->len, "Code");

		if (code)
			tfs_aws_fail(a, code);
		else
			fail_answer(a, ask);
		return;
	}
	if (tfs_xml_read(ask->body, ask->len, on_element, &f, NULL) || !f.id || !f.secret)
		tfs_aws_fail(a, "an answer that isn't understood");
	else
		tfs_aws_take(a, f.id, f.secret, f.token, f.expires);
	free(f.id);
	tfs_secret_free(f.secret);
	tfs_secret_free(f.token);
	free(f.expires);
}

/* The form of AssumeRoleWithWebIdentity. */
static char *form(struct tfs_aws *a)
{
	const char *role = tfs_aws_env("AWS_ROLE_ARN"), *session = tfs_aws_env("AWS_ROLE_SESSION_NAME");
	cleanup_free char *role_text = tfs_url_encode(role, strlen(role), false), *session_text = NULL;
	char *token = NULL, *token_text, *text = NULL;
	int r = tfs_secret_read(tfs_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE"), MAX_TOKEN, &token);

	if (r) {
		tfs_aws_fail(a, strerror(-r));
		return NULL;
	}
	session = session ? session : "tensorfs";
	session_text = tfs_url_encode(session, strlen(session), false);
	token_text = tfs_url_encode(token, strcspn(token, " \r\n"), false);
	if (!role_text || !session_text || !token_text ||
	    asprintf(&text, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%s&RoleSessionName=%s&WebIdentityToken=%s",
		     role_text, session_text, token_text) < 0) {
		text = NULL;
		tfs_aws_fail(a, strerror(ENOMEM));
	}
	tfs_secret_free(token);
	tfs_secret_free(token_text);
	return text;
}

static void ask_web_identity(struct tfs_aws *a)
{
	const char *given = tfs_aws_env("AWS_ENDPOINT_URL_STS");
	struct tfs_ask_spec spec = { .method = "POST", .done = on_web_identity };
	cleanup_free char *url = NULL;

	if (given ? asprintf(&url, "%s", given) < 0 :
		    asprintf(&url, "https://sts.%s%samazonaws.com/", a->region ? a->region : "", a->region ? "." : "") < 0) {
		url = NULL;
		tfs_aws_fail(a, strerror(ENOMEM));
		return;
	}
	a->scratch = form(a);
	if (!a->scratch)
		return;
	spec.post = a->scratch;
	send_ask(a, &spec, url, given);
}

/* --- Container ------------------------------------------------------------------------------------------------------ */

static void on_container(struct tfs_ask *ask, void *arg)
{
	struct tfs_aws *a = arg;

	tfs_secret_free(tfs_steal(a->scratch));
	if (ask->code || ask->x.head.status != 200 || !ask->body)
		fail_answer(a, ask);
	else
		tfs_aws_take_json(a, ask->body, ask->len);
}

static int sign_container(void *arg, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_aws *a = arg;

	(void)err;
	return a->scratch ? tfs_exchange_header(x, "Authorization: %s", a->scratch) : 0;
}

/* By http only to this machine and to the agents of ECS and EKS: what is sent there is a secret. */
static bool is_allowed(const char *url)
{
	static const char *const hosts[] = {
		"http://127.",		"http://localhost",	 "http://[::1]",
		"http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::23]",
	};

	if (!strncmp(url, "https://", 8))
		return true;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const char *end = url + strlen(hosts[i]);

		if (!strncmp(url, hosts[i], strlen(hosts[i])) && (end[-1] == '.' || !*end || *end == '/' || *end == ':'))
			return true;
	}
	return false;
}

/* The token that the agent wants to see, if any. */
static int container_token(struct tfs_aws *a)
{
	const char *file = tfs_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
		   *text = tfs_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	int r = 0;

	if (file)
		r = tfs_secret_read(file, MAX_TOKEN, &a->scratch);
	else if (text)
		a->scratch = strdup(text);
	if (!r && a->scratch)
		a->scratch[strcspn(a->scratch, "\r\n")] = 0;
	return r;
}

static void ask_container(struct tfs_aws *a)
{
	const char *relative = tfs_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
		   *full = tfs_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct tfs_ask_spec spec = { .sign = sign_container, .done = on_container };
	cleanup_free char *url = NULL;
	int r = container_token(a);

	if (r) {
		tfs_aws_fail(a, strerror(-r));
		return;
	}
	if (!relative && !is_allowed(full)) {
		tfs_aws_fail(a, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor this machine");
		return;
	}
	if (asprintf(&url, "%s%s", relative ? CONTAINER_HOST : "", relative ? relative : full) < 0) {
		url = NULL;
		tfs_aws_fail(a, strerror(ENOMEM));
		return;
	}
	send_ask(a, &spec, url, true);
}

/* --- Instance ------------------------------------------------------------------------------------------------------- */

static int sign_session(void *arg, struct tfs_exchange *x, struct tfs_error *err)
{
	struct tfs_aws *a = arg;

	(void)err;
	if (!a->scratch)
		return tfs_exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds: 300");
	return tfs_exchange_header(x, "X-aws-ec2-metadata-token: %s", a->scratch);
}

static void ask_instance(struct tfs_aws *a, const char *method, const char *path, const char *more,
			 void (*done)(struct tfs_ask *, void *))
{
	const char *given = tfs_aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	struct tfs_ask_spec spec = { .method = method, .sign = sign_session, .done = done, .impatient = true };
	cleanup_free char *url = NULL;
	size_t len = given ? strlen(given) : 0;

	while (len && given[len - 1] == '/')
		len--;
	if (asprintf(&url, "%.*s%s%s", given ? (int)len : (int)strlen(INSTANCE_HOST), given ? given : INSTANCE_HOST, path, more) <
	    0) {
		url = NULL;
		tfs_aws_fail(a, strerror(ENOMEM));
		return;
	}
	send_ask(a, &spec, url, true);
}

/* The first line of an answer of a status 200; NULL, and that is the end, if it isn't one. */
static char *line_of(struct tfs_aws *a, struct tfs_ask *ask)
{
	if (ask->code || ask->x.head.status != 200 || !ask->body || !ask->len) {
		fail_answer(a, ask);
		return NULL;
	}
	ask->body[strcspn(ask->body, "\r\n")] = 0;
	return ask->body;
}

static void on_role(struct tfs_ask *ask, void *arg)
{
	struct tfs_aws *a = arg;
	char *role = line_of(a, ask);
	cleanup_free char *encoded = role ? tfs_url_encode(role, strlen(role), false) : NULL;

	if (encoded)
		ask_instance(a, NULL, INSTANCE_ROLES, encoded, on_container);
}

static void on_session(struct tfs_ask *ask, void *arg)
{
	struct tfs_aws *a = arg;
	char *token = line_of(a, ask);

	if (!token)
		return;
	a->scratch = strdup(token);
	if (a->scratch)
		ask_instance(a, NULL, INSTANCE_ROLES, "", on_role);
	else
		tfs_aws_fail(a, strerror(ENOMEM));
}

/* ------------------------------------------------------------------------------------------------------------------- */

void tfs_aws_ask(struct tfs_aws *a)
{
	tfs_secret_free(tfs_steal(a->scratch));
	if (a->source == TFS_AWS_WEB_IDENTITY)
		ask_web_identity(a);
	else if (a->source == TFS_AWS_CONTAINER)
		ask_container(a);
	else
		ask_instance(a, "PUT", "/latest/api/token", "", on_session);
}
