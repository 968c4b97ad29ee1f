/* SPDX-License-Identifier: MIT */
#include "cli/verify/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xxh3.h"
#include "config.h"

#ifdef HAVE_NETTLE
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#endif

const char *const tfs_digest_names[TFS_SUM_KINDS] = { "SHA-256", "Git's SHA-1", "XXH128" };

struct tfs_digest {
	enum tfs_sum_kind kind;
	XXH3_state_t *xxh;
#ifdef HAVE_NETTLE
	struct sha256_ctx sha256;
	struct sha1_ctx sha1;
#endif
};

bool tfs_digest_has(enum tfs_sum_kind kind)
{
#ifdef HAVE_NETTLE
	(void)kind;
	return true;
#else
	return kind == TFS_XXH128;
#endif
}

struct tfs_digest *tfs_digest_create(enum tfs_sum_kind kind, uint64_t size)
{
	struct tfs_digest *d = calloc(1, sizeof *d);
	char head[40];

	if (!d)
		return NULL;
	d->kind = kind;
	if (kind == TFS_XXH128) {
		d->xxh = XXH3_createState();
		if (!d->xxh) {
			free(d);
			return NULL;
		}
		XXH3_128bits_reset(d->xxh);
	}
#ifdef HAVE_NETTLE
	sha256_init(&d->sha256);
	sha1_init(&d->sha1);
#endif
	/* What Git hashes in front of a file: gitformat-objects(5). */
	const int len = snprintf(head, sizeof head, "blob %" PRIu64, size);
	if (kind == TFS_GIT_SHA1)
		tfs_digest_add(d, head, (size_t)len + 1);
	return d;
}

void tfs_digest_add(struct tfs_digest *d, const void *data, size_t len)
{
	if (d->kind == TFS_XXH128)
		XXH3_128bits_update(d->xxh, data, len);
#ifdef HAVE_NETTLE
	else if (d->kind == TFS_SHA256)
		sha256_update(&d->sha256, len, data);
	else
		sha1_update(&d->sha1, len, data);
#endif
}

void tfs_digest_end(struct tfs_digest *d, char hex[65])
{
	uint8_t bytes[32] = { 0 };
	size_t n = 16;

	if (d->kind == TFS_XXH128) {
		XXH128_canonical_t canonical;

		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(d->xxh));
		memcpy(bytes, canonical.digest, n);
	}
#ifdef HAVE_NETTLE
	else if (d->kind == TFS_SHA256) {
		n = SHA256_DIGEST_SIZE;
		sha256_digest(&d->sha256, n, bytes);
	} else {
		n = SHA1_DIGEST_SIZE;
		sha1_digest(&d->sha1, n, bytes);
	}
#endif
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

void tfs_digest_destroy(struct tfs_digest *d)
{
	if (!d)
		return;
	XXH3_freeState(d->xxh);
	free(d);
}
