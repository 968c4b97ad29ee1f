/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gguf-json.h"

/* One file's, with the same checks as a load of its tensors has. */
static int add_file(struct tfs_json_out *b, const struct tfs_model *m, uint32_t node, bool full)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char path[PATH_MAX], line[TFS_ERROR_LINE];
	cleanup_fd int fd = tfs_model_open_node(m, node, 0);

	if (tfs_model_path(m, node, path, sizeof path))
		snprintf(path, sizeof path, "%s", m->nodes[node].name);
	int r = fd < 0 ? tfs_error_set(&err, fd, TFS_NO_OFFSET, "opening: %s", strerror(-fd))
		       : tfs_gguf_json(b, fd, m->nodes[node].size, path, full, &err);
	/* What was made of bytes that are not those of the mount's file does not count, nor does what went wrong with them. */
	int changed = fd < 0 ? 0 : tfs_model_check_node(m, node, fd);
	if (changed)
		r = tfs_error_set(&err, changed, TFS_NO_OFFSET, "changed since it was mounted");
	if (r) {
		tfs_error_in(&err, path);
		tfs_log_error("keys: %s", tfs_error_line(&err, line, sizeof line));
	}
	return r;
}

int tfs_keys_text(const struct tfs_fs *fs, struct tfs_inode inode, char **ret_text, size_t *ret_len)
{
	const struct tfs_set *set = &fs->model->sets[inode.set];
	struct tfs_json_out b = { 0 };
	int r = 0;

	tfs_json_add(&b, "{\n  \"files\": [\n    ");
	for (uint32_t i = 0; i < set->n_sources && !r; i++) {
		if (i)
			tfs_json_add(&b, ",\n    ");
		r = add_file(&b, fs->model, set->sources[i], inode.node == TFS_KEYS_FULL);
	}
	tfs_json_add(&b, "\n  ]\n}\n");
	r = r ? r : b.failed;
	if (r) {
		free(b.s);
		/* "Invalid argument" would blame the reader, and "no such file" the name. */
		return r == -EINVAL ? -EIO : r == -ENOENT ? -ESTALE : r;
	}
	char *fit = realloc(b.s, b.len); /* it was grown by doubling, and may be kept open */
	*ret_text = fit ? fit : b.s;
	*ret_len = b.len;
	return 0;
}
