/* SPDX-License-Identifier: MIT */
/*
 * The torch parser on any file: the tensors of what it accepts have names of their own and lie within the file, encoded ones with
 * all that their strides reach; what it refuses it gives a reason for.
 */
#include <errno.h>

#include "format/format.h"
#include "tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (tfs_format_torch.parse(fuzz_file(data, size), "model.pt", c, &err))
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	else
		check_tensors(c, size);
	tfs_catalog_destroy(c);
	return 0;
}
