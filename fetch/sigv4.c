/* SPDX-License-Identifier: MIT */
#include "fetch/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/sha256.h"

enum { MAX_HEADERS = 16, MAX_PARAMETERS = 64 };

void tfs_sigv4_date(time_t now, char date[static TFS_SIGV4_DATE])
{
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, TFS_SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The parameters of @query, sorted, each with a '='; malloc()ed, or NULL. */
static char *canonical_query(const char *query)
{
	cleanup_free char *copy = strdup(query);
	char *parameters[MAX_PARAMETERS], *save, *out = malloc(strlen(query) + MAX_PARAMETERS + 1), *to = out;
	size_t n = 0;

	if (!copy || !out) {
		free(out);
		return NULL;
	}
	for (char *p = strtok_r(copy, "&", &save); p && n < MAX_PARAMETERS; p = strtok_r(NULL, "&", &save))
		parameters[n++] = p;
	/* '=' sorts after what may be in a name, but for letters: by names alone no two that differ are prefixes of each other here. */
	if (n)
		qsort(parameters, n, sizeof *parameters, compare_texts);
	for (size_t i = 0; i < n; i++)
		to += sprintf(to, "%s%s%s", i ? "&" : "", parameters[i], strchr(parameters[i], '=') ? "" : "=");
	*to = 0;
	return out;
}

static int compare_headers(const void *a, const void *b)
{
	return strcmp(((const struct tfs_sigv4_header *)a)->name, ((const struct tfs_sigv4_header *)b)->name);
}

/* "name:value\n" of each, and "name;name", malloc()ed. 0 or -1. */
static int canonical_headers(const struct tfs_sigv4_header *h, size_t n, char **ret_lines, char **ret_names)
{
	size_t lines_len = 1, names_len = 1;
	char *lines, *names;

	for (size_t i = 0; i < n; i++) {
		lines_len += strlen(h[i].name) + strlen(h[i].value) + 2;
		names_len += strlen(h[i].name) + 1;
	}
	lines = *ret_lines = malloc(lines_len);
	names = *ret_names = malloc(names_len);
	if (!lines || !names)
		return -1;
	for (size_t i = 0; i < n; i++) {
		lines += sprintf(lines, "%s:%s\n", h[i].name, h[i].value);
		names += sprintf(names, "%s%s", i ? ";" : "", h[i].name);
	}
	return 0;
}

static void hash_hex(const char *text, char hex[static TFS_SHA256_HEX])
{
	uint8_t digest[TFS_SHA256_BYTES];

	tfs_sha256(text, strlen(text), digest);
	tfs_sha256_hex(digest, hex);
}

/* HMAC of @text by the key that is derived for the day, the region and the service. */
static int sign_text(const struct tfs_sigv4 *s, const char *day, const char *text, char hex[static TFS_SHA256_HEX])
{
	const char *const steps[] = { day, s->region, s->service, "aws4_request", text };
	uint8_t key[TFS_SHA256_BYTES];
	char *first;
	int n = asprintf(&first, "AWS4%s", s->secret);

	if (n < 0)
		return -1;
	tfs_hmac_sha256(first, (size_t)n, steps[0], strlen(steps[0]), key);
	explicit_bzero(first, (size_t)n);
	free(first);
	for (size_t i = 1; i < sizeof steps / sizeof *steps; i++)
		tfs_hmac_sha256(key, sizeof key, steps[i], strlen(steps[i]), key);
	tfs_sha256_hex(key, hex);
	explicit_bzero(key, sizeof key);
	return 0;
}

char *tfs_sigv4_sign(const struct tfs_sigv4 *s, const struct tfs_url *url, const struct tfs_sigv4_header *more, size_t n)
{
	cleanup_free char *query = canonical_query(url->text[url->query] ? url->text + url->query + 1 : "");
	cleanup_free char *lines = NULL, *names = NULL, *request = NULL, *scope = NULL, *text = NULL;
	char date[TFS_SIGV4_DATE], day[9], host[TFS_URL_SHOWN], hash[TFS_SHA256_HEX], signature[TFS_SHA256_HEX], *value = NULL;
	struct tfs_sigv4_header headers[MAX_HEADERS];
	size_t count = 0;

	tfs_sigv4_date(s->now, date);
	snprintf(day, sizeof day, "%.8s", date);
	headers[count++] = (struct tfs_sigv4_header){ "host", tfs_url_show_host(url, host) };
	headers[count++] = (struct tfs_sigv4_header){ "x-amz-content-sha256", TFS_SIGV4_NO_BODY };
	headers[count++] = (struct tfs_sigv4_header){ "x-amz-date", date };
	if (s->token)
		headers[count++] = (struct tfs_sigv4_header){ "x-amz-security-token", s->token };
	for (size_t i = 0; i < n && count < MAX_HEADERS; i++)
		headers[count++] = more[i];
	qsort(headers, count, sizeof *headers, compare_headers);
	if (!query || canonical_headers(headers, count, &lines, &names) ||
	    asprintf(&request, "GET\n%.*s\n%s\n%s\n%s\n" TFS_SIGV4_NO_BODY, (int)(url->query - url->path), url->text + url->path,
		     query, lines, names) < 0)
		return NULL;
	hash_hex(request, hash);
	if (asprintf(&scope, "%s/%s/%s/aws4_request", day, s->region, s->service) < 0 ||
	    asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hash) < 0 || sign_text(s, day, text, signature) ||
	    asprintf(&value, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", s->id, scope, names, signature) <
		    0)
		return NULL;
	return value;
}
