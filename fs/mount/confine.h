/* SPDX-License-Identifier: MIT */
/*
 * How the daemon gives up what it has, before it looks at the first byte of a model. What needs rights later is opened first, or is
 * done by helpers that keep a few: keeper.h, opener.h.
 */
#ifndef TFS_FS_CONFINE_H
#define TFS_FS_CONFINE_H

#include "mount/fs.h"

/*
 * Open what takes rights, start the helpers, and give up everything else: the user, if that is root; capabilities; files (Landlock);
 * system calls (seccomp). What this kernel, or this container, can't do is left out, and said in fs->confined. Before there are
 * threads. 0, or -errno, logged.
 */
int tfs_confine(struct tfs_fs *fs);

/* End the helpers, which must no longer be asked, and close what was opened. */
void tfs_confine_end(struct tfs_fs *fs);

#endif
