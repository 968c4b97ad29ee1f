/* SPDX-License-Identifier: MIT */
/* Paddle's parameters, any file, which is also the program beside it: tensors lie within the file; what is refused has a reason. */
#include <errno.h>

#include "format/format.h"
#include "tensors.h"

static const struct tfs_input *file;

static int open_same(struct tfs_beside *b, const char *location, struct tfs_input *ret, struct tfs_error *err)
{
	(void)b, (void)location, (void)err;
	*ret = tfs_input_of_fd(dup(file->fd), file->size);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_beside beside = { open_same };
	struct tfs_catalog *c = tfs_catalog_create();
	int r;

	CHECK(c);
	file = fuzz_file(data, size);
	r = tfs_format_paddle.parse(file, "m.pdiparams", c, &err);
	if (r)
		CHECK(r == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	/* Of the program, whatever the parameters. */
	CHECK(!tfs_format_paddle.complete(file, "m.pdiparams", &beside, c, &err));
	CHECK(!tfs_catalog_make_unique(c));
	check_tensors(c, size);
	tfs_catalog_destroy(c);
	return 0;
}
