/* SPDX-License-Identifier: MIT */
/* Starting the program tensorfs-fetch with nothing that it doesn't need, and ending it. */
#ifndef TFS_REMOTE_SPAWN_H
#define TFS_REMOTE_SPAWN_H

#include <sys/types.h>

#include "base/error.h"

/*
 * Start it with @socket and @memory as its descriptors 3 and 4: without capabilities and a way to get any, in a session of its
 * own, so that Ctrl-C isn't for it. 0; -ENOENT: it isn't installed; another -errno; @err filled.
 */
int tfs_spawn_fetcher(int socket, int memory, pid_t *ret_pid, struct tfs_error *err);

/* Kill @pid, which was started and not ended. */
void tfs_spawn_kill(pid_t pid);

/* Kill it, and wait until it is gone. Its status, as of waitpid(2). */
int tfs_spawn_end(pid_t pid);

/* Who else does all that, for a process that can't start others any more. Immutable. */
struct tfs_spawner {
	int (*start)(void *arg, int socket, int memory, pid_t *ret_pid, struct tfs_error *err);
	void (*kill)(void *arg, pid_t pid);
	int (*end)(void *arg, pid_t pid);
	void *arg;
};

/* From now on by @by, and not by this process. Call it when no fetcher runs. */
void tfs_spawn_by(const struct tfs_spawner *by);

/* Overwrite the credentials in this process's environment, which only the fetcher reads. */
void tfs_spawn_forget_credentials(void);

#endif
