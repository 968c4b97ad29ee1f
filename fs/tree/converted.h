/* SPDX-License-Identifier: MIT */
/*
 * The models in whole/bf16, whole/f16 and whole/f32: a quantised set in a form that anything can load. Tensors that must be
 * converted (tfs_valued()) are arrays of that type, all others are as stored; scales and whatever else belongs to codes are left
 * out. In shards of at most 5 GB with an index, as transformers' save_pretrained() writes them, or one file. Created when first
 * needed. Thread-safe.
 */
#ifndef TFS_TREE_CONVERTED_H
#define TFS_TREE_CONVERTED_H

#include "content/consolidated.h"
#include "model/model.h"

enum tfs_as { TFS_AS_BF16, TFS_AS_F16, TFS_AS_F32, TFS_AS };

/* "bf16", the name of the directory. */
extern const char *const tfs_as_names[TFS_AS];

struct tfs_converted_all;

struct tfs_converted_all *tfs_converted_all_create(const struct tfs_model *model); /* NULL: out of memory */
void tfs_converted_all_destroy(struct tfs_converted_all *c);			   /* takes NULL */

/*
 * Does that set have such models? Only if something in it must be converted, and everything that must be has values: without a
 * weight whose values can't be computed it would be a different model.
 */
bool tfs_converted_has(struct tfs_converted_all *c, uint32_t set);

/* If it does, the tensors in them, sorted by name; valid as long as @c. -ENOMEM. */
int tfs_converted_members(struct tfs_converted_all *c, uint32_t set, const struct tfs_tensor *const **ret_members, size_t *ret_n);

/* If it does, the number of shards; 0: out of memory, or more than fits in a header. */
uint32_t tfs_converted_shards(struct tfs_converted_all *c, uint32_t set, enum tfs_as as);
/* One of them, valid as long as @c. NULL: out of memory. */
const struct tfs_consolidated *tfs_converted_shard(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard);
/* Was it made before? False also while something is being made. */
bool tfs_converted_shard_there(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard);
/* Its name, into @buf of @size bytes: "model.safetensors", or "model-00001-of-00002.safetensors". */
void tfs_converted_shard_name(uint32_t shard, uint32_t n, char *buf, size_t size);

/* The index of one with several shards, allocated; its length in *@ret_len. -ENOMEM. */
int tfs_converted_index(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len);

/* The config.json in the set's directory, which one of it is generated from; UINT32_MAX: there is none. */
uint32_t tfs_converted_find_config(const struct tfs_converted_all *c, uint32_t set);
/*
 * That config.json: without the keys about quantisation, and with the type. Allocated; its length in *@ret_len. -ESTALE: the
 * original has changed; -EIO: it isn't a JSON object; -ENOMEM, or another error of the original.
 */
int tfs_converted_config(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len);

/* Does the file @node of the set's directory appear there, too? Weights don't, nor do files about how they are quantised. */
bool tfs_converted_copies(const struct tfs_converted_all *c, uint32_t set, uint32_t node);

#endif
