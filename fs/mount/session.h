/* SPDX-License-Identifier: MIT */
/* One mount, from scanning the model to tearing the mount down. */
#ifndef TFS_FS_SESSION_H
#define TFS_FS_SESSION_H

#include "mount/options.h"

struct tfs_fs;

/*
 * Mount and serve until unmounted or told to stop. @starter_fd: a socket to the process that waits for the mount, see daemon.h; -1:
 * none. After the handshake messages go to the system log, unless @options say foreground. Returns the exit status: 0, or 1 with
 * the reason logged.
 */
int tfs_session_run(const struct tfs_options *options, int starter_fd);

/* For mount/keeper.h: mount @fs at its mountpoint. A descriptor of /dev/fuse, owned by fs->session; -1: libfuse has reported why. */
int tfs_session_mount(struct tfs_fs *fs);

/* Does libfuse know all of @mount_options, a list as after -o? Otherwise it has reported the unknown one. */
bool tfs_session_knows(const char *mount_options);

/* The version of libfuse. */
const char *tfs_session_libfuse(void);

#endif
