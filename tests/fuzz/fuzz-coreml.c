/* SPDX-License-Identifier: MIT */
/* The parser of Core ML's files on any file: see table.h. */
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return table_fuzz(&tfs_format_coreml, "model.mlmodel", data, size);
}
