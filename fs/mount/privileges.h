/* SPDX-License-Identifier: MIT */
#ifndef TFS_FS_PRIVILEGES_H
#define TFS_FS_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Will the kernel accept backing files from this process? Tested rather than derived from capabilities, which may be those of a
 * user namespace and valid for mounting but not for this: creates a FUSE file system that isn't attached anywhere, registers a file
 * with it, and discards it. NULL: yes; otherwise why not, a static text or one in @buf.
 */
const char *tfs_passthrough_lacks(char *buf, size_t size);

/*
 * Keep only what a mounted daemon still uses: CAP_SYS_ADMIN (backing files, unmounting), CAP_DAC_READ_SEARCH (sources are
 * opened when they are first needed) and CAP_SYS_NICE (mount/placement.h), as far as it has them; and never gain any by exec. Of a @remote model that
 * root mounts also CAP_SETUID and CAP_SETGID, but not in effect: tensorfs-fetch, if it is started again, becomes nobody by them.
 * Per thread: call before starting threads. 0 or -errno.
 */
int tfs_privileges_drop(bool remote);

#endif
