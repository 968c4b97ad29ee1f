/* SPDX-License-Identifier: MIT */
/* The Flax parser on any file (table.h), and what recognises one. */
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_sniffed what;

	CHECK(!tfs_sniff(fuzz_file(data, size), &what, NULL));
	table_fuzz(&tfs_format_flax, "flax_model.msgpack", data, size);
	return 0;
}
