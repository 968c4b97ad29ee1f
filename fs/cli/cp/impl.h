/* SPDX-License-Identifier: MIT */
/*
 * tensorfs cp.
 *
 *   cp.c            the command: what is copied, and to what
 *   safetensors.c   one safetensors file, or shards
 *   numpy.c         .npz, or a directory of .npy
 *   stale.c         what an earlier copy has left
 */
#ifndef TFS_CLI_CP_IMPL_H
#define TFS_CLI_CP_IMPL_H

#include "cli/model-arg.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "cli/reading.h"
#include "content/consolidated.h"

struct tfs_cp {
	const struct tfs_model_arg *arg;
	uint32_t set;
	const struct tfs_tensor **members; /* of that set, sorted by name */
	size_t n;
	struct tfs_conversion conversion;
	const char *out;    /* path */
	uint64_t shard_max; /* bytes; UINT64_MAX: one file */
	struct tfs_loader *loader;
	struct tfs_progress progress;
	struct tfs_outfiles files;
	struct tfs_consolidated **made; /* safetensors files: the loader may read ahead in them until it is closed */
	size_t n_made, room_made;
};

/* Write the files, but don't publish them. 0, or -errno after printing an error. */
int tfs_cp_safetensors(struct tfs_cp *cp);
int tfs_cp_npz(struct tfs_cp *cp);
/* The directory exists. */
int tfs_cp_npy(struct tfs_cp *cp);

/*
 * Once OUT.safetensors, or its shards, are published: remove what an earlier copy to the same OUT has left, unless that is where the
 * model is, of which files with such names aren't only those that are read. 0, or -errno after printing an error.
 */
int tfs_cp_remove_stale(const struct tfs_cp *cp);

#endif
