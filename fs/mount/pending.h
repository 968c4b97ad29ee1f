/* SPDX-License-Identifier: MIT */
/*
 * Requests that are answered later, from a loader thread, so no libfuse thread waits; and the reader's Ctrl-C, which ends the wait.
 */
#ifndef TFS_FS_PENDING_H
#define TFS_FS_PENDING_H

#include <stdbool.h>

#include "mount/fs.h"

/*
 * Whether @req came over io_uring, and not through /dev/fuse. To be called in the thread that received it, at the latest before the
 * request is left to another one: the thread of a ring has to outlive its requests.
 */
bool tfs_came_by_ring(struct tfs_fs *fs, fuse_req_t req);

/* A request that waits. The first member of what is allocated for it: after an interrupt it is answered and freed here. */
struct tfs_pending {
	struct tfs_fs *fs;
	fuse_req_t req;
	/* The reader was interrupted. True: nothing else will answer. False: it is being answered already, or this triggers it. */
	bool (*give_up)(struct tfs_pending *p);
	/*
	 * Only a signal that kills ends the wait: for reads, lookups and attributes, which programs don't expect to fail because of a timer.
	 * May be set between tfs_pending_fill() and tfs_pending_heed_filled().
	 */
	bool killed_only;
	bool is_watched; /* where fs->watches, if @killed_only, and after an interrupt that shouldn't end it */
	struct tfs_watched watched;
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
