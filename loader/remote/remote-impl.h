/* SPDX-License-Identifier: MIT */
/*
 * A model that is elsewhere.
 *
 *   remote.c         reads its files, from the cache or by the fetcher
 *   remote-list.c    finds the table of them, at the origin or in the cache
 *   remote-stats.c   what that has cost
 */
#ifndef TFS_REMOTE_IMPL_H
#define TFS_REMOTE_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "remote/cache.h"
#include "remote/failures.h"
#include "remote/fetcher.h"
#include "remote/object.h"
#include "remote/options.h"
#include "remote/remote.h"

struct tfs_remote_file {
	struct tfs_object *_Atomic object;
	char *_Atomic stale; /* why it is of no use any more; owned; NULL: it is */
	/* Relaxed: only a guess. */
	_Atomic uint64_t next, ahead;
};

struct tfs_remote {
	struct tfs_remote_options options;
	struct tfs_remote_table table;
	struct tfs_fetcher *fetcher;
	struct tfs_cache *cache;       /* NULL: none */
	struct tfs_remote_file *files; /* one for each node */
	struct tfs_failures failures;
	char tree[TFS_CACHE_NAME]; /* the table's, in the cache */
	_Atomic bool scanned, stopped;
	_Atomic uint64_t hit_bytes, bad, stale;
};

/* Why nobody may be asked, for messages. */
#define TFS_REMOTE_NO_NETWORK "--offline, " TFS_REMOTE_OFFLINE " or HF_HUB_OFFLINE"

/* Set ->table and ->tree of what @url, a name (remote/name.h), is of. As tfs_remote_open(). */
int tfs_remote_find_table(struct tfs_remote *r, const char *url, struct tfs_error *err);

#endif
