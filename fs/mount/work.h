/* SPDX-License-Identifier: MIT */
/*
 * What requests need that may take long: it waits for storage, or for the CPU. Threads of its own do it, so those that answer requests
 * never wait, and whoever asks can always be killed:
 *
 *   tfs_work_submit() ──► queued ──► run() in a thread ──► done() ──► answer() of each who still waits ──► free()
 *                           │           └─ nobody waits any more ──► abandoned: it may look, and end early
 *                           └─ nobody waits any more ──► dropped: free()
 *
 * One user has at most half of the threads, so storage that hangs for him leaves some for others. Thread-safe.
 */
#ifndef TFS_FS_WORK_H
#define TFS_FS_WORK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "mount/pending.h"

/*
 * Work that may wait for storage has threads of its own, so that work for the CPU goes on whatever storage does.
 */
enum { TFS_STORAGE_THREADS = 16, TFS_CPU_THREADS = 4, TFS_WORK_THREADS = 16 };

struct tfs_work;

/* A request that waits for some work; malloc()ed, and freed with free() once it is answered or interrupted. */
struct tfs_asking {
	struct tfs_pending pending; /* first */
	/*
	 * The work is done: answer pending.req, from this thread. @result: what run() returned, and @work still exists; -ECANCELED: the
	 * session ends, -EINTR, -ENOMEM: it was never done.
	 */
	void (*answer)(struct tfs_asking *a, struct tfs_work *work, int result);

	/* Private. */
	struct tfs_works *works;
	struct tfs_work *work;
	struct tfs_list link;
	bool waiting, given_up;
};

/* Something to be done; embedded in what it is done with. */
struct tfs_work {
	/* May wait as long as it likes, and must not use the session. 0 or -errno. */
	int (*run)(struct tfs_work *w);
	/* After that, in the same thread, and before anybody is answered. NULL: nothing. */
	void (*done)(struct tfs_work *w, int result);
	/* Called last, in any case. */
	void (*free)(struct tfs_work *w);
	/*
	 * Others may join it, until done() was called. So it isn't dropped, which needs that, when nobody waits any more, and there may be
	 * only a limited number of them.
	 */
	bool shared;
	_Atomic bool abandoned; /* nobody waits any more: run() may end early, with -ECANCELED */

	/* Private. */
	struct tfs_list link, asking;
	uid_t uid; /* of the first who asked */
	enum tfs_work_state { TFS_WORK_NEW, TFS_WORK_QUEUED, TFS_WORK_RUNNING } state;
};

struct tfs_works;

/* With up to @threads, at most TFS_WORK_THREADS. NULL: out of memory. */
struct tfs_works *tfs_works_create(unsigned threads);

/*
 * All who wait are answered with -ECANCELED, also where the work is running. Then waits for that, which may hang as long as storage
 * does. What is submitted later is answered in the same way. Accepts NULL.
 */
void tfs_works_stop(struct tfs_works *ws);
void tfs_works_destroy(struct tfs_works *ws); /* after that; accepts NULL */

/* Set up @w, whose functions and @shared are set, for what follows. */
void tfs_work_init(struct tfs_work *w);

/*
 * Prepare to wait with @a, whose answer is set, for @req, which this thread has just received. Next it must be submitted to @ws or
 * join work of it. A signal ends the wait; @killed_only: only one that kills.
 */
void tfs_asking_arm(struct tfs_asking *a, struct tfs_works *ws, struct tfs_fs *fs, fuse_req_t req, bool killed_only);

/* Have @w, which is new, done for @a. Takes both. */
void tfs_work_submit(struct tfs_work *w, struct tfs_asking *a);

/*
 * Wait with @a for @w, too: submitted already or soon, and its done() not called before this returns. False: @a was interrupted, or
 * the session ends; the caller then has tfs_asking_refuse() do the rest.
 */
bool tfs_work_join(struct tfs_work *w, struct tfs_asking *a);

/* Answer @a, which doesn't wait for anything, and free it. */
void tfs_asking_refuse(struct tfs_asking *a, int error);

#endif
