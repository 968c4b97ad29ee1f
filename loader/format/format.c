/* SPDX-License-Identifier: MIT */
#include "format/format.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"

/* Every format; the order is that of preference (which set of a directory is its primary one). */
static const struct tfs_format *const formats[] = {
	&tfs_format_safetensors, &tfs_format_torch, &tfs_format_gguf,
	&tfs_format_onnx,	 &tfs_format_npz,   &tfs_format_npy,
};

const struct tfs_format *tfs_format_at(size_t i)
{
	return i < sizeof formats / sizeof *formats ? formats[i] : NULL;
}

const struct tfs_format *tfs_format_for(const char *file_name)
{
	const struct tfs_format *f;

	for (size_t i = 0; (f = tfs_format_at(i)); i++)
		if (f->claims(file_name))
			return f;
	return NULL;
}

/* https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: the version line comes first. */
#define LFS_POINTER "version https://git-lfs"

/* What ggml wrote before GGUF (llama.cpp's old llama.h, whisper.cpp): "ggml", "ggmf", "ggjt" and "ggla" as little-endian words. */
static const char ggml[][5] = { "lmgg", "fmgg", "tjgg", "algg" };

/* The bytes that tell; zeros where the file is too short for them. */
static int read_start(int fd, uint64_t size, char start[static sizeof LFS_POINTER - 1], struct tfs_error *err)
{
	memset(start, 0, sizeof LFS_POINTER - 1);
	return size < sizeof LFS_POINTER - 1 ? 0 : tfs_file_read(fd, start, sizeof LFS_POINTER - 1, 0, err);
}

int tfs_format_check_pointer(int fd, uint64_t size, struct tfs_error *err)
{
	char start[sizeof LFS_POINTER - 1];
	int rc = read_start(fd, size, start, err);

	if (rc || memcmp(start, LFS_POINTER, sizeof start))
		return rc;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is a Git LFS pointer, not weights: run `git lfs pull`");
}

int tfs_format_check_present(int fd, uint64_t size, struct tfs_error *err)
{
	char start[sizeof LFS_POINTER - 1];
	int rc;

	if (!size)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "has zero bytes: the weights were never downloaded");
	rc = read_start(fd, size, start, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof ggml / sizeof *ggml; i++)
		if (!memcmp(start, ggml[i], 4))
			return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
					     "is a GGML file, from before GGUF: convert it to GGUF");
	return tfs_format_check_pointer(fd, size, err);
}

const char *tfs_format_unfinished(const char *file_name)
{
	static const struct {
		const char *suffix;
		bool any; /* whatever is before it; else only a name that some format claims */
		const char *what;
	} rows[] = {
		{ ".incomplete", true, "is an unfinished download" }, /* huggingface_hub */
		{ ".crdownload", true, "is an unfinished download" }, /* Chromium */
		{ ".aria2", true, "shows that aria2 has not finished the file beside it" },
		{ ".part", false, "is an unfinished download" },     /* Firefox */
		{ ".partial", false, "is an unfinished download" },  /* Edge */
		{ ".download", false, "is an unfinished download" }, /* Safari */
	};
	size_t len = strlen(file_name);
	char before[NAME_MAX + 1];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t suffix = strlen(rows[i].suffix);

		if (len <= suffix || len > NAME_MAX || strcmp(file_name + len - suffix, rows[i].suffix))
			continue;
		memcpy(before, file_name, len - suffix);
		before[len - suffix] = '\0';
		return rows[i].any || tfs_format_for(before) ? rows[i].what : NULL;
	}
	return NULL;
}
