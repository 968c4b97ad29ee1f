/* SPDX-License-Identifier: MIT */
/*
 * Empty files of the store that are registered with the kernel already, each to become a backing file. To have one registered takes a
 * request to another process, which lasts as long as loading a small tensor; with these it is one for many. Thread-safe.
 */
#ifndef TFS_FS_SPARES_H
#define TFS_FS_SPARES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/store.h"
#include "mount/helper.h"
#include "mount/kept.h"

struct tfs_spares {
	pthread_mutex_t lock;
	struct tfs_store *store;
	struct tfs_helper *keeper;
	uint64_t next;		 /* the name of the next to be made */
	unsigned at, n;		 /* those before it that are ready are @at to @n of the last ones: */
	int ids[TFS_HELPER_FDS]; /* their registrations */
	bool off;		 /* it failed */
};

/* @store and @keeper must outlive it. */
void tfs_spares_init(struct tfs_spares *s, struct tfs_store *store, struct tfs_helper *keeper);
void tfs_spares_fini(struct tfs_spares *s);

/*
 * One that is to become @name, whose registration goes to @kept: its name, or 0: there is none, as too many are registered, or it fails;
 * then it isn't tried again.
 */
uint64_t tfs_spares_take(struct tfs_spares *s, struct tfs_kept *kept, uint64_t name);

#endif
