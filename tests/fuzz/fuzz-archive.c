/* SPDX-License-Identifier: MIT */
/*
 * Archives on any file: the tensors of the files in what is accepted lie within the archive, each has a name of its own, and what a
 * tar file's walk reports lies within it, too. That a file is recognised must be harmless for any.
 */
#include <errno.h>

#include "format/archive/tar.h"
#include "format/format.h"
#include "tensors.h"

struct walked {
	uint64_t size, last;
};

static int member(void *arg, const struct tfs_tar_member *m)
{
	struct walked *w = arg;

	CHECK(m->offset >= w->last && m->offset <= w->size && m->size <= w->size - m->offset && m->name);
	w->last = m->offset;
	return 0;
}

static void parse(const struct tfs_format *format, const struct tfs_input *in)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (format->parse(in, "model", c, &err))
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= in->size || err.offset == TFS_NO_OFFSET));
	else
		check_tensors(c, in->size);
	tfs_catalog_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tfs_input *in = fuzz_file(data, size);
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct walked w = { .size = size };
	struct tfs_sniffed c;

	if (tfs_tar_walk(in, UINT32_MAX, member, &w, &err))
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	CHECK(!tfs_sniff(in, &c, NULL));
	parse(&tfs_format_tar, in);
	parse(&tfs_format_zip, in);
	return 0;
}
