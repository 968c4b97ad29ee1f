/* SPDX-License-Identifier: MIT */
/* The HDF5 parser on any file (tables.h), and that of Keras's zip files around it. */
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data == 'P')
		fuzz_tables(&tfs_format_keras, "model.keras", data, size);
	else
		fuzz_tables(&tfs_format_hdf5, "model.h5", data, size);
	return 0;
}
