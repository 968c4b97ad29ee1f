/* SPDX-License-Identifier: MIT */
/*
 * The torch parser on any file: the tensors of what it accepts have names of their own and lie within the file, encoded ones with
 * all that their strides reach; what it refuses it gives a reason for.
 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "format/format.h"
#include "fuzz.h"

/* What the strides reach, from element 0 to the end of the last one. */
static uint64_t reach(const struct tfs_tensor *t)
{
	uint64_t end = t->dtype->block_bytes, step;

	for (unsigned i = 0; i < t->ndim; i++)
		CHECK(!ckd_mul(&step, t->shape[i] - 1, t->encoding->strides[i]) && !ckd_add(&end, end, step));
	return end;
}

static void check_packing(const struct tfs_tensor *t, uint64_t size)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t bytes, end;

	CHECK(t->nbytes && !p->n_segments && p->coding != TFS_VARINT);
	CHECK(p->swap == 0 || p->swap == 2 || p->swap == 4 || p->swap == 8);
	CHECK(!ckd_add(&end, t->offset, p->length) && end <= size);
	bytes = p->strides ? reach(t) : t->nbytes;
	if (p->coding == TFS_DEFLATED)
		CHECK(!ckd_add(&end, p->skip, bytes) && end <= p->unpacked);
	else
		CHECK(bytes == p->length);
}

static void check_tensors(struct tfs_catalog *c, uint64_t size)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n);

	for (size_t i = 0; i < n; i++) {
		uint64_t nbytes, end;

		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(!t[i].name[t[i].name_len] && tfs_utf8_valid(t[i].name, t[i].name_len));
		CHECK(!tfs_dtype_nbytes(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes);
		if (t[i].encoding)
			check_packing(&t[i], size);
		else
			CHECK(!ckd_add(&end, t[i].offset, nbytes) && end <= size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (tfs_format_torch.parse(fuzz_file(data, size), "model.pt", c, &err))
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	else
		check_tensors(c, size);
	tfs_catalog_destroy(c);
	return 0;
}
