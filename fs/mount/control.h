/* SPDX-License-Identifier: MIT */
/*
 * The writable files of .tensorfs: prefetch, evict, pin. Each accepts names of files in the mount, one per line, which may be globs
 * (tree/resolve.h).
 */
#ifndef TFS_FS_CONTROL_H
#define TFS_FS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mount/fs.h"
#include "tree/access.h"

/* Is the control file with that index in tfs_controls writable? */
bool tfs_control_writable(uint32_t which);

/* One open for writing: lines may arrive in pieces. */
struct tfs_control;

struct tfs_control *tfs_control_open(struct tfs_fs *fs, uint32_t which); /* NULL: out of memory */
void tfs_control_close(struct tfs_control *c);				 /* accepts NULL; drops an incomplete line */

/*
 * Write the next @len bytes. All complete lines are processed; the first error is reported: -ENOENT: no such name; -EBUSY (evict):
 * some are in use; -ENOSPC, -EFBIG (pin): no room; -ENAMETOOLONG; -EOPNOTSUPP (prefetch, pin): nothing is ever resident here.
 */
int tfs_control_write(struct tfs_control *c, const char *text, size_t len);

/* End of input, even without a trailing newline. Like tfs_control_write(). */
int tfs_control_flush(struct tfs_control *c);

/*
 * The content for reading, one path per line: for pin, what is pinned; for prefetch, what is being loaded or queued for loading;
 * for evict nothing. Only what @caller (NULL: everybody) may read. Allocated; NULL: out of memory.
 */
char *tfs_control_text(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller);

/* Prefetch the lines of --prefetch-list, in that order. A name that matches nothing is logged and skipped. 0 or -errno, logged. */
int tfs_control_prefetch_list(struct tfs_fs *fs);

#endif
