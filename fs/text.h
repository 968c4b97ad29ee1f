/* SPDX-License-Identifier: MIT */
/* Files whose text is made when somebody asks for it: meta/NAME.json and the files of .tensorfs. */
#ifndef TFS_FS_TEXT_H
#define TFS_FS_TEXT_H

#include <stddef.h>

#include "fs.h"

enum {
	TFS_CONTROL_STATS,
	TFS_CONTROL_STATS_JSON,
	TFS_CONTROL_METRICS,
	TFS_CONTROL_INDEX_TSV,
	TFS_CONTROL_INDEX_JSON,
	TFS_CONTROL_XXH128SUMS,
	TFS_CONTROL_PREFETCH,
	TFS_CONTROL_EVICT,
	TFS_CONTROL_PIN,
};

/* Names of the files in .tensorfs, ended by NULL; their place, as above, is the inode's node. */
extern const char *const tfs_controls[];

/*
 * The text of meta/NAME.json or of a control file (but of the indexes and of XXH128SUMS: see listing.h, hashes.h), allocated; its
 * length into *@ret_len. NULL: out of memory. A meta file's
 * text is always the same; a control file's is of this moment.
 */
char *tfs_text_of(struct tfs_fs *fs, struct tfs_inode inode, size_t *ret_len);

/* The shape as JSON, "[4096,128]", as in meta/ and in user.tensorfs.shape; allocated. */
char *tfs_shape_text(const struct tfs_tensor *t);

#endif
