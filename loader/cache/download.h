/* SPDX-License-Identifier: MIT */
/*
 * Of a remote model: bring files into the cache on disk before anybody asks for them, by a thread of its own, which everybody else's
 * reads go before. First the small files that programs read beside weights, then, if wanted, all of the model. Nothing here fails: what
 * isn't brought in is fetched when it is read.
 */
#ifndef TFS_CACHE_DOWNLOAD_H
#define TFS_CACHE_DOWNLOAD_H

#include <stdbool.h>

#include "model/model.h"

struct tfs_download;

/* @all: not only the small files. @model must outlive it. NULL: it isn't remote, or no thread can be started. */
struct tfs_download *tfs_download_start(const struct tfs_model *model, bool all);

/* Nothing more is begun. What it waits for must end by itself: stop the storage. Accepts NULL. */
void tfs_download_stop(struct tfs_download *d);
void tfs_download_destroy(struct tfs_download *d); /* waits; accepts NULL */

#endif
