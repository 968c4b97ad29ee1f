/* SPDX-License-Identifier: MIT */
/*
 * Detects that a caller waiting for an answer was interrupted, with either transport. Through /dev/fuse the kernel reports it
 * (FUSE_INTERRUPT), and libfuse calls back. With io_uring, libfuse (3.18) doesn't find the request that an interrupt belongs to, so
 * there we check several times a second whether the waiting thread has a signal pending. Readers are checked with either transport:
 * only being killed may end a read, and that may come after the single interrupt that is reported. So are those whose interrupt was
 * by a signal that does nothing.
 */
#ifndef TFS_FS_INTERRUPT_H
#define TFS_FS_INTERRUPT_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"

enum tfs_signalled {
	TFS_NOT_SIGNALLED,
	TFS_SIGNALLED,
	TFS_SIGNALLED_UNKNOWN, /* the thread is in another PID namespace */
};

/* Has the thread @tid a signal pending that ends its wait? @killed_only: SIGKILL. */
enum tfs_signalled tfs_signalled(pid_t tid, bool killed_only);

/* A waiting thread; embedded in what it waits with. */
struct tfs_watched {
	pid_t tid;
	bool killed_only; /* check only for SIGKILL, as which the kernel delivers every fatal signal */
	/*
	 * The thread has a signal pending. Called with the watch locked; true: @w isn't watched any more, and answer() is called
	 * next.
	 */
	bool (*give_up)(struct tfs_watched *w);
	/* Without the lock, as an answer takes libfuse's, under which open requests call tfs_watch_add(). Frees @w. */
	void (*answer)(struct tfs_watched *w);
	struct tfs_list link; /* private, as is: */
	bool seen, given_up;
};

struct tfs_watch {
	pthread_mutex_t lock; /* guards the list; taken before the loader's locks */
	pthread_cond_t changed;
	struct tfs_list list;
	bool running, stopping, answering;
	/*
	 * Most opens are answered at once, and shouldn't wake the thread: it only goes to sleep after a while without requests, and
	 * until then checks at its own pace.
	 */
	bool busy, asleep;
	pthread_t thread; /* started with the first one to watch */
};

void tfs_watch_init(struct tfs_watch *w);
/* The list is empty. */
void tfs_watch_fini(struct tfs_watch *w);

void tfs_watch_add(struct tfs_watch *w, struct tfs_watched *e);

/* After this, @e isn't checked any more. False: it was interrupted, and its answer() is running or done. */
bool tfs_watch_remove(struct tfs_watch *w, struct tfs_watched *e);

/* Waits until interrupted requests have been answered. */
void tfs_watch_drain(struct tfs_watch *w);

#endif
