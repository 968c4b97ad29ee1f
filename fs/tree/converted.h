/* SPDX-License-Identifier: MIT */
/*
 * The models in whole/bf16, whole/f16 and whole/f32: those of a quantised set, as anything loads them. What is had by its values only
 * (content/values.h) is an array of that type, all else as it is stored; what belongs to the codes, scales and the like, isn't there.
 * In shards of at most 5 GB with an index, as transformers' save_pretrained() makes them, or one file. Made when first needed. Thread-safe.
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
 * Does that set have such models? Where something in it is had by its values only, and each of that has some: with a weight whose values
 * can't be made it would be another model.
 */
bool tfs_converted_has(struct tfs_converted_all *c, uint32_t set);

/* The files of one that does: how many shards; 0: out of memory, or more than a header has room for. */
uint32_t tfs_converted_shards(struct tfs_converted_all *c, uint32_t set, enum tfs_as as);
/* One of them; it lives as long as @c. NULL: out of memory. */
const struct tfs_consolidated *tfs_converted_shard(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, uint32_t shard);
/* Its name, into @buf of @size bytes: "model.safetensors", or "model-00001-of-00002.safetensors". */
void tfs_converted_shard_name(uint32_t shard, uint32_t n, char *buf, size_t size);

/* What is in the index of one that has several shards. Allocated, its length into *@ret_len. -ENOMEM. */
int tfs_converted_index(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len);

/* Is there a config.json to be made, of that in the set's directory? */
bool tfs_converted_has_config(struct tfs_converted_all *c, uint32_t set);
/*
 * It: without what says how the model is quantised, and with the type. Allocated, its length into *@ret_len. -ESTALE: the original has
 * changed; -EIO: it isn't a JSON object, or can't be read; -ENOMEM.
 */
int tfs_converted_config(struct tfs_converted_all *c, uint32_t set, enum tfs_as as, char **ret_text, size_t *ret_len);

/* Is the file @node, which is in that set's directory, there, too: neither weights nor what is about how they are quantised? */
bool tfs_converted_copies(const struct tfs_converted_all *c, uint32_t set, uint32_t node);

#endif
