/* SPDX-License-Identifier: MIT */
/*
 * npy: one array, named after its file. What follows the array is ignored, as by NumPy: np.save() puts several arrays into one file
 * if asked to.
 *
 * A file in npy/ of a mount, or one by tensorfs cp, has the array's name escaped, and here is what that stands for. A file name in
 * which something is escaped that needn't be, or isn't that has to be, is none of ours, and the array's name as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/utf8.h"
#include "format/format.h"
#include "format/numpy/header.h"
#include "storage/storage.h"

#define EXTENSION ".npy"

static bool recognises(const struct tfs_sample *s)
{
	return tfs_npy_claims(s->start, s->len);
}

/* The name of the array in the file whose name without extension is @stem, into @name (@len bytes): its length. */
static size_t name_of(const char *stem, size_t len, char *name)
{
	const size_t n = tfs_unescape(stem, len, name);

	if (n == SIZE_MAX)
		memcpy(name, stem, len);
	return n == SIZE_MAX ? len : n;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	uint8_t start[TFS_NPY_START];
	size_t name_len = tfs_format_stem(file_name), n = in->size < sizeof start ? in->size : sizeof start, len;
	cleanup_free char *name = malloc(name_len + 1);
	cleanup_free uint8_t *header = NULL;
	struct tfs_npy_array array;
	int r;

	if (!name)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a name of %zu bytes", name_len);
	if (!tfs_utf8_valid(file_name, name_len))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "its name, which is also its array's, isn't UTF-8");
	name_len = name_of(file_name, name_len, name);
	r = tfs_input_read(in, start, n, 0, err);
	if (!r)
		r = tfs_npy_header_length(start, n, in->size, catalog, &len, err);
	if (r)
		return r;
	header = malloc(len);
	if (!header)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a header of %zu bytes", len);
	r = tfs_input_read(in, header, len, 0, err);
	if (!r)
		r = tfs_npy_header_read(header, len, catalog, &array, err);
	if (r)
		return r;
	if (array.nbytes > in->size - len)
		return tfs_error_set(err, -EINVAL, in->size, "the array requires %llu bytes, the file has %llu after its header",
				     (unsigned long long)array.nbytes, (unsigned long long)(in->size - len));
	/* There may be 10,000 of these, each with a catalog of its own. */
	r = tfs_catalog_reserve(catalog, 1, name_len, array.ndim);
	return r ? r : tfs_npy_add(catalog, name, name_len, &array, len, NULL);
}

const struct tfs_format tfs_format_npy = {
	.name = "npy",
	.what = "a NumPy array",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.one_set = true,
	.recognises = recognises,
	.parse = parse,
};
