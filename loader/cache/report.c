/* SPDX-License-Identifier: MIT */
#include "cache/report.h"

#include <limits.h>
#include <string.h>

#include "base/log.h"

void tfs_report(const struct tfs_model *model, const struct tfs_tensor *tensor, uint64_t at, int code, const struct tfs_error *what,
		char line[TFS_ERROR_LINE])
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char path[PATH_MAX];

	if (!tfs_model_path(model, tensor->source, path, sizeof path))
		tfs_error_in(&err, path);
	tfs_error_set(&err, code, what && what->offset != TFS_NO_OFFSET ? what->offset : tensor->offset + at,
		      "tensor \"%.200s\": %.280s", tensor->name, what && what->what[0] ? what->what : strerror(-code));
	tfs_error_line(&err, line, TFS_ERROR_LINE);
	tfs_log_error("%s", line);
}
