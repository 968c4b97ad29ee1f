/* SPDX-License-Identifier: MIT */
#include "remote/failures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* What failed sooner costs nobody much to try again. How long one is remembered: who waited for it asks within milliseconds. */
enum { LONG_SECONDS = 1, MOMENT_SECONDS = 1 };

/* What has waited for this part of the timeout has waited for it, but for the time until it was sent. */
#define WHOLE 0.9

static uint64_t bytes_so_far(const struct tfs_failures *f)
{
	return atomic_load_explicit(f->bytes, memory_order_relaxed);
}

void tfs_failures_init(struct tfs_failures *f, const _Atomic uint64_t *bytes, double timeout)
{
	*f = (struct tfs_failures){ .bytes = bytes, .timeout = timeout };
	pthread_mutex_init(&f->lock, NULL);
}

void tfs_failures_fini(struct tfs_failures *f)
{
	for (unsigned i = 0; i < TFS_FAILURES_MAX; i++)
		free(f->last[i].why);
	pthread_mutex_destroy(&f->lock);
}

void tfs_failures_add(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, bool waits, double since, int code,
		      const struct tfs_error *err)
{
	const double now = tfs_now();

	if (now - since < LONG_SECONDS || code == -ECANCELED)
		return;
	pthread_mutex_lock(&f->lock);
	struct tfs_failure *last = &f->last[f->next++ % TFS_FAILURES_MAX];

	free(last->why);
	*last = (struct tfs_failure){
		.from = from,
		.end = end,
		.at = now,
		.had_bytes = bytes_so_far(f),
		.node = node,
		.code = code,
		.waited = waits,
		.silent = code == -EIO && now - since >= WHOLE * f->timeout,
		.why = strdup(err->what),
	};
	pthread_mutex_unlock(&f->lock);
}

int tfs_failures_find(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, bool waits, struct tfs_error *err)
{
	const double since = tfs_now() - MOMENT_SECONDS;
	int code = 0;

	pthread_mutex_lock(&f->lock);
	const unsigned n = f->next < TFS_FAILURES_MAX ? f->next : TFS_FAILURES_MAX; /* none, mostly */
	for (unsigned i = 0; i < n && !code; i++) {
		const struct tfs_failure *last = &f->last[i];
		const bool same = last->node == node && last->from < end && from < last->end;
		if (last->at > since && (same || ((waits || last->waited) && last->silent && last->had_bytes == bytes_so_far(f))))
			code = tfs_error_set(err, last->code, from, "%s", last->why ? last->why : strerror(-last->code));
	}
	pthread_mutex_unlock(&f->lock);
	return code;
}
