/* SPDX-License-Identifier: MIT */
/*
 * Files of .tensorfs whose text is of the moment (stats), or differs by who reads it (the indexes of a mixed model, see tree/access.h).
 * Each lookup makes a snapshot, with an inode number of its own, which lasts until the kernel forgets that number. So a file has
 * the size that it was found with for as long as somebody has it open, as tar and rsync want it; what is read is no older than the
 * open; and nothing that one caller reads is cached for another. All snapshots of a file show the same st_ino.
 *
 * Thread-safe.
 */
#ifndef TFS_FS_SNAPSHOTS_H
#define TFS_FS_SNAPSHOTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tree/access.h"

struct tfs_snapshot {
	/* Immutable once it is added. */
	char *text; /* owned; NULL: made when it is opened */
	uint64_t size;
	struct tfs_caller caller; /* who looked; owned */

	/* Private, guarded by the table's lock. */
	struct tfs_snapshot *next;
	uint32_t serial;
	uint64_t refs; /* the kernel's lookups, and those in here */
};

enum { TFS_SNAPSHOT_BUCKETS = 256 };

struct tfs_snapshots {
	pthread_mutex_t lock;
	uint32_t last; /* serial */
	struct tfs_snapshot *buckets[TFS_SNAPSHOT_BUCKETS];
};

void tfs_snapshots_init(struct tfs_snapshots *t);
void tfs_snapshots_fini(struct tfs_snapshots *t); /* with all that is in it */

/* Takes @s, malloc()ed, with one reference, the kernel's. Returns its serial, which is not 0. */
uint32_t tfs_snapshots_add(struct tfs_snapshots *t, struct tfs_snapshot *s);

/* A reference to that of @serial, to be given back with tfs_snapshots_put(t, serial, 1); NULL: there is none. */
const struct tfs_snapshot *tfs_snapshots_get(struct tfs_snapshots *t, uint32_t serial);

/* @n references less. */
void tfs_snapshots_put(struct tfs_snapshots *t, uint32_t serial, uint64_t n);

void tfs_snapshot_free(struct tfs_snapshot *s); /* one that is in no table; takes NULL */

#endif
