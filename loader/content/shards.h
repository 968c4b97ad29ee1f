/* SPDX-License-Identifier: MIT */
/*
 * Tensors of a set as several safetensors files (content/consolidated.h) of a limited size, with an index, as transformers'
 * save_pretrained() writes them. Functions without state.
 */
#ifndef TFS_CONTENT_SHARDS_H
#define TFS_CONTENT_SHARDS_H

#include <stddef.h>
#include <stdint.h>

#include "content/consolidated.h"

/* save_pretrained()'s max_shard_size of "5GB" (transformers, modeling_utils.py). */
#define TFS_SHARD_MAX UINT64_C(5000000000)

struct tfs_shards {
	uint32_t n;   /* at least one */
	size_t *ends; /* of each, in the members; malloc()ed */
};

/* Cut the @n tensors @members, in their order, into files with at most @max bytes of tensors, or a single one. -ENOMEM. */
int tfs_shards_cut(const struct tfs_tensor *const *members, size_t n, struct tfs_conversion conversion, uint64_t max,
		   struct tfs_shards *ret_shards);

/* The name of one of @n, into @buf of @size bytes: "model.safetensors", or "model-00001-of-00002.safetensors". */
void tfs_shards_name(const char *stem, uint32_t shard, uint32_t n, char *buf, size_t size);

/* The index, allocated; its length in *@ret_len. -ENOMEM. */
int tfs_shards_index(const char *stem, const struct tfs_tensor *const *members, size_t n, struct tfs_conversion conversion,
		     const struct tfs_shards *shards, char **ret_text, size_t *ret_len);

#endif
