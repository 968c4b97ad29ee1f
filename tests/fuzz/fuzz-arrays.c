/* SPDX-License-Identifier: MIT */
/* NumPy arrays in a pickle, any file: those of what is accepted lie within it; what is refused has a reason. */
#include <errno.h>

#include "format/format.h"
#include "tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (tfs_format_pickle.parse(fuzz_file(data, size), "model.pkl", c, &err))
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	else
		check_tensors(c, size);
	tfs_catalog_destroy(c);
	return 0;
}
