/* SPDX-License-Identifier: MIT */
/*
 * The writable files of .tensorfs: prefetch, evict, pin. Each takes names of files of the mount, one a line, which may be globs
 * (tree/resolve.h).
 */
#ifndef TFS_FS_CONTROL_H
#define TFS_FS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mount/fs.h"
#include "tree/access.h"

/* May the control file of that place in tfs_controls be written to? */
bool tfs_control_writable(uint32_t which);

/* One that is open for writing: lines may come in pieces. */
struct tfs_control;

struct tfs_control *tfs_control_open(struct tfs_fs *fs, uint32_t which); /* NULL: out of memory */
void tfs_control_close(struct tfs_control *c);				 /* takes NULL; drops a line without end */

/*
 * The next @len bytes. All lines that are complete are done; the first that fails is reported: -ENOENT: nothing has such a name;
 * -EBUSY (evict): some are in use; -ENOSPC, -EFBIG (pin): no room; -ENAMETOOLONG; -EOPNOTSUPP (prefetch,
 * pin): nothing is ever resident here.
 */
int tfs_control_write(struct tfs_control *c, const char *text, size_t len);

/* What was written is complete, also without a newline at its end. As tfs_control_write(). */
int tfs_control_flush(struct tfs_control *c);

/*
 * What one reads in it, one path a line: of pin, what is pinned; of prefetch, what is being loaded or queued for that; of evict
 * nothing. Only what @caller (NULL: anybody) may read. Allocated; NULL: out of memory.
 */
char *tfs_control_text(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller);

/* A file with such lines, to be prefetched in that order. A name that nothing has is logged and passed over. 0 or -errno, logged. */
int tfs_control_prefetch_list(struct tfs_fs *fs, const char *path);

#endif
