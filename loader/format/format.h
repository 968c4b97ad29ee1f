/* SPDX-License-Identifier: MIT */
/*
 * A file format: how to recognise its files, and how to read their table of tensors. One format is one .c file and one row of the
 * table in format.c.
 */
#ifndef TFS_FORMAT_FORMAT_H
#define TFS_FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "format/sniff.h"
#include "tensor/catalog.h"

/* The files beside one that was parsed. */
struct tfs_beside {
	/*
	 * Open the file at @location, a path that may not lead out of the directory; it is closed by the caller. -EINVAL with @err
	 * filled: there is none that can be read. -errno.
	 */
	int (*open)(struct tfs_beside *b, const char *location, struct tfs_input *ret, struct tfs_error *err);
};

struct tfs_format {
	const char *name; /* "safetensors": what user.tensorfs.format says */

	const char *what; /* "a safetensors file" */

	/*
	 * What the names of its files end in, case-insensitive; the first is the usual one. NULL-terminated; NULL: see below. Decides
	 * which format reads a file, not whether the file is valid: what a format claims but can't parse is reported as broken.
	 */
	const char *const *extensions;

	/*
	 * The same for names that other kinds of files use, too, or other formats ("model.bin"): only files that recognises() accepts are
	 * read, by this format rather than by the one that the name alone would mean. It then looks at the content alone, without
	 * struct tfs_sample.zip if another format has that extension. Without a leading dot: also the whole name; or NULL.
	 */
	const char *const *ambiguous;

	/* The same for whole names; such as are ambiguous. */
	const char *const *names;

	const char *usual; /* what its files are usually named, if that is ambiguous; NULL: the first of the extensions */

	/*
	 * ".safetensors", if files of this format may be shards: listed by STEM.safetensors.index.json, or named
	 * STEM-00001-of-00003.safetensors. NULL: each file is a set by itself.
	 */
	const char *shard_ext;

	/*
	 * The name that parse() gives to a tensor, of *@len bytes, which the index calls @name; changed in place, and maybe not from its
	 * first byte on. NULL: the same.
	 */
	char *(*indexed)(char *name, size_t *len);

	bool one_set;  /* all files of the format in one directory are one set, named after the format */
	bool external; /* its files may refer to others that have the bytes of their tensors */

	unsigned containers; /* container of its files (enum tfs_container): for files in it, the parser's error is the best one */

	/* Is this a file of the format, valid or not? Must be false for files of other formats. */
	bool (*recognises)(const struct tfs_sample *sample);

	/*
	 * Read the table of tensors of the file @in into @catalog (empty). Every offset added lies within the file, or in the one that
	 * tfs_catalog_external() names. Accesses no other file; may run in several threads at once on different files. @file_name:
	 * its last path component. On failure returns -errno with @err's offset and what filled in; the caller then discards the
	 * content of @catalog. -EINVAL: not a valid file.
	 */
	int (*parse)(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err);

	/*
	 * NULL, or: the offset of a tensor that is in another file, @in, is that of a record there which says where its bytes are. Replace
	 * it by that. -EINVAL, @err filled: there is no such record, or it contradicts what is known of @t.
	 */
	int (*locate)(const struct tfs_input *in, struct tfs_tensor *t, struct tfs_error *err);

	/*
	 * Or NULL: after parse(), add to @catalog what only other files tell. As parse(), but for those.
	 */
	int (*complete)(const struct tfs_input *in, const char *file_name, struct tfs_beside *beside, struct tfs_catalog *catalog,
			struct tfs_error *err);

	/* Or NULL: the name of another file that complete() reads, for @file_name, into @buf of @size bytes. */
	void (*companion)(const char *file_name, char *buf, size_t size);
};

extern const struct tfs_format tfs_format_safetensors;
extern const struct tfs_format tfs_format_gguf;
extern const struct tfs_format tfs_format_torch;
extern const struct tfs_format tfs_format_npz, tfs_format_npy;
extern const struct tfs_format tfs_format_onnx;
extern const struct tfs_format tfs_format_pickle, tfs_format_dcp;
extern const struct tfs_format tfs_format_paddle;
extern const struct tfs_format tfs_format_tar, tfs_format_zip;
extern const struct tfs_format tfs_format_flax;
extern const struct tfs_format tfs_format_hdf5, tfs_format_keras;
extern const struct tfs_format tfs_format_ggml;
extern const struct tfs_format tfs_format_ctranslate2;
extern const struct tfs_format tfs_format_tensorizer;
extern const struct tfs_format tfs_format_tflite, tfs_format_executorch, tfs_format_ort;
extern const struct tfs_format tfs_format_tensorflow;
extern const struct tfs_format tfs_format_tfjs;
extern const struct tfs_format tfs_format_openvino;
extern const struct tfs_format tfs_format_coreml;

/* The format that has one of @file_name's extension, with something before it; or NULL. */
const struct tfs_format *tfs_format_for(const char *file_name);

/* The same for ambiguous extensions, of which it is the first: the file is of a format only if that recognises its content. */
const struct tfs_format *tfs_format_maybe(const char *file_name);

/* Has @format an ambiguous extension, or name, that @file_name has? */
bool tfs_format_may_have(const struct tfs_format *format, const char *file_name);

/* Does @file_name end with @suffix, case-insensitively, and if that begins with a dot, with something before it? */
bool tfs_format_ends_with(const char *file_name, const char *suffix);

/* Bytes of @file_name before its extension, of either kind, of any format; all of it if there is none. */
size_t tfs_format_stem(const char *file_name);

/* The formats one by one, in order of preference of their sets; NULL after the last. */
const struct tfs_format *tfs_format_at(size_t i);

/* NAME-00001-of-00003 and the extension: a shard. */
struct tfs_shard_name {
	size_t name_len; /* bytes of NAME */
	unsigned long total;
};

/* Is @file_name the name of a shard of @format? */
bool tfs_format_is_shard(const struct tfs_format *format, const char *file_name, struct tfs_shard_name *ret);

/* "*.safetensors, *.sft, *.bin, …": the names that are treated as weights, for messages. */
#define TFS_FORMAT_NAMES 640
void tfs_format_names(char ret[static TFS_FORMAT_NAMES]);

/* Do download programs give such a name to an unfinished file? Then how to describe it, else NULL. */
const char *tfs_format_unfinished(const char *file_name);

#endif
