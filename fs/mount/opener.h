/* SPDX-License-Identifier: MIT */
/*
 * A helper that opens the model's files where the daemon's own user may not, or where they are out of the model's directory, by links
 * in it. It has CAP_DAC_READ_SEARCH if the starter had; the daemon asks it only for what was refused with EACCES.
 *
 * It believes nothing: what is opened is a regular file or a directory that is named by a path without "..", from the model's directory
 * downwards, and for reading only; and unless links are followed anywhere, in the model's directory or its blobs (model/inside.h). Of other places it tells what stat(2) and readlink(2) do, no more.
 */
#ifndef TFS_FS_OPENER_H
#define TFS_FS_OPENER_H

#include "base/file.h"
#include "model/model.h"
#include "mount/helper.h"

/* For tfs_file_ask(), with the helper as @arg: the opener is asked what the kernel tells only to a file's owner. */
int tfs_opener_pages(void *helper, int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP]);

/*
 * Start it for the directory @root, opened with O_PATH, and the links that @follow says; and @given in it, the file that the user has
 * named, or NULL. 0: *@ret_ask asks it, as long as @h runs; or -errno.
 */
int tfs_opener_start(struct tfs_helper *h, int root, enum tfs_follow follow, const char *given, struct tfs_opener *ret_ask);

#endif
