/* SPDX-License-Identifier: MIT */
/* Tables of files as a daemon keeps them: what is accepted has good paths, and strings within it. */
#include <errno.h>
#include <string.h>

#include "fetch/tree.h"
#include "fuzz.h"
#include "remote/listing.h"
#include "remote/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tfs_input *in = fuzz_file(data, size);
	struct tfs_error err = { 0 };
	struct tfs_tree *t;
	int r = tfs_tree_create(in->fd, TFS_WHERE_DIRECT, &t, &err);

	CHECK(!r || (r == -EINVAL && err.what[0]));
	if (r)
		return 0;
	for (uint32_t i = 0; i < t->n_files; i++) {
		CHECK(tfs_remote_path_is_good(t->files[i].path));
		CHECK(t->files[i].kind != TFS_FETCH_ETAG ||
		      (t->files[i].version[0] == '"' && strchr(t->files[i].version + 1, '"')));
		CHECK(strlen(t->files[i].version) < size && strlen(t->files[i].extra) < size);
	}
	tfs_tree_unref(tfs_tree_ref(t));
	tfs_tree_unref(t);
	return 0;
}
