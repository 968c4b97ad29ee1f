/* SPDX-License-Identifier: MIT */
#include "fetch/head.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/copy.h"

void tfs_head_init(struct tfs_head *h)
{
	*h = (struct tfs_head){ .retry_after = -1 };
}

void tfs_head_fini(struct tfs_head *h)
{
	free(h->etag);
	free(h->modified);
	free(h->location);
	free(h->range);
	free(h->next);
	free(h->error_code);
	free(h->error_message);
	free(h->region);
	free(h->version);
	tfs_head_init(h);
}

bool tfs_head_etag_is_strong(const char *etag)
{
	size_t len = strlen(etag);

	return len > 2 && etag[0] == '"' && strcspn(etag + 1, "\"") == len - 2;
}

/* Digits at **@at, which is moved past them. */
static bool read_number(const char **at, uint64_t *ret)
{
	const char *s = *at;
	uint64_t n = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return false;
	*at = s;
	*ret = n;
	return true;
}

static void read_length(struct tfs_head *h, const char *value)
{
	h->has_length = read_number(&value, &h->length) && !*value;
}

/* "bytes FIRST-LAST/TOTAL", where TOTAL may be "*", or "bytes * / TOTAL" without the blanks. */
static void read_range(struct tfs_head *h, const char *value)
{
	uint64_t first = 0, last = 0, total = 0;
	bool has_range = false, has_total = false;

	h->bad_range = true;
	h->has_range = h->has_total = false; /* of several the last one counts */
	if (strncasecmp(value, "bytes", 5))
		return;
	value += 5;
	value += *value == '=' ? 1 : 0; /* seen of old proxies */
	value += strspn(value, " ");
	if (*value == '*') {
		value++;
	} else {
		if (!read_number(&value, &first) || *value++ != '-' || !read_number(&value, &last) || first > last)
			return;
		has_range = true;
	}
	if (*value++ != '/')
		return;
	if (*value == '*') {
		value++;
	} else {
		if (!read_number(&value, &total) || (has_range && last >= total))
			return;
		has_total = true;
	}
	if (*value)
		return;
	h->bad_range = false;
	h->has_range = has_range;
	h->has_total = has_total;
	h->first = first;
	h->last = last;
	h->total = total;
}

/* A date, or seconds (RFC 9110 10.2.3). */
static void read_retry_after(struct tfs_head *h, const char *value)
{
	const char *at = value;
	uint64_t n;
	time_t date;

	if (read_number(&at, &n)) {
		h->retry_after = n < 86400 ? (double)n : 86400;
		return;
	}
	date = curl_getdate(value, NULL);
	if (date > 0)
		h->retry_after = date > time(NULL) ? (double)(date - time(NULL)) : 0;
}

/* draft-ietf-httpapi-ratelimit-headers, as the hub sends it: "resolvers";r=0;t=55. Counts if nothing is left. */
static void read_rate_limit(struct tfs_head *h, const char *value)
{
	const char *r = strstr(value, ";r="), *t = strstr(value, ";t=");
	uint64_t left, seconds;

	if (!r || !t || h->retry_after >= 0)
		return;
	r += 3;
	t += 3;
	if (read_number(&r, &left) && !left && read_number(&t, &seconds))
		h->retry_after = seconds < 86400 ? (double)seconds : 86400;
}

/* The target with rel="next" of "<URL>; rel="next", <URL>; …" (RFC 8288). */
static int read_link(struct tfs_head *h, const char *value)
{
	while ((value = strchr(value, '<'))) {
		const char *end = strchr(++value, '>');
		size_t params;

		if (!end)
			return 0;
		params = strcspn(end, "<");
		if (memmem(end, params, "rel=\"next\"", 10) || memmem(end, params, "rel=next", 8)) {
			free(h->next);
			h->next = strndup(value, (size_t)(end - value));
			return h->next ? 0 : -ENOMEM;
		}
		value = end + params;
	}
	return 0;
}

static int keep(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : -ENOMEM;
}

static int read_field(struct tfs_head *h, const char *name, const char *value)
{
	const struct {
		const char *name;
		char **field;
	} texts[] = {
		{ "etag", &h->etag },
		{ "last-modified", &h->modified },
		{ "location", &h->location },
		{ "x-error-code", &h->error_code },
		{ "x-error-message", &h->error_message },
		{ "x-amz-bucket-region", &h->region },
		{ "x-amz-version-id", &h->version },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!strcasecmp(name, texts[i].name))
			return keep(texts[i].field, value);
	if (!strcasecmp(name, "content-range")) {
		read_range(h, value);
		return keep(&h->range, value);
	}
	if (!strcasecmp(name, "content-length"))
		read_length(h, value);
	else if (!strcasecmp(name, "content-encoding"))
		h->encoded = *value && strcasecmp(value, "identity") && strcasecmp(value, "aws-chunked");
	else if (!strcasecmp(name, "content-type")) {
		h->is_json = !strncasecmp(value, "application/json", 16);
		h->is_parts = !strncasecmp(value, "multipart/byteranges", 20);
	} else if (!strcasecmp(name, "retry-after"))
		read_retry_after(h, value);
	else if (!strcasecmp(name, "ratelimit"))
		read_rate_limit(h, value);
	else if (!strcasecmp(name, "date"))
		h->date = curl_getdate(value, NULL) > 0 ? curl_getdate(value, NULL) : 0;
	else if (!strcasecmp(name, "link"))
		return read_link(h, value);
	return 0;
}

/* HTTP/1.1 206 Partial Content */
static void read_status(struct tfs_head *h, const char *line)
{
	const char *at = strchr(line, ' ');
	size_t bytes = h->bytes;
	uint64_t n;

	tfs_head_fini(h);
	h->bytes = bytes;
	if (at && (at += strspn(at, " ")) && read_number(&at, &n) && n >= 100 && n <= 999)
		h->status = (int)n;
}

int tfs_head_line(struct tfs_head *h, const char *line, size_t len)
{
	cleanup_free char *copy = NULL;
	char *value;

	h->bytes += len;
	if (h->bytes > TFS_HEAD_MAX)
		return -EFBIG;
	while (len && strchr("\r\n \t", line[len - 1]) && line[len - 1])
		len--;
	if (!len) {
		h->done = h->status >= 200;
		return 0;
	}
	copy = tfs_copy_bytes(line, len);
	if (!copy)
		return -ENOMEM;
	if (!strncasecmp(copy, "HTTP/", 5)) {
		read_status(h, copy);
		return 0;
	}
	value = strchr(copy, ':');
	if (!value)
		return 0;
	*value++ = 0;
	value += strspn(value, " \t");
	return read_field(h, copy, value);
}

int tfs_head_explain_range(const struct tfs_head *h, uint64_t first, uint64_t last, const char *host, struct tfs_error *err)
{
	const unsigned long long from = first, to = last;

	if (!h->range)
		return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET, "%s: bytes %llu-%llu were asked for, and the answer %s", host,
				     from, to,
				     h->is_parts ? "has several parts (multipart/byteranges)" :
						   "says that it is a part (206), but has no Content-Range");
	return tfs_error_set(err, -EPROTO, TFS_NO_OFFSET,
			     "%s: bytes %llu-%llu were asked for, and the Content-Range of the answer is \"%.100s\"%s", host, from,
			     to, h->range,
			     h->bad_range					  ? ", which can't be read" :
			     h->has_range && h->first == first && h->last <= last ? ", without the size of the file" :
										    "");
}
