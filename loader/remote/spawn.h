/* SPDX-License-Identifier: MIT */
/* Starting the program tensorfs-fetch with nothing that it doesn't need. */
#ifndef TFS_REMOTE_SPAWN_H
#define TFS_REMOTE_SPAWN_H

#include <sys/types.h>

#include "base/error.h"

/*
 * Start it with @socket and @memory as its descriptors 3 and 4: without capabilities and a way to get any, in a session of its
 * own, so that Ctrl-C isn't for it. 0; -ENOENT: it isn't installed; another -errno; @err filled.
 */
int tfs_spawn_fetcher(int socket, int memory, pid_t *ret_pid, struct tfs_error *err);

#endif
