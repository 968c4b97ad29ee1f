/* SPDX-License-Identifier: MIT */
/*
 * A helper that starts tensorfs-fetch for the daemon of a remote model, which has no network and can't start anything; and ends it. All that
 * it can be asked for is that one program, with two descriptors of the daemon's, and to kill what it has started so.
 */
#ifndef TFS_FS_STARTER_H
#define TFS_FS_STARTER_H

#include "mount/helper.h"
#include "remote/spawn.h"

/*
 * Start it. 0: *@ret_spawner asks it, as long as @h runs; or -errno. It keeps what root's fetcher needs to become nobody, what killing that
 * needs, and the environment, with the credentials in it. When the daemon has ended, however that was, so does what it has started.
 */
int tfs_starter_start(struct tfs_helper *h, struct tfs_spawner *ret_spawner);

#endif
