/* SPDX-License-Identifier: MIT */
#include "remote/failures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* What failed sooner costs nobody much to try again. How long one is remembered: who waited for it asks within milliseconds. */
enum { LONG_SECONDS = 1, MOMENT_SECONDS = 1 };

void tfs_failures_init(struct tfs_failures *f)
{
	*f = (struct tfs_failures){ 0 };
	pthread_mutex_init(&f->lock, NULL);
}

void tfs_failures_fini(struct tfs_failures *f)
{
	for (unsigned i = 0; i < TFS_FAILURES_MAX; i++)
		free(f->last[i].why);
	pthread_mutex_destroy(&f->lock);
}

void tfs_failures_add(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, double since, int code,
		      const struct tfs_error *err)
{
	const double now = tfs_now();

	if (now - since < LONG_SECONDS || code == -ECANCELED)
		return;
	pthread_mutex_lock(&f->lock);
	struct tfs_failure *last = &f->last[f->next++ % TFS_FAILURES_MAX];

	free(last->why);
	*last = (struct tfs_failure){ from, end, now, node, code, strdup(err->what) };
	pthread_mutex_unlock(&f->lock);
}

int tfs_failures_find(struct tfs_failures *f, uint32_t node, uint64_t from, uint64_t end, struct tfs_error *err)
{
	const double since = tfs_now() - MOMENT_SECONDS;
	int code = 0;

	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < TFS_FAILURES_MAX && !code; i++) {
		const struct tfs_failure *last = &f->last[i];

		if (last->at > since && last->node == node && last->from < end && from < last->end)
			code = tfs_error_set(err, last->code, from, "%s", last->why ? last->why : strerror(-last->code));
	}
	pthread_mutex_unlock(&f->lock);
	return code;
}
