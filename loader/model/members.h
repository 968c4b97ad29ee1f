/* SPDX-License-Identifier: MIT */
/* What a file of the model says about its own bytes: the checksums of a zip file, as torch checkpoints and .npz are. */
#ifndef TFS_MODEL_MEMBERS_H
#define TFS_MODEL_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

/* A part of the file that is stored as it is, and its CRC-32. (Deflated ones are checked when they are read.) */
struct tfs_member {
	uint64_t offset, size;
	uint32_t crc;
	const char *name; /* NUL-terminated; any bytes */
};

struct tfs_members {
	size_t n;
	struct tfs_member *all; /* sorted by offset; malloc()ed, together with the names */
};

/*
 * Those of the regular file @node: none if it isn't a zip file. 0; -EINVAL with @err: it looks like one, and isn't valid; -ENOMEM, -ESTALE,
 * or another error of reading it. The caller frees ret_members->all.
 */
int tfs_model_members(const struct tfs_model *m, uint32_t node, struct tfs_members *ret_members, struct tfs_error *err);

#endif
