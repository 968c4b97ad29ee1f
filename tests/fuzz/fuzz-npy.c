/* SPDX-License-Identifier: MIT */
/*
 * npy and npz on any file: what is accepted has its arrays inside the file, or inside what inflates from it, strides and all; and the
 * header that npy/ shows for each is read again as the same array.
 */
#include <errno.h>
#include <string.h>

#include "base/sort.h"
#include "base/utf8.h"
#include "content/view-npy.h"
#include "content/view.h"
#include "format/format.h"
#include "format/numpy/header.h"
#include "fuzz.h"

static void check_packing(const struct tfs_tensor *t)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t last = t->nbytes ? 0 : 1;

	CHECK(t->nbytes && p->coding != TFS_VARINT && !p->n_segments);
	CHECK(p->coding == TFS_DEFLATED || p->swap || p->strides);
	CHECK(p->swap == 0 || p->swap == 2 || p->swap == 4 || p->swap == 8);
	CHECK(!p->swap || t->dtype->block_bytes % p->swap == 0);
	for (unsigned i = 0; p->strides && i < t->ndim; i++)
		last += (t->shape[i] - 1) * p->strides[i];
	CHECK(!p->strides || last + t->dtype->block_bytes == t->nbytes);
	if (p->coding == TFS_DEFLATED)
		CHECK(p->skip <= p->unpacked && t->nbytes <= p->unpacked - p->skip);
	else
		CHECK(p->length == t->nbytes);
}

static void check_shown(const struct tfs_tensor *t, unsigned align)
{
	uint8_t header[TFS_VIEW_PREFIX_MAX];
	struct tfs_error err = { 0 };
	struct tfs_npy_array array;
	struct tfs_catalog *c;
	size_t len;

	if (!t->dtype->npy)
		return;
	c = tfs_catalog_create();
	CHECK(c);
	CHECK(tfs_npy_header(t->dtype->npy, t->shape, t->ndim, align, header) % align == 0);
	CHECK(!tfs_npy_header_length(header, TFS_NPY_START, sizeof header, c, &len, &err) && len % align == 0);
	CHECK(!tfs_npy_header_read(header, len, c, &array, &err));
	CHECK(!strcmp(array.dtype->npy, t->dtype->npy) && array.dtype->block_bytes == t->dtype->block_bytes);
	CHECK(array.ndim == t->ndim && !memcmp(array.shape, t->shape, t->ndim * sizeof *t->shape));
	CHECK(array.nbytes == t->nbytes && !array.swap && !array.fortran);
	tfs_catalog_destroy(c);
}

static void check_tensor(const struct tfs_tensor *t, uint64_t size)
{
	uint64_t nbytes, length = t->encoding ? t->encoding->length : t->nbytes;

	CHECK(t->offset <= size && length <= size - t->offset);
	CHECK(!t->name[t->name_len] && tfs_utf8_valid(t->name, t->name_len));
	CHECK(t->dtype->block_elems == 1 && t->dtype->block_bytes);
	CHECK(!tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &nbytes) && nbytes == t->nbytes);
	if (t->encoding)
		check_packing(t);
	check_shown(t, 64);
	check_shown(t, TFS_VIEW_PREFIX_MAX);
}

static void run(const struct tfs_format *format, const char *name, const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_tensor *t;
	size_t n;

	CHECK(c);
	if (format->parse(fuzz_file(data, size), name, c, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	} else {
		CHECK(!tfs_catalog_sort(c));
		t = tfs_catalog_tensors(c, &n);
		for (size_t i = 0; i < n; i++) {
			CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
			check_tensor(&t[i], size);
		}
	}
	tfs_catalog_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data == 'P')
		run(&tfs_format_npz, "x.npz", data, size);
	else
		run(&tfs_format_npy, "x.npy", data, size);
	return 0;
}
