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
#include "format/sniff.h"
#include "tensor/catalog.h"

struct tfs_format {
	const char *name; /* "safetensors": what user.tensorfs.format says */

	const char *what; /* "a safetensors file" */

	/*
	 * What the names of its files end in, in whatever case; the first is the usual one. NULL-terminated. Decides who reads a file,
	 * not whether it is sound: what a format claims and cannot parse is reported as broken.
	 */
	const char *const *extensions;

	/* The same, of files of which only those are taken that recognises() knows, as other things have such names, too; or NULL. */
	const char *const *ambiguous;

	/*
	 * ".safetensors", where files of this format may be shards: listed by STEM.safetensors.index.json, or named
	 * STEM-00001-of-00003.safetensors. NULL: each file stands alone.
	 */
	const char *shard_ext;

	bool one_set;  /* all files of the format that stand in one directory are one set, named like the format */
	bool external; /* its files may name others that have the bytes of their tensors */

	unsigned containers; /* what its files are made of (enum tfs_container): then its parser says best what is wrong with one */

	/* Is this a file of the format, be it sound or not? Must not be true of files of other formats. */
	bool (*recognises)(const struct tfs_sample *sample);

	/*
	 * Read the table of tensors of the file @in into @catalog (empty). Every offset added lies within the file, or in the one that
	 * tfs_catalog_external() names. Touches no other file; may run in several threads at once on different files. @file_name: its
	 * last path component. On failure returns -errno with @err's offset and what filled in; what @catalog holds then is dropped
	 * by the caller. -EINVAL: not a sound file.
	 */
	int (*parse)(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err);
};

extern const struct tfs_format tfs_format_safetensors;
extern const struct tfs_format tfs_format_gguf;
extern const struct tfs_format tfs_format_torch;
extern const struct tfs_format tfs_format_npz, tfs_format_npy;
extern const struct tfs_format tfs_format_onnx;

/* The format one of whose extensions @file_name has, with something before it; or NULL. */
const struct tfs_format *tfs_format_for(const char *file_name);

/* The same of its ambiguous extensions: it is the format's only where that recognises its content. */
const struct tfs_format *tfs_format_maybe(const char *file_name);

/* Does @file_name end with @suffix, in whatever case, with something before it? */
bool tfs_format_ends_with(const char *file_name, const char *suffix);

/* Bytes of @file_name before the extension, of either kind, that some format has; all of it where there is none. */
size_t tfs_format_stem(const char *file_name);

/* The formats one by one, in the order in which their sets are preferred; NULL after the last. */
const struct tfs_format *tfs_format_at(size_t i);

/* NAME-00001-of-00003 and the extension: a shard. */
struct tfs_shard_name {
	size_t name_len; /* bytes of NAME */
	unsigned long total;
};

/* Is @file_name that of a shard of @format? */
bool tfs_format_is_shard(const struct tfs_format *format, const char *file_name, struct tfs_shard_name *ret);

/* "*.safetensors, *.sft, *.bin, …": the names that are taken for weights, for people. */
#define TFS_FORMAT_NAMES 256
void tfs_format_names(char ret[static TFS_FORMAT_NAMES]);

/* Does a program that downloads give such a name to a file that it has not finished? Then what to say of it, else NULL. */
const char *tfs_format_unfinished(const char *file_name);

#endif
