/* SPDX-License-Identifier: MIT */
/*
 * An index: the JSON file next to sharded weights that says which shard holds which tensor. Hugging Face's convention, the same for
 * safetensors and for torch: STEM.safetensors.index.json, pytorch_model.bin.index.json.
 */
#ifndef TFS_INDEX_H
#define TFS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

/* 100,000 tensors need 10 MB; this is a model of ten million. */
#define TFS_INDEX_MAX_SIZE (1u << 30)

/* One row of the weight_map. */
struct tfs_index_entry {
	const char *name; /* @name_len bytes, may contain NUL; also NUL-terminated */
	uint32_t name_len;
	uint32_t file; /* index into files[], or TFS_INDEX_NO_FILE */
};

/* The row names a shard that we don't open: a path out of the directory, or into another one. */
#define TFS_INDEX_NO_FILE UINT32_MAX

/* All of it belongs to the index. */
struct tfs_index {
	size_t n_entries;
	const struct tfs_index_entry *entries; /* sorted by name: memcmp, then length; no duplicates */
	size_t n_files;
	const char *const *files; /* bare file names, in the order of their first mention */
	bool has_total_size;
	uint64_t total_size;  /* metadata.total_size if that is an integer; often wrong */
	size_t n_bad;	      /* number of invalid rows; */
	struct tfs_error bad; /* what is wrong with the first of them, and where */
};

/*
 * Is @file_name the index of shards with extension @ext (".safetensors")? Then its stem is stored in @ret_stem (NAME_MAX + 1 bytes,
 * may be NULL): "model" of model.safetensors.index.json, and "model.fp16" of a variant's index, model.safetensors.index.fp16.json,
 * whose shards are model.fp16-00001-of-00002.safetensors.
 */
bool tfs_index_claims(const char *file_name, const char *ext, char *ret_stem);

/*
 * Read the index in the file @in. An invalid row doesn't affect others. It is counted; without a file name it is ignored, with a
 * path it has no file, and of duplicate names the last row is used, as in Python's reader. Refuses (-EINVAL, @err filled) anything
 * that isn't JSON, has no weight_map, or no valid row. -EFBIG above TFS_INDEX_MAX_SIZE; -ENOMEM; pread's errors.
 */
int tfs_index_read(const struct tfs_input *in, struct tfs_index **ret_index, struct tfs_error *err);

/*
 * Rename every tensor, as struct tfs_format.indexed does. What is then listed twice is counted as invalid; the last row is used. -ENOMEM.
 */
int tfs_index_rename(struct tfs_index *index, char *(*name_of)(char *name, size_t *len));

void tfs_index_destroy(struct tfs_index *index); /* takes NULL */

#endif
