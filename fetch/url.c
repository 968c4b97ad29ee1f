/* SPDX-License-Identifier: MIT */
#include "fetch/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "remote/name.h"

/* A part of @h in *@ret, to be freed by curl_free(); NULL: it has none. */
static char *part(CURLU *h, CURLUPart which, unsigned flags)
{
	char *s = NULL;

	return curl_url_get(h, which, &s, flags) ? NULL : s;
}

static char *origin_of(CURLU *h)
{
	char *scheme = part(h, CURLUPART_SCHEME, 0);
	char *host = part(h, CURLUPART_HOST, 0);
	char *port = part(h, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *origin = NULL;

	if (!scheme || !host || !port || !*host || asprintf(&origin, "%s://%s:%s", scheme, host, port) < 0)
		origin = NULL;
	for (char *c = origin; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return origin;
}

static bool is_http(CURLU *h)
{
	char *scheme = part(h, CURLUPART_SCHEME, 0);
	bool is = scheme && (!strcmp(scheme, "http") || !strcmp(scheme, "https"));

	curl_free(scheme);
	return is;
}

static bool has_user(CURLU *h)
{
	char *user = part(h, CURLUPART_USER, 0), *password = part(h, CURLUPART_PASSWORD, 0);
	bool has = user || password;

	curl_free(user);
	curl_free(password);
	return has;
}

/* Where the path of the normalised @text begins. */
static size_t path_of(const char *text)
{
	const char *host = strstr(text, "://");

	return host ? (size_t)(host + 3 - text) + strcspn(host + 3, "/?") : 0;
}

static int from_handle(CURLU *h, struct tfs_url *ret, struct tfs_error *err)
{
	struct tfs_url u = { 0 };
	char *text;

	if (!is_http(h))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL that is neither http:// nor https://");
	if (has_user(h))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL with a user or password in it");
	if (curl_url_set(h, CURLUPART_FRAGMENT, NULL, 0))
		return -ENOMEM;
	text = part(h, CURLUPART_URL, 0);
	if (text) {
		u.text = strdup(text);
		curl_free(text);
	}
	u.origin = origin_of(h);
	if (!u.text || !u.origin) {
		tfs_url_fini(&u);
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL without a host");
	}
	if (strlen(u.text) > TFS_URL_MAX) {
		tfs_url_fini(&u);
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL of more than %u bytes", TFS_URL_MAX);
	}
	u.path = path_of(u.text);
	u.query = strcspn(u.text, "?");
	*ret = u;
	return 0;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

int tfs_url_join(const struct tfs_url *base, const char *relative, struct tfs_url *ret, struct tfs_error *err)
{
	unsigned flags = CURLU_URLENCODE | CURLU_PATH_AS_IS;
	CURLUcode bad = CURLUE_OK;
	CURLU *h;
	int r;

	if (strlen(relative) > TFS_URL_MAX)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL of more than %u bytes", TFS_URL_MAX);
	if (has_control(relative))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a URL with a control character in it");
	h = curl_url();
	if (!h)
		return -ENOMEM;
	if (base)
		bad = curl_url_set(h, CURLUPART_URL, base->text, CURLU_PATH_AS_IS);
	if (!bad)
		bad = curl_url_set(h, CURLUPART_URL, relative, flags);
	if (bad)
		r = tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "not a URL (%s)", curl_url_strerror(bad));
	else
		r = from_handle(h, ret, err);
	curl_url_cleanup(h);
	return r;
}

int tfs_url_parse(const char *text, struct tfs_url *ret, struct tfs_error *err)
{
	return tfs_url_join(NULL, text, ret, err);
}

int tfs_url_at(const struct tfs_url *base, const char *path, const char *query, struct tfs_url *ret, struct tfs_error *err)
{
	cleanup_free char *text = NULL;

	if (asprintf(&text, "%.*s%s%s%s", (int)base->path, base->text, path, query ? "?" : "", query ? query : "") < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return tfs_url_parse(text, ret, err);
}

int tfs_url_copy(const struct tfs_url *u, struct tfs_url *ret)
{
	*ret = *u;
	ret->text = strdup(u->text);
	ret->origin = strdup(u->origin);
	if (ret->text && ret->origin)
		return 0;
	tfs_url_fini(ret);
	return -ENOMEM;
}

void tfs_url_fini(struct tfs_url *u)
{
	free(u->text);
	free(u->origin);
	*u = (struct tfs_url){ 0 };
}

bool tfs_url_same_origin(const struct tfs_url *a, const struct tfs_url *b)
{
	return !strcmp(a->origin, b->origin);
}

bool tfs_url_is_tls(const struct tfs_url *u)
{
	return !strncmp(u->origin, "https:", 6);
}

unsigned tfs_url_port(const struct tfs_url *u)
{
	return (unsigned)strtoul(strrchr(u->origin, ':') + 1, NULL, 10);
}

char *tfs_url_authority(const struct tfs_url *u)
{
	size_t len = strlen(u->origin);

	if (tfs_url_port(u) == (tfs_url_is_tls(u) ? 443u : 80u))
		len = (size_t)(strrchr(u->origin, ':') - u->origin);
	return strndup(u->origin, len);
}

const char *tfs_url_show(const struct tfs_url *u, char buf[static TFS_URL_SHOWN])
{
	snprintf(buf, TFS_URL_SHOWN, "%.*s", (int)u->query, u->text);
	return buf;
}

const char *tfs_url_show_host(const struct tfs_url *u, char buf[static TFS_URL_SHOWN])
{
	const char *host = strstr(u->text, "://") + 3;

	snprintf(buf, TFS_URL_SHOWN, "%.*s", (int)(u->text + u->path - host), host);
	return buf;
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

char *tfs_url_encode(const char *s, size_t len, bool slashes)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = malloc(len * 3 + 1), *to = text;

	for (size_t i = 0; text && i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (is_unreserved(s[i]) || (slashes && c == '/')) {
			*to++ = s[i];
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		}
	}
	if (to)
		*to = 0;
	return text;
}

char *tfs_url_parameter(const struct tfs_url *u, const char *name)
{
	size_t n = strlen(name);
	const char *at = u->text + u->query;

	while (*at) {
		size_t len = strcspn(++at, "&"); /* past '?' or '&' */

		if (len > n && at[n] == '=' && !strncasecmp(at, name, n))
			return tfs_url_decode(at + n + 1, len - n - 1);
		at += len;
	}
	return NULL;
}
