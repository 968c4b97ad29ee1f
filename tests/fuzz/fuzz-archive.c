/* SPDX-License-Identifier: MIT */
/*
 * Archives on any file: the tensors of the files in what is accepted lie within the archive, each has a name of its own, and what a
 * tar file's walk reports lies within it, too. That a file is recognised must be harmless for any.
 */
#include <errno.h>
#include <string.h>

#include "format/archive/tar.h"
#include "format/format.h"
#include "tensors.h"

struct walked {
	uint64_t size, last;
	uint32_t n;
	struct tfs_tar_link links[64];
	char names[64][32];
	size_t n_links;
};

static int member(void *arg, const struct tfs_tar_member *m)
{
	struct walked *w = arg;

	CHECK(m->offset >= w->last && m->offset <= w->size && (m->cut || m->size <= w->size - m->offset) && m->name);
	CHECK(!w->n || m->number >= w->n);
	w->n = m->number + 1;
	w->last = m->offset;
	if (m->link && w->n_links < 64 && strlen(m->link) < sizeof *w->names) {
		strcpy(w->names[w->n_links], m->link);
		w->links[w->n_links] = (struct tfs_tar_link){ .to = w->names[w->n_links], .number = m->number };
		w->n_links++;
	}
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

	if (tfs_tar_walk(in, UINT32_MAX, member, &w, &err) < 0)
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	CHECK(!tfs_tar_resolve(in, UINT32_MAX, w.links, w.n_links));
	for (size_t i = 0; i < w.n_links; i++)
		CHECK(!w.links[i].found || (w.links[i].offset <= size && w.links[i].size <= size - w.links[i].offset));
	CHECK(!tfs_sniff(in, &c, NULL));
	parse(&tfs_format_tar, in);
	parse(&tfs_format_zip, in);
	return 0;
}
