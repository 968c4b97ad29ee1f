/* SPDX-License-Identifier: MIT */
/*
 * Requests that are answered later, from a loader thread, so no libfuse thread waits; and the reader's Ctrl-C, which ends the wait.
 */
#ifndef TFS_FS_PENDING_H
#define TFS_FS_PENDING_H

#include <sched.h>
#include <stdbool.h>

#include "mount/fs.h"

/* Where an answer must be sent from: see pending.c. */
struct tfs_here {
	int cpu; /* of the ring; -1: the request came through /dev/fuse, and any thread may answer */
};

struct tfs_here tfs_here_of(struct tfs_fs *fs, fuse_req_t req);

struct tfs_moved {
	bool moved;
	cpu_set_t before;
};

/* To be called around an answer from a thread other than the one that received the request. */
struct tfs_moved tfs_go_there(struct tfs_fs *fs, struct tfs_here h);
void tfs_go_back(const struct tfs_moved *m);

/* A request that waits. The first member of what is allocated for it: after an interrupt it is answered and freed here. */
struct tfs_pending {
	struct tfs_fs *fs;
	fuse_req_t req;
	struct tfs_here here;
	/* The reader was interrupted. True: nothing else will answer. False: it is being answered already, or this triggers it. */
	bool (*give_up)(struct tfs_pending *p);
	/*
	 * Only a signal that kills ends the wait: for reads, which programs don't expect to fail because of a timer. May be set between
	 * tfs_pending_fill() and tfs_pending_heed_filled().
	 */
	bool killed_only;
	struct tfs_watched watched; /* where fs->watches, and if @killed_only */
};

/* Fill @p and arm it: give_up() is called when the reader is interrupted, until tfs_pending_disarm(). */
void tfs_pending_arm(struct tfs_pending *p, struct tfs_fs *fs, fuse_req_t req, bool (*give_up)(struct tfs_pending *p));

/*
 * The same in two steps, for a request that waits several times: filled in the thread that received it, then armed from any thread,
 * each time until tfs_pending_disarm().
 */
void tfs_pending_fill(struct tfs_pending *p, struct tfs_fs *fs, fuse_req_t req, bool (*give_up)(struct tfs_pending *p));
void tfs_pending_heed_filled(struct tfs_pending *p);

/* After this give_up() isn't called any more, and isn't running. It must not have returned true. */
void tfs_pending_disarm(struct tfs_pending *p);

#endif
