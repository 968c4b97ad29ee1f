/* SPDX-License-Identifier: MIT */
/*
 * Where a mount goes, and what is mounted there. All of it is read from /proc/self/mountinfo, never from a mount, which may be dead
 * or our own.
 */
#ifndef TFS_FS_MOUNTPOINT_H
#define TFS_FS_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct tfs_mounted {
	int id; /* of the mount, while it exists; 0: nothing is mounted */
	dev_t device;
	bool tensorfs;
};

/* What was mounted last at @path, which is absolute and without links. */
struct tfs_mounted tfs_mounted_at(const char *path);

/* Is it /dev/fuse, or another node of that device? */
bool tfs_is_fuse_device(const struct stat *st);

/*
 * Is @mountpoint "/dev/fd/N", and N an open /dev/fuse? Then its opener mounts it, and a session only serves it. The descriptor, or
 * -1.
 */
int tfs_mountpoint_fd(const char *mountpoint);

/*
 * Can something be mounted at @given? *@ret_path, allocated: the path without links, or "/dev/fd/N". @nonempty: allow mounting over
 * another tensorfs mount. 0, or -errno, logged.
 */
int tfs_mountpoint_check(const char *given, bool nonempty, char **ret_path);

/* Unmount what a dead daemon left at @path, lazily. Does nothing if it isn't a mount. */
void tfs_mountpoint_clear(const char *path);

/*
 * The file of the mount @device's connection that ends all requests of its users when it is written to: where the connections usually
 * are, or in a mount of them that is nowhere. A descriptor for writing, or -errno.
 */
int tfs_mountpoint_abort_file(dev_t device);

#endif
