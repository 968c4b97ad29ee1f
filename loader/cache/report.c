/* SPDX-License-Identifier: MIT */
#include "cache/report.h"

#include <limits.h>
#include <string.h>

#include "base/log.h"

void tfs_report(const struct tfs_model *model, const struct tfs_tensor *tensor, uint64_t at, int code, const struct tfs_error *what,
		char line[TFS_ERROR_LINE])
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	uint64_t offset = what && what->offset != TFS_NO_OFFSET ? what->offset : tensor->offset + at;
	char path[PATH_MAX];

	if (!tfs_model_path(model, tensor->source, path, sizeof path))
		tfs_error_in(&err, path);
	if (what && what->file[0] && strcmp(what->file, err.file) != 0) { /* another of its files */
		memcpy(err.file, what->file, sizeof err.file);
		offset = what->offset;
	}
	tfs_error_set(&err, code, offset, "tensor \"%.200s\": %.280s", tensor->name,
		      what && what->what[0] ? what->what : strerror(-code));
	tfs_error_line(&err, line, TFS_ERROR_LINE);
	tfs_log_error("%s", line);
}
