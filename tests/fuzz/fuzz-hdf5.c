/* SPDX-License-Identifier: MIT */
/* The HDF5 parser on any file (table.h), and that of Keras's zip files around it. */
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data == 'P')
		table_fuzz(&tfs_format_keras, "model.keras", data, size);
	else
		table_fuzz(&tfs_format_hdf5, "model.h5", data, size);
	return 0;
}
