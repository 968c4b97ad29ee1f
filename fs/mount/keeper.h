/* SPDX-License-Identifier: MIT */
/*
 * A helper that has CAP_SYS_ADMIN and CAP_SYS_NICE, if the starter had, and after the mount only these: it mounts, registers backing
 * files, unmounts, and changes the scheduling class of the daemon's threads.
 * What it mounts, where and how was said before the daemon read any file of the model; the daemon says when.
 *
 * It believes nothing: a backing file is a regular file of the private tmpfs, or one that the daemon has open for reading; the latter is
 * registered through a mount of its own that is read-only, so that nobody can be let write to it. Other calls of the kernel than for
 * these it can't make.
 */
#ifndef TFS_FS_KEEPER_H
#define TFS_FS_KEEPER_H

#include <stdbool.h>

#include "mount/helper.h"

struct tfs_fs;

/*
 * There may be a second one, only for original files (originals.h), which the first one doesn't register: it has CAP_SYS_ADMIN, and only
 * registers and unregisters; and unmounts, should the first one be gone.
 */
int tfs_keeper_start_for_originals(struct tfs_helper *h, struct tfs_fs *fs);

/* Tell that one what it registers for: @fuse, the mounted descriptor of /dev/fuse, once. 0 or -errno. */
int tfs_keeper_adopt(struct tfs_helper *h, int fuse);

/* Start it. @fs: its options, paths and store are used. 0 or -errno. */
int tfs_keeper_start(struct tfs_helper *h, struct tfs_fs *fs);

/* Mount it under the name @source, which mount(8) shows: a descriptor of /dev/fuse, or -errno, logged. */
int tfs_keeper_mount(struct tfs_helper *h, const char *source);

/*
 * The file of the mount's connection that ends all requests of its users when anything is written to it (Linux's
 * Documentation/filesystems/fuse). A descriptor, or -errno: a mount made elsewhere, or it may not be opened.
 */
int tfs_keeper_abort_file(struct tfs_helper *h);

/* Register @fd as a backing file; it may be opened with O_PATH if it is the private tmpfs's. The kernel's name for it, above 0; -errno. */
int tfs_keeper_register(struct tfs_helper *h, int fd);

/* The same for the @n files @fds, up to TFS_HELPER_FDS: what each gave, in @ret_ids. 0; -errno: none was registered. */
int tfs_keeper_register_all(struct tfs_helper *h, const int *fds, unsigned n, int *ret_ids);

void tfs_keeper_unregister(struct tfs_helper *h, int id);

/* The same without waiting for it. False: not now. */
bool tfs_keeper_forget(struct tfs_helper *h, int id);

/* Let the kernel read ahead @kib in files that the daemon reads; see mount/readahead.h. */
void tfs_keeper_readahead(struct tfs_helper *h, int kib);

/* Let the thread @tid of this process leave SCHED_IDLE. 0 or -errno; without CAP_SYS_NICE -EPERM. */
int tfs_keeper_leave_idle(struct tfs_helper *h, pid_t tid);

/*
 * Unmount, lazily, what was mounted; again without effect. Who has files open keeps them. 0 or -errno; -EPIPE: it is gone, or was stopped,
 * and nothing can be asked any more.
 */
int tfs_keeper_unmount(struct tfs_helper *h);

#endif
