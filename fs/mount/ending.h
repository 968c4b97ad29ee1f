/* SPDX-License-Identifier: MIT */
/*
 * How a session ends, whatever its storage does. SIGINT, SIGTERM and SIGHUP end it; what follows is done by the main thread: answer who
 * waits, join the threads that read, close, unmount. Those threads may hang in a read of storage that is gone. So a thread of its own
 *
 *	- has the keeper unmount at once, lazily: nobody comes in any more, and who has files open keeps them until the rest is done;
 *	- if that isn't done GRACE seconds later, or there is another signal, cuts the connection, which ends all requests, and exits.
 *
 * It also notices the end of a helper, says what is lost with it, and with --restart ends the daemon.
 */
#ifndef TFS_FS_ENDING_H
#define TFS_FS_ENDING_H

#include "mount/fs.h"

/* Handle the signals for @fs, which has a session that isn't mounted yet. 0 or -errno. */
int tfs_ending_init(struct tfs_fs *fs);

/* It is mounted: prepare to cut the connection. */
void tfs_ending_mounted(struct tfs_fs *fs);

/* Start the thread. 0 or -errno. */
int tfs_ending_start(struct tfs_fs *fs);

/* There is a loader: notice from now on if a helper ends. */
void tfs_ending_watch_helpers(const struct tfs_fs *fs);

/* The session has ended, by a signal or not, and is about to be taken apart. Any thread, any number of times. */
void tfs_ending_begun(void);

/* The signal that ended the session; 0: none. */
int tfs_ending_signal(void);

/* Unmount what was mounted for @fs; again without effect. False: there is nobody left who could, logged. */
bool tfs_ending_unmount(struct tfs_fs *fs);

/* All is done but freeing: joins the thread. Further signals are without effect. */
void tfs_ending_over(void);

#endif
