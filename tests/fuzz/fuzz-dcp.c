/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a distributed checkpoint, any file, which is also every file that it says its tensors are in: what of these is accepted
 * lies within it, in segments that cover each tensor; what is left out or refused has a reason.
 */
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

static void check_segments(const struct tfs_tensor *t, uint64_t size)
{
	const struct tfs_encoding *p = t->encoding;

	CHECK(p->coding == TFS_STORED && !p->strides && !p->swap && !p->segments[0].at);
	CHECK(t->offset <= size && p->length <= size - t->offset && p->n_files != 1 && !p->files == !p->n_files);
	for (size_t i = 0; i < p->n_files; i++)
		CHECK(p->files[i] && (i || p->files[i] == t->source));
	for (size_t i = 0; i < p->n_segments; i++) {
		uint64_t end = i + 1 < p->n_segments ? p->segments[i + 1].at : t->nbytes;

		CHECK(end > p->segments[i].at && p->segments[i].offset <= size &&
		      end - p->segments[i].at <= size - p->segments[i].offset);
		CHECK(!p->files || p->file_of[i] < p->n_files);
		if (!p->files || !p->file_of[i])
			CHECK(p->segments[i].offset >= t->offset &&
			      p->segments[i].offset + (end - p->segments[i].at) <= t->offset + p->length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_beside beside = { open_same };
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_tensor *t;
	size_t n;
	int r;

	CHECK(c);
	file = fuzz_file(data, size);
	r = tfs_format_dcp.parse(file, ".metadata", c, &err);
	if (!r)
		r = tfs_format_dcp.complete(file, ".metadata", &beside, c, &err);
	if (r)
		CHECK(r == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	t = tfs_catalog_tensors(c, &n);
	for (size_t i = 0; !r && i < n; i++) {
		CHECK(t[i].source || !t[i].nbytes);
		if (t[i].encoding && t[i].encoding->n_segments)
			check_segments(&t[i], size);
		else if (t[i].encoding)
			check_packing(&t[i], size);
		else
			CHECK(t[i].offset <= size && t[i].nbytes <= size - t[i].offset);
	}
	tfs_catalog_destroy(c);
	return 0;
}
