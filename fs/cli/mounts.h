/* SPDX-License-Identifier: MIT */
/* The tensorfs mounts of this machine, as far as this process sees them. */
#ifndef TFS_CLI_MOUNTS_H
#define TFS_CLI_MOUNTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tfs_mounts {
	struct tfs_mount {
		char *dir, *source; /* the mountpoint, and what was mounted */
		uid_t uid;	    /* who mounted it */
	} * all;		    /* malloc()ed */
	size_t n, room;
};

/* From /proc/self/mounts, in the order of mounting. 0 or -errno, after printing an error. */
int tfs_mounts_list(struct tfs_mounts *ret_mounts);
void tfs_mounts_fini(struct tfs_mounts *m);

/* The one at @path, which may be relative; the last one if several are. Nothing is asked of the mount itself. NULL: none. */
const struct tfs_mount *tfs_mounts_find(const struct tfs_mounts *m, const char *path);

/*
 * Its .tensorfs/stats.json. A daemon that is stopped doesn't answer, so it is read by a process of its own, for a few seconds at most; no
 * thread may be running. NULL: *@ret_why says why: -ETIMEDOUT, or another error.
 */
json_t *tfs_mount_stats(const struct tfs_mount *m, int *ret_why);

#endif
