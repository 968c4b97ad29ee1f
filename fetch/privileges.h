/* SPDX-License-Identifier: MIT */
/* What the fetcher gives up before it talks to anybody. */
#ifndef TFS_FETCH_PRIVILEGES_H
#define TFS_FETCH_PRIVILEGES_H

#include <stdbool.h>

#include "base/error.h"

/* At first: no core dumps, no ptrace(2) by others of the same user, no privileges by what it might run. */
void tfs_privileges_harden(void);

/*
 * Once all files are read that only who started it may read: as root, become nobody, unless it @stays, as there will be such files
 * again. Then drop all capabilities, and, unless @runs_programs, all rights to change or execute files (Landlock, where the kernel has
 * it). 0, or -errno with @err filled.
 */
int tfs_privileges_drop(bool stays, bool runs_programs, struct tfs_error *err);

#endif
