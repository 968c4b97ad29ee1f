/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cp/impl.h"
#include "content/shards.h"

static const char extension[] = ".safetensors";

/* Bytes of tensors that safetensors can't express, or SIZE_MAX if there are none: its position in the members. */
static size_t find_impossible(const struct tfs_cp *cp)
{
	uint64_t nbytes;

	for (size_t i = 0; i < cp->n; i++) {
		const struct tfs_tensor *t = cp->members[i];

		if (!tfs_consolidated_converts(t, cp->conversion) &&
		    (!t->dtype->safetensors || tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &nbytes)))
			return i;
		if (t->name_len == strlen("__metadata__") && !memcmp(t->name, "__metadata__", t->name_len))
			return i;
	}
	return SIZE_MAX;
}

/* The bytes of a file, from the loader. */
static int copy(struct tfs_cp *cp, const struct tfs_consolidated *file)
{
	const struct tfs_layout layout = tfs_consolidated_layout(file);
	struct tfs_stream *stream = tfs_stream_open_layout(tfs_loader_streams(cp->loader), &layout);
	int r = stream ? 0 : -ENOMEM;

	for (uint64_t at = 0; !r && at < layout.size;) {
		struct tfs_read rd = { .offset = at };

		rd.len = layout.size - at < TFS_STREAM_MAX_READ ? layout.size - at : TFS_STREAM_MAX_READ;
		r = tfs_stream_read_wait(stream, &rd);
		if (r) {
			r = tfs_outfiles_unread(&cp->files, cp->out, r);
			break;
		}
		for (unsigned i = 0; i < rd.n_iov && !r; i++)
			r = tfs_outfile_write(&cp->files, rd.iov[i].iov_base, rd.iov[i].iov_len);
		at += rd.len;
		tfs_progress_add(&cp->progress, rd.len);
		tfs_read_release(&rd);
	}
	if (stream)
		tfs_stream_close(stream);
	return r;
}

/* The file of members [from, to). */
static int write_file(struct tfs_cp *cp, const char *path, size_t from, size_t to)
{
	const struct tfs_tensor **members = reallocarray(NULL, to - from + 1, sizeof *members);
	struct tfs_consolidated *file;
	int r = -ENOMEM;

	if (members) {
		memcpy(members, cp->members + from, (to - from) * sizeof *members);
		r = tfs_consolidated_create_as(&cp->arg->model->sets[cp->set], members, to - from, cp->conversion, &file);
	}
	if (r) {
		tfs_log_error("%s: %s", path, r == -EFBIG ? "more names and metadata than a header may have" : strerror(-r));
		return r;
	}
	if (tfs_array_room(cp->made, cp->n_made, cp->room_made)) {
		tfs_consolidated_destroy(file);
		tfs_log_error("out of memory");
		return -ENOMEM;
	}
	cp->made[cp->n_made++] = file;
	r = tfs_outfile_begin(&cp->files, path);
	if (!r)
		r = copy(cp, file);
	return r ? r : tfs_outfile_end(&cp->files);
}

/* The text of the index of what was called @stem, "dir/model", in files that are called after it. */
static int write_index(struct tfs_cp *cp, const char *stem, const struct tfs_shards *shards)
{
	const char *slash = strrchr(stem, '/');
	cleanup_free char *text = NULL, *path = NULL;
	size_t len;
	int r = tfs_shards_index(slash ? slash + 1 : stem, cp->members, cp->n, cp->conversion, shards, &text, &len);

	if (r || asprintf(&path, "%s%s.index.json", stem, extension) < 0)
		path = NULL;
	if (!path) {
		tfs_log_error("out of memory");
		return -ENOMEM;
	}
	r = tfs_outfile_begin(&cp->files, path);
	if (!r)
		r = tfs_outfile_write(&cp->files, text, len);
	return r ? r : tfs_outfile_end(&cp->files);
}

static int write_shards(struct tfs_cp *cp)
{
	const size_t stem_len = strlen(cp->out) - strlen(extension), size = stem_len + 64;
	cleanup_free char *stem = strndup(cp->out, stem_len), *path = malloc(size);
	struct tfs_shards shards = { 0 };
	int r = stem && path ? tfs_shards_cut(cp->members, cp->n, cp->conversion, cp->shard_max, &shards) : -ENOMEM;

	if (r)
		tfs_log_error("out of memory");
	for (uint32_t i = 0; i < shards.n && !r; i++) {
		tfs_shards_name(stem, i, shards.n, path, size);
		r = write_file(cp, path, i ? shards.ends[i - 1] : 0, shards.ends[i]);
	}
	if (!r && shards.n > 1)
		r = write_index(cp, stem, &shards);
	free(shards.ends);
	return r;
}

int tfs_cp_safetensors(struct tfs_cp *cp)
{
	const size_t wrong = find_impossible(cp);
	char name[TFS_QUOTE_SIZE];

	if (wrong != SIZE_MAX) {
		const struct tfs_tensor *t = cp->members[wrong];
		tfs_log_error("tensor %s: a safetensors file can't have %s%s; --dtype writes values, where there are any",
			      tfs_quote(name, sizeof name, t->name, t->name_len), t->dtype->safetensors ? "that name" : "type ",
			      t->dtype->safetensors ? "" : t->dtype->name);
		return -EINVAL;
	}
	return cp->shard_max == UINT64_MAX ? write_file(cp, cp->out, 0, cp->n) : write_shards(cp);
}
