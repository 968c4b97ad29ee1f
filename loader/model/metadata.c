/* SPDX-License-Identifier: MIT */
#include "model/metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/sort.h"

static int by_key(const void *a, const void *b)
{
	const struct tfs_metadata *x = a, *y = b;

	return tfs_name_cmp(x->key, x->key_len, y->key, y->key_len);
}

static bool same_value(const struct tfs_metadata *a, const struct tfs_metadata *b)
{
	return a->value_len == b->value_len && !memcmp(a->value, b->value, a->value_len);
}

int tfs_metadata_merge(const struct tfs_set *set, struct tfs_merged **ret_merged, size_t *ret_count)
{
	cleanup_free const void **order = NULL;
	struct tfs_merged *merged;
	size_t total = 0, n = 0;

	for (uint32_t f = 0; f < set->n_files; f++)
		total += set->metadata[f].n; /* tables in memory */
	order = reallocarray(NULL, total + 1, 2 * sizeof *order);
	merged = reallocarray(NULL, total + 1, sizeof *merged);
	if (!order || !merged) {
		free(merged);
		return -ENOMEM;
	}
	for (uint32_t f = 0; f < set->n_files; f++)
		for (size_t i = 0; i < set->metadata[f].n; i++)
			order[n++] = &set->metadata[f].pairs[i];
	tfs_sort(order, n, order + total + 1, by_key); /* stable: among equal keys the first file's comes first */
	n = 0;
	for (size_t i = 0; i < total; i++) {
		if (!n || by_key(merged[n - 1].pair, order[i]))
			merged[n++] = (struct tfs_merged){ .pair = order[i] };
		else if (!same_value(merged[n - 1].pair, order[i]))
			merged[n - 1].differs = true;
	}
	*ret_merged = merged;
	*ret_count = n;
	return 0;
}

const struct tfs_metadata *tfs_metadata_find(const struct tfs_merged *merged, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (merged[i].pair->key_len == strlen(key) && !memcmp(merged[i].pair->key, key, strlen(key)))
			return merged[i].pair;
	return NULL;
}
