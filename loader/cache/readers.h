/* SPDX-License-Identifier: MIT */
/* The processes that opened something, as long as they live. Not thread-safe. */
#ifndef TFS_CACHE_READERS_H
#define TFS_CACHE_READERS_H

#include <stdbool.h>
#include <sys/types.h>

/* As many are remembered. */
enum { TFS_READERS = 16 };

/* Zeroed: none. */
struct tfs_readers {
	pid_t pids[TFS_READERS]; /* 0: none */
	unsigned next;		 /* whose entry to use next */
};

/* The process of thread @tid; 0: it has ended. */
pid_t tfs_reader_of(pid_t tid);

void tfs_readers_add(struct tfs_readers *r, pid_t pid);

/* Does one of them live? One that has ended and that its parent hasn't waited for doesn't. */
bool tfs_readers_any(const struct tfs_readers *r);

#endif
