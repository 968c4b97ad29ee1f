/* SPDX-License-Identifier: MIT */
#ifndef TFS_FS_PRIVILEGES_H
#define TFS_FS_PRIVILEGES_H

#include <stddef.h>

/*
 * Will the kernel take backing files from this process? Tried, not read off from capabilities, which may be those of a user namespace
 * that count for mounting and not for this: a FUSE file system that is attached nowhere is made, one file registered with it, and all
 * of it let go. NULL: it will; otherwise why not. A static text or one in @buf.
 */
const char *tfs_passthrough_lacks(char *buf, size_t size);

/*
 * Keep only what a mounted daemon still uses: CAP_SYS_ADMIN (backing files, unmounting) and CAP_DAC_READ_SEARCH (sources are
 * opened when they are first needed), as far as it has them; and never gain any by executing something. Per thread: call
 * before starting any. 0 or -errno.
 */
int tfs_privileges_drop(void);

#endif
