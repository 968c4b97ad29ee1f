/* SPDX-License-Identifier: MIT */
/* A mount that comes back: whoever started the daemon stays, and starts another one if it is killed. It reads nothing of the model. */
#ifndef TFS_FS_SUPERVISE_H
#define TFS_FS_SUPERVISE_H

#include "mount/options.h"

/*
 * Mount, as tfs_daemon_start() does, and again whenever the daemon ends by a signal that it wasn't sent by way of us: what it left
 * mounted is unmounted, so its memory is released, except what is mapped. Once it mounted, what was @report_fd (-1: none) is closed
 * after a byte was written to it, and if not in the foreground the caller's directory and standard descriptors are given up. SIGINT,
 * SIGTERM and SIGHUP are blocked, and read from @signal_fd. No thread may be running. Returns the exit status: the daemon's own, or 1.
 */
int tfs_supervise(const struct tfs_options *options, int signal_fd, int report_fd);

/* The same in a process of its own: returns once it is mounted (0) or isn't, for which the reason was printed (1). */
int tfs_supervise_in_background(const struct tfs_options *options, int signal_fd);

#endif
