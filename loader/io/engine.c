/* SPDX-License-Identifier: MIT */
#include "io/engine.h"

#include <errno.h>

#include "config.h"

/* Not built in: no liburing. */
tfs_engines tfs_all_engines = {
#ifdef HAVE_LIBURING
	[TFS_TIER_URING] = &tfs_engine_uring,
#endif
	[TFS_TIER_THREADS] = &tfs_engine_threads,
	[TFS_TIER_BUFFERED] = &tfs_engine_buffered,
	[TFS_TIER_REMOTE] = &tfs_engine_remote,
};

int tfs_engine_probe(tfs_engines engines, enum tfs_tier tier)
{
	const struct tfs_engine *e = engines[tier];
	struct tfs_io_context *c;
	int r;

	if (!e)
		return -EOPNOTSUPP;
	if (!e->create)
		return 0;
	r = e->create(1, &c);
	if (!r)
		e->destroy(c);
	return r;
}
