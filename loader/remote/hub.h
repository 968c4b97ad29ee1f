/* SPDX-License-Identifier: MIT */
/*
 * The cache of huggingface_hub, which is only read:
 *
 *   models--NS--NAME/refs/REVISION           its commit
 *   models--NS--NAME/snapshots/COMMIT/PATH   a link to
 *   models--NS--NAME/blobs/HASH              a file, which is complete or not there
 */
#ifndef TFS_REMOTE_HUB_H
#define TFS_REMOTE_HUB_H

#include <stdint.h>

#include "remote/table.h"

/* That cache's directory, opened with O_PATH, or -1: there is none. */
int tfs_hub_open(void);

/*
 * The table of what that cache has of @url, as of the last time that its revision was asked for. -ENOENT: nothing. As
 * tfs_remote_table_read().
 */
int tfs_hub_table(const char *url, struct tfs_remote_table *ret_table, struct tfs_error *err);

/* A descriptor of the blob that is node @i of @t, or -1: the table isn't of a repository of the hub, or there is none. */
int tfs_hub_blob(const struct tfs_remote_table *t, uint32_t i);

#endif
