/* SPDX-License-Identifier: MIT */
/*
 * Files of .tensorfs whose text changes over time (stats), or depends on the reader (the indexes of a mixed model, see
 * tree/access.h). Each lookup creates a snapshot, with its own inode number, which lasts until the kernel forgets that number. So a
 * file keeps the size that the lookup returned while it is open, as tar and rsync require; what is read is no older than the open;
 * and nothing that one caller reads is cached for another. All snapshots of a file show the same st_ino.
 *
 * Thread-safe.
 */
#ifndef TFS_FS_SNAPSHOTS_H
#define TFS_FS_SNAPSHOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tree/access.h"

struct tfs_snapshot {
	/* Immutable once it is added, but that the size may become known. */
	char *text;		  /* owned; NULL: generated when it is opened */
	_Atomic uint64_t size;	  /* TFS_SNAPSHOT_UNSIZED: of one that is generated, not known yet */
	struct tfs_caller caller; /* the caller of the lookup; owned */

	/* Private, guarded by the table's lock. */
	struct tfs_snapshot *next;
	uint32_t serial;
	uint64_t refs; /* the kernel's lookups, and ours */
};

#define TFS_SNAPSHOT_UNSIZED UINT64_MAX

enum { TFS_SNAPSHOT_BUCKETS = 256 };

/* Bytes of texts, and what each costs besides; half of them for one user. */
enum { TFS_SNAPSHOTS_MAX = 128 << 20, TFS_SNAPSHOT_COST = 1024 };

struct tfs_snapshots {
	pthread_mutex_t lock;
	uint32_t last;	/* serial */
	uint64_t bytes; /* of all */
	struct tfs_snapshot *buckets[TFS_SNAPSHOT_BUCKETS];
};

void tfs_snapshots_init(struct tfs_snapshots *t);
void tfs_snapshots_fini(struct tfs_snapshots *t); /* with all its snapshots */

/*
 * Takes ownership of @s, malloc()ed, with one reference, the kernel's. 0: *@ret_serial is its serial, which isn't 0; or -ENOMEM: there
 * are too many bytes of them, in all or of this user, and @s remains the caller's.
 */
int tfs_snapshots_add(struct tfs_snapshots *t, struct tfs_snapshot *s, uint32_t *ret_serial);

/* A reference to the one with @serial, to be released with tfs_snapshots_put(t, serial, 1); NULL: none. */
const struct tfs_snapshot *tfs_snapshots_get(struct tfs_snapshots *t, uint32_t serial);

/* Drop @n references. */
void tfs_snapshots_put(struct tfs_snapshots *t, uint32_t serial, uint64_t n);

void tfs_snapshot_free(struct tfs_snapshot *s); /* one that isn't in a table; accepts NULL */

#endif
