/* SPDX-License-Identifier: MIT */
/* The index reader on any text: what it accepts is sorted, without doubles, and names files of its own directory. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/sort.h"
#include "fuzz.h"
#include "model/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_index *ix;

	if (tfs_index_read(fuzz_file(data, size), &ix, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
		return 0;
	}
	CHECK(ix->n_entries && ix->n_files && (ix->n_bad || ix->n_files <= ix->n_entries));
	for (size_t i = 0; i < ix->n_entries; i++) {
		const struct tfs_index_entry *e = &ix->entries[i];

		CHECK(e->file < ix->n_files || (e->file == TFS_INDEX_NO_FILE && ix->n_bad));
		CHECK(!e->name[e->name_len]);
		CHECK(!i || tfs_name_cmp(e[-1].name, e[-1].name_len, e->name, e->name_len) < 0);
	}
	for (size_t i = 0; i < ix->n_files; i++) {
		const char *f = ix->files[i];

		CHECK(*f && strlen(f) <= NAME_MAX && !strpbrk(f, "/\\") && strcmp(f, ".") && strcmp(f, ".."));
		for (size_t k = 0; k < i && ix->n_files < 100; k++)
			CHECK(strcmp(f, ix->files[k]));
	}
	tfs_index_destroy(ix);
	return 0;
}
