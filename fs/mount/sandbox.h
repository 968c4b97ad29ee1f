/* SPDX-License-Identifier: MIT */
/*
 * What a process of ours may still do. Everything here is for the calling thread and those that it starts later, so it comes before
 * there are threads; and for good.
 */
#ifndef TFS_FS_SANDBOX_H
#define TFS_FS_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TFS_CAP(cap) ((uint64_t)1 << (cap))

/* Is the capability @cap effective? */
bool tfs_has_cap(int cap);

/*
 * Give up all capabilities except those in @keep, a set of TFS_CAP(), also in the bounding set as far as possible, and never get any:
 * no_new_privs. Those in @dormant stay for a program that is executed, but are not in effect. 0 or -errno.
 */
int tfs_keep_caps(uint64_t keep, uint64_t dormant);

/* Become @uid and @gid, without other groups. 0, or -errno: still who it was. */
int tfs_become(uid_t uid, gid_t gid);

/* Files that a process may still open; what is open already stays so. */
enum tfs_fence_use {
	TFS_FENCE_READ,	 /* files and directories beneath it, for reading */
	TFS_FENCE_STORE, /* files in it may be created, read, written and removed */
	TFS_FENCE_CACHE, /* and directories beneath it, too */
};

struct tfs_fence {
	int fd; /* of the directory or file; -1: none */
	enum tfs_fence_use use;
};

/*
 * By Landlock: no file can be opened for reading except beneath @fences, of which there are @n; none can be written, created, removed
 * or executed, no TCP socket bound or connected, nobody outside signalled. Sets no_new_privs. Returns the version of Landlock's
 * interface, which says how much of that it could enforce; or -errno: the kernel has none, or it is off.
 */
int tfs_fence(const struct tfs_fence *fences, unsigned n);

/* The same without a word about reading: nothing can be written. */
int tfs_fence_read_only(void);

/* System calls, by seccomp; what isn't in the list fails with ENOSYS, or EPERM if it depends on an argument. */
enum tfs_filter {
	TFS_FILTER_DAEMON, /* all that parses, loads and answers */
	TFS_FILTER_OPENER, /* mount/opener.h */
	TFS_FILTER_KEEPER, /* mount/keeper.h, once mounted */
};

/* Sets no_new_privs. 0 or -errno. -EOPNOTSUPP: this build is for a sanitizer, which needs calls of its own, or for another machine. */
int tfs_filter(enum tfs_filter which);

/* Can anything here be confined? A sanitizer writes files, and runs programs, at any time. */
bool tfs_confines(void);

#endif
