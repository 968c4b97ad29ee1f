/* SPDX-License-Identifier: MIT */
/*
 * Noticing that somebody who waits for an answer was interrupted, whichever way the request came. Through /dev/fuse the kernel
 * tells (FUSE_INTERRUPT), and libfuse calls back. Of requests that came by io_uring libfuse (3.18) does not find the
 * interrupt's request again, so there we look whether the waiting thread has a signal pending, several times a second. So we do for
 * readers, whichever way they come: only being killed may end a read, and that may come after the one interrupt that we are told.
 */
#ifndef TFS_FS_INTERRUPT_H
#define TFS_FS_INTERRUPT_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"

/* A waiting thread; embedded in what it waits with. */
struct tfs_watched {
	pid_t tid;
	bool killed_only; /* look for SIGKILL alone, as which the kernel delivers whatever ends a process */
	/* The thread has a signal pending. Called with the watch locked; true: @w is not watched any more, and answer() follows. */
	bool (*give_up)(struct tfs_watched *w);
	/* Without the lock, as an answer takes libfuse's, under which open requests come to tfs_watch_add(). @w goes with it. */
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
	 * Most opens are answered at once, and none of them should wake the thread: it goes to sleep only after a while in which
	 * nobody came, and until then looks at its own pace.
	 */
	bool busy, asleep;
	pthread_t thread; /* started with the first one to watch */
};

void tfs_watch_init(struct tfs_watch *w);
/* The list is empty. */
void tfs_watch_fini(struct tfs_watch *w);

void tfs_watch_add(struct tfs_watch *w, struct tfs_watched *e);

/* After this, @e is not looked at any more. False: it has been given up, and its answer() is on its way or over. */
bool tfs_watch_remove(struct tfs_watch *w, struct tfs_watched *e);

/* Waits until who was given up has been answered. */
void tfs_watch_drain(struct tfs_watch *w);

#endif
