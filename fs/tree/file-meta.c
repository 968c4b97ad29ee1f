/* SPDX-License-Identifier: MIT */
#include "tree/file-meta.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "model/metadata.h"
#include "storage/storage.h"
#include "tree/gguf-json.h"

static void path_of(const struct tfs_model *m, uint32_t node, char path[static PATH_MAX])
{
	if (tfs_model_path(m, node, path, PATH_MAX))
		snprintf(path, PATH_MAX, "%s", m->nodes[node].name);
}

/* Those of one GGUF file, with the same checks as a load of its tensors. */
static int add_gguf(struct tfs_json_out *b, const struct tfs_model *m, uint32_t node, bool full)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char path[PATH_MAX], line[TFS_ERROR_LINE];
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	int code = tfs_model_open_input(m, node, &in);

	path_of(m, node, path);
	int r = code ? tfs_error_set(&err, code, TFS_NO_OFFSET, "opening: %s", tfs_model_why(m, node, code)) :
		       tfs_gguf_json(b, &in, path, full, &err);
	/* If the file isn't the mounted one any more, neither the result nor an error is valid. */
	int changed = code ? 0 : tfs_model_check_node(m, node, &in);
	if (changed)
		r = tfs_error_set(&err, changed, TFS_NO_OFFSET, "changed since it was mounted");
	if (r && b->failed != -ECANCELED) {
		tfs_error_in(&err, path);
		tfs_log_error("keys: %s", tfs_error_line(&err, line, sizeof line));
	}
	return r;
}

static void add_safetensors(struct tfs_json_out *b, const struct tfs_model *m, const struct tfs_set *set, uint32_t file)
{
	const struct tfs_file_metadata *metadata = &set->metadata[file];
	char path[PATH_MAX];

	path_of(m, set->sources[file], path);
	tfs_json_add(b, "{\n      \"file\": ");
	tfs_json_add_string(b, path, strlen(path));
	tfs_json_add(b, ",\n      \"metadata\": {");
	for (size_t i = 0; i < metadata->n && !b->failed; i++) {
		const struct tfs_metadata *pair = &metadata->pairs[i];
		tfs_json_add(b, i ? ",\n        " : "\n        ");
		tfs_json_add_string(b, pair->key, pair->key_len);
		tfs_json_add(b, ": ");
		tfs_json_add_string(b, pair->value, pair->value_len);
	}
	tfs_json_add(b, "\n      }\n    }");
}

/* The keys for which the files have different values. */
static int add_differ(struct tfs_json_out *b, const struct tfs_set *set)
{
	cleanup_free struct tfs_merged *merged = NULL;
	const char *before = "";
	size_t n;

	if (tfs_metadata_merge(set, &merged, &n))
		return -ENOMEM;
	tfs_json_add(b, ",\n  \"differ\": [");
	for (size_t i = 0; i < n; i++) {
		if (!merged[i].differs)
			continue;
		tfs_json_add(b, before);
		before = ", ";
		tfs_json_add_string(b, merged[i].pair->key, merged[i].pair->key_len);
	}
	tfs_json_add(b, "]");
	return 0;
}

int tfs_file_meta_text(const struct tfs_model *m, struct tfs_inode inode, struct tfs_json_guard *guard, char **ret_text,
		       size_t *ret_len)
{
	const struct tfs_set *set = &m->sets[inode.set];
	bool safetensors = inode.node == TFS_KEYS_SAFETENSORS;
	struct tfs_json_out b = { .guard = guard };
	int r = 0;

	tfs_json_add(&b, "{\n  \"files\": [\n    ");
	for (uint32_t i = 0; i < set->n_files && !r; i++) {
		if (i)
			tfs_json_add(&b, ",\n    ");
		if (safetensors)
			add_safetensors(&b, m, set, i);
		else
			r = add_gguf(&b, m, set->sources[i], inode.node == TFS_KEYS_GGUF_FULL);
	}
	tfs_json_add(&b, "\n  ]");
	if (!r && safetensors)
		r = add_differ(&b, set);
	tfs_json_add(&b, "\n}\n");
	if (!r && b.failed == -EFBIG)
		tfs_log_error("keys: %s: more than 256 MiB as text", set->stem);
	b.failed = r ? r : b.failed;
	r = tfs_json_finish(&b, ret_text, ret_len);
	/* "Invalid argument" would blame the reader, and "no such file" the name. */
	return r == -EINVAL ? -EIO : r == -ENOENT ? -ESTALE : r;
}

int tfs_file_meta_check(const struct tfs_model *m, struct tfs_inode inode)
{
	const struct tfs_set *set = &m->sets[inode.set];
	int r = 0;

	/* The metadata of safetensors files are in memory. */
	for (uint32_t i = 0; i < set->n_files && !r && inode.node != TFS_KEYS_SAFETENSORS; i++) {
		cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;

		r = tfs_model_open_input(m, set->sources[i], &in);
	}
	return r;
}
