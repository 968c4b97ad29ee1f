/* SPDX-License-Identifier: MIT */
/*
 * Noticing that somebody who waits for an answer was interrupted, whichever way the request came. Through /dev/fuse the kernel
 * tells (FUSE_INTERRUPT), and libfuse calls back. Of requests that came by io_uring libfuse (3.18) does not find the
 * interrupt's request again, so there we look whether the waiting thread has a signal pending, several times a second.
 */
#ifndef TFS_FS_INTERRUPT_H
#define TFS_FS_INTERRUPT_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* A waiting thread; embedded in what it waits with. */
struct tfs_watched {
	pid_t tid;
	/* The thread has a signal pending. Called with the watch locked; true: it was answered, and @w is gone. */
	bool (*interrupted)(struct tfs_watched *w);
	struct tfs_watched *prev, *next; /* private */
};

struct tfs_watch {
	pthread_mutex_t lock; /* guards the list; taken before the loader's locks */
	pthread_cond_t changed;
	struct tfs_watched list; /* head */
	bool running, stopping;
	pthread_t thread; /* started with the first one to watch */
};

void tfs_watch_init(struct tfs_watch *w);
/* The list is empty. */
void tfs_watch_fini(struct tfs_watch *w);

void tfs_watch_add(struct tfs_watch *w, struct tfs_watched *e);

/* After this, @e is not looked at any more. It must still be there: not yet answered by interrupted(). */
void tfs_watch_remove(struct tfs_watch *w, struct tfs_watched *e);

#endif
