/* SPDX-License-Identifier: MIT */
/*
 * The zip reader on any file: what it accepts has members that lie inside the file, none over another, each with a name of its own,
 * by which it is found; and their bytes are read, or refused with a reason.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "format/zip.h"
#include "fuzz.h"

enum { LARGEST = 1 << 20 };

static void check_bytes(const struct tfs_input *in, const struct tfs_zip_member *m)
{
	struct tfs_error err = { 0 };
	size_t len = m->unpacked < LARGEST ? m->unpacked : LARGEST, half = len / 2;
	uint8_t *all = malloc(len + 1), *head = malloc(half + 1);
	int rc;

	CHECK(all && head);
	rc = tfs_zip_head(in, m, all, len, &err);
	CHECK(!rc || (rc == -EINVAL && err.code == rc && err.what[0]));
	if (!rc && len == m->unpacked)
		CHECK(crc32_z(0, all, len) == m->crc);
	if (!rc) {
		CHECK(!tfs_zip_head(in, m, head, half, &err));
		CHECK(!memcmp(all, head, half));
	}
	free(all);
	free(head);
}

static int go_on(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	CHECK(m->name && err->what[0] && (err->code == -EINVAL || err->code == -EEXIST));
	++*(size_t *)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_zip *z;
	size_t unsound = 0;
	const struct tfs_input *in = fuzz_file(data, size);
	int strict = tfs_zip_read(in, NULL, NULL, &z, &err);

	if (strict)
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	else
		tfs_zip_destroy(z);
	if (tfs_zip_read(in, go_on, &unsound, &z, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size && strict);
		return 0;
	}
	CHECK(!strict == !unsound);
	for (size_t i = 0; i < z->n_members; i++) {
		const struct tfs_zip_member *m = &z->members[i];

		CHECK(m->offset <= size && m->size <= size - m->offset);
		CHECK(strlen(m->name) == m->name_len);
		CHECK(tfs_zip_find(z, m->name, m->name_len) == m);
		for (size_t k = 0; k < i && z->n_members < 100; k++) {
			const struct tfs_zip_member *o = &z->members[k];

			CHECK(o->offset + o->size < m->offset || m->offset + m->size < o->offset);
		}
		check_bytes(in, m);
	}
	tfs_zip_destroy(z);
	return 0;
}
