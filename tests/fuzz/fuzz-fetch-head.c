/* SPDX-License-Identifier: MIT */
/* Headers of answers, line by line as libcurl hands them on, and the URLs in them. */
#include <string.h>

#include "fetch/head.h"
#include "fetch/retry.h"
#include "fuzz.h"

static void check(const struct tfs_head *h)
{
	struct tfs_url base, to;

	if (h->has_range)
		CHECK(h->first <= h->last && (!h->has_total || h->last < h->total));
	CHECK(!h->bad_range || !h->has_range);
	CHECK(h->retry_after == -1 || (h->retry_after >= 0 && h->retry_after < 1e12));
	CHECK(!tfs_url_parse("https://example.com/a/b?c", &base, NULL));
	if (tfs_retry_is_redirect(h) && !tfs_retry_redirect(&base, h, &to, NULL)) {
		char shown[TFS_URL_SHOWN];

		CHECK(tfs_url_is_tls(&to) && to.path <= to.query && to.query <= strlen(to.text));
		CHECK(!strchr(tfs_url_show(&to, shown), '?'));
		CHECK(tfs_retry_expires(&to) >= 0);
		CHECK(tfs_url_port(&to) <= 65535);
		tfs_url_fini(&to);
	}
	tfs_url_fini(&base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct tfs_head h;

	tfs_head_init(&h);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
		char *copy = malloc(len);

		CHECK(copy);
		memcpy(copy, at, len);
		if (tfs_head_line(&h, copy, len))
			at = end;
		else
			at += len;
		free(copy);
	}
	check(&h);
	tfs_head_fini(&h);
	return 0;
}
