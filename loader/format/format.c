/* SPDX-License-Identifier: MIT */
#include "format/format.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

/* Every format; the order is that of preference (which set of a directory is its primary one). */
static const struct tfs_format *const formats[] = {
	&tfs_format_safetensors,
	&tfs_format_torch,
	&tfs_format_gguf,
	&tfs_format_onnx,
	&tfs_format_npz,
	&tfs_format_npy,
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

int tfs_format_check_present(int fd, uint64_t size, struct tfs_error *err)
{
	char start[sizeof LFS_POINTER - 1];
	int rc;

	if (!size)
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "has zero bytes: the weights were never downloaded");
	if (size < sizeof start)
		return 0;
	rc = tfs_file_read(fd, start, sizeof start, 0, err);
	if (rc)
		return rc;
	if (memcmp(start, LFS_POINTER, sizeof start))
		return 0;
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "is a Git LFS pointer, not weights: run `git lfs pull`");
}
