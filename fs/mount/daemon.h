/* SPDX-License-Identifier: MIT */
/*
 * A mount served by a process of its own. It starts with a handshake of three bytes over a socket:
 *
 *   child                                     parent
 *   scans, mounts, answers the kernel's INIT
 *                      ── ready ──►           looks whether the mount answers
 *                            ◄── go ──
 *   goes to the background  ── gone ──►       returns
 *
 * Until then the child's messages go to our standard error, and each notices the end of the other.
 */
#ifndef TFS_FS_DAEMON_H
#define TFS_FS_DAEMON_H

#include <sys/types.h>

#include "mount/options.h"

/*
 * Mount according to @options, and wait until the mount answers. With the foreground option, the child ends when we do. No thread
 * may be running. @signal_fd: readable when the user wants to stop. 0; -EINTR, for that; -ENODEV: not mounted, and the reason was
 * printed; or -errno, printed too. On failure neither process nor mount is left.
 */
int tfs_daemon_start(const struct tfs_options *options, int signal_fd, pid_t *ret_pid);

/* Make it unmount and exit, and wait for that. */
void tfs_daemon_stop(pid_t pid);

#endif
