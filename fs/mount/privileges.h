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

#endif
