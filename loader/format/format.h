/* SPDX-License-Identifier: MIT */
/*
 * A file format: how to tell that a file is one, and how to read its table of tensors. One format is one .c file and one
 * row of the table in format.c.
 */
#ifndef TFS_FORMAT_FORMAT_H
#define TFS_FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "catalog.h"

struct tfs_format {
	const char *name; /* "safetensors": what user.tensorfs.format says */

	const char *files; /* "*.safetensors": the names that it claims, for people */

	/*
	 * ".safetensors", where files of this format may be shards: listed by STEM.safetensors.index.json, or named
	 * STEM-00001-of-00003.safetensors. NULL: each file stands alone.
	 */
	const char *shard_ext;

	bool one_set; /* all files of the format that stand in one directory are one set, named like the format */
	bool external; /* its files may name others that have the bytes of their tensors */

	/*
	 * Does a file of this name claim to be of this format? Decides who reads it, not whether it is sound:
	 * what a format claims and cannot parse is reported as broken.
	 */
	bool (*claims)(const char *file_name);

	/*
	 * Read the table of tensors of the regular file @fd, @size bytes long, into @catalog (empty). Every offset added lies
	 * within the file, or in the one that tfs_catalog_external() names. Reads with pread only; touches no other file; may run in
	 * several threads at once on different files. @file_name: its last path component. On failure returns -errno with @err's offset and what filled in; what @catalog holds then is
	 * dropped by the caller. -EINVAL: not a sound file.
	 */
	int (*parse)(int fd, uint64_t size, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err);
};

extern const struct tfs_format tfs_format_safetensors;
extern const struct tfs_format tfs_format_gguf;
extern const struct tfs_format tfs_format_torch;
extern const struct tfs_format tfs_format_npz, tfs_format_npy;
extern const struct tfs_format tfs_format_onnx;

/* The format that claims @file_name, or NULL. */
const struct tfs_format *tfs_format_for(const char *file_name);

/* The formats one by one, in the order in which their sets are preferred; NULL after the last. */
const struct tfs_format *tfs_format_at(size_t i);

/*
 * What stands in many clones where weights should be, whatever the format: refuse a Git LFS pointer, a file of zero bytes and a GGML
 * file of old with -EINVAL and a text that says so. 0: it is none of these; else pread's error.
 */
int tfs_format_check_present(int fd, uint64_t size, struct tfs_error *err);

/* The specification wants a pointer to have fewer bytes. */
#define TFS_LFS_POINTER_MAX 1024u

/* The same, but for a Git LFS pointer alone: of a file whose bytes may be anything, as another one says what they are. */
int tfs_format_check_pointer(int fd, uint64_t size, struct tfs_error *err);

/* Does a program that downloads give such a name to a file that it has not finished? Then what to say of it, else NULL. */
const char *tfs_format_unfinished(const char *file_name);

#endif
