/* SPDX-License-Identifier: MIT */
#include "content/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json-write.h"

int tfs_shards_cut(const struct tfs_tensor *const *members, size_t n, struct tfs_conversion conversion, uint64_t max,
		   struct tfs_shards *ret_shards)
{
	size_t *ends = NULL, n_shards = 0, room = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i <= n; i++) {
		const uint64_t more = i < n ? tfs_consolidated_bytes(members[i], conversion) : 0;

		if (i == n || (bytes && bytes + more > max)) {
			if (tfs_array_room(ends, n_shards, room)) {
				free(ends);
				return -ENOMEM;
			}
			ends[n_shards++] = i;
			bytes = 0;
		}
		bytes += more;
	}
	*ret_shards = (struct tfs_shards){ (uint32_t)n_shards, ends };
	return 0;
}

void tfs_shards_name(const char *stem, uint32_t shard, uint32_t n, char *buf, size_t size)
{
	if (n > 1)
		snprintf(buf, size, "%s-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", stem, shard + 1, n);
	else
		snprintf(buf, size, "%s.safetensors", stem);
}

int tfs_shards_index(const char *stem, const struct tfs_tensor *const *members, size_t n, struct tfs_conversion conversion,
		     const struct tfs_shards *shards, char **ret_text, size_t *ret_len)
{
	struct tfs_json_out b = { 0 };
	uint64_t total = 0;
	char text[512];

	for (size_t i = 0; i < n; i++)
		total += tfs_consolidated_bytes(members[i], conversion);
	snprintf(text, sizeof text, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64, total);
	tfs_json_add(&b, text);
	tfs_json_add(&b, "\n  },\n  \"weight_map\": {");
	for (size_t i = 0, shard = 0; i < n; i++) {
		while (i >= shards->ends[shard])
			shard++;
		tfs_shards_name(stem, (uint32_t)shard, shards->n, text, sizeof text);
		tfs_json_add(&b, i ? ",\n    " : "\n    ");
		tfs_json_add_string(&b, members[i]->name, members[i]->name_len);
		tfs_json_add(&b, ": ");
		tfs_json_add_string(&b, text, strlen(text));
	}
	tfs_json_add(&b, "\n  }\n}\n");
	return tfs_json_finish(&b, ret_text, ret_len);
}
