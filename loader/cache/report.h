/* SPDX-License-Identifier: MIT */
/* The one log line of a read that failed: file, tensor, offset, cause. */
#ifndef TFS_REPORT_H
#define TFS_REPORT_H

#include "base/error.h"
#include "model/model.h"

/*
 * Log that reading @tensor from its byte @at on failed with @code, for the reason in @what (may be NULL), and store the same line
 * in @line.
 */
void tfs_report(const struct tfs_model *model, const struct tfs_tensor *tensor, uint64_t at, int code, const struct tfs_error *what,
		char line[TFS_ERROR_LINE]);

#endif
