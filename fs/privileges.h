/* SPDX-License-Identifier: MIT */
#ifndef TFS_FS_PRIVILEGES_H
#define TFS_FS_PRIVILEGES_H

#include <stdbool.h>

/* Has this process CAP_SYS_ADMIN, which registering backing files and mounting a private tmpfs take? */
bool tfs_privileges_admin(void);

/*
 * Keep only what a mounted daemon still uses: CAP_SYS_ADMIN (backing files, unmounting) and CAP_DAC_READ_SEARCH (sources are
 * opened when they are first needed), as far as it has them; and never gain any by executing something. Per thread: call
 * before starting any. 0 or -errno.
 */
int tfs_privileges_drop(void);

#endif
