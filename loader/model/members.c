/* SPDX-License-Identifier: MIT */
#include "model/members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/zip.h"
#include "storage/storage.h"

static int compare(const void *a, const void *b)
{
	const struct tfs_member *m = a, *n = b;

	return (m->offset > n->offset) - (m->offset < n->offset);
}

static bool counts(const struct tfs_zip_member *m)
{
	return m->method == TFS_ZIP_STORED && !m->encrypted && m->size;
}

/* A copy of what counts, with the names behind it. */
static int copy(const struct tfs_zip *zip, struct tfs_members *ret)
{
	size_t n = 0, names = 0;

	for (size_t i = 0; i < zip->n_members; i++)
		if (counts(&zip->members[i])) {
			n++;
			names += zip->members[i].name_len + 1;
		}
	ret->all = malloc(n * sizeof *ret->all + names + 1);
	if (!ret->all)
		return -ENOMEM;
	char *at = (char *)(ret->all + n);
	for (size_t i = 0; i < zip->n_members; i++) {
		const struct tfs_zip_member *m = &zip->members[i];

		if (!counts(m))
			continue;
		ret->all[ret->n++] = (struct tfs_member){ m->offset, m->size, m->crc, at };
		memcpy(at, m->name, m->name_len + 1);
		at += m->name_len + 1;
	}
	qsort(ret->all, ret->n, sizeof *ret->all, compare);
	return 0;
}

int tfs_model_members(const struct tfs_model *m, uint32_t node, struct tfs_members *ret_members, struct tfs_error *err)
{
	cleanup_input struct tfs_input in = TFS_INPUT_CLOSED;
	struct tfs_members members = { 0 };
	struct tfs_zip *zip = NULL;
	uint8_t start[4];

	int r = tfs_model_open_input(m, node, &in);
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "%s", strerror(-r));
	if (in.size >= sizeof start)
		r = tfs_input_read(&in, start, sizeof start, 0, err);
	if (!r && in.size >= sizeof start && tfs_zip_claims(start)) {
		r = tfs_zip_read(&in, NULL, NULL, &zip, err);
		if (!r)
			r = copy(zip, &members);
		tfs_zip_destroy(zip);
	}
	if (!r)
		*ret_members = members;
	return r;
}
