/* SPDX-License-Identifier: MIT */
/* The cache of huggingface_hub: a blob there has its hash as its name, and is complete or not there. Only read. */
#ifndef TFS_REMOTE_HUB_H
#define TFS_REMOTE_HUB_H

#include <stdint.h>

#include "remote/table.h"

/* That cache's directory, opened with O_PATH, or -1: there is none. */
int tfs_hub_open(void);

/* A descriptor of the blob that is node @i of @t, or -1: the table isn't of a repository of the hub, or there is none. */
int tfs_hub_blob(const struct tfs_remote_table *t, uint32_t i);

#endif
