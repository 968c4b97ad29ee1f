/* SPDX-License-Identifier: MIT */
/* What holds of the tensors that a parser accepts: names of their own, in order, and all their bytes within the file. */
#ifndef FUZZ_TENSORS_H
#define FUZZ_TENSORS_H

#include <string.h>

#include "base/checked.h"
#include "base/sort.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "tensor/catalog.h"

/* What the strides reach, from element 0 to the end of the last one. */
static inline uint64_t reach(const struct tfs_tensor *t)
{
	uint64_t end = t->dtype->block_bytes, step;

	for (unsigned i = 0; i < t->ndim; i++)
		CHECK(!ckd_mul(&step, t->shape[i] - 1, t->encoding->strides[i]) && !ckd_add(&end, end, step));
	return end;
}

static inline void check_packing(const struct tfs_tensor *t, uint64_t size)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t bytes, end;

	CHECK(t->nbytes && p->coding != TFS_VARINT);
	CHECK(p->swap == 0 || p->swap == 2 || p->swap == 4 || p->swap == 8);
	CHECK(!ckd_add(&end, t->offset, p->length) && end <= size);
	bytes = p->strides ? reach(t) : t->nbytes;
	if (p->coding == TFS_DEFLATED)
		CHECK(!ckd_add(&end, p->skip, bytes) && end <= p->unpacked);
	else if (p->coding == TFS_LATIN1)
		CHECK(p->n_segments && bytes < p->length && p->length <= 2 * bytes);
	else
		CHECK(bytes == p->length);
}

static inline void check_tensors(struct tfs_catalog *c, uint64_t size)
{
	size_t n;
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n);

	for (size_t i = 0; i < n; i++) {
		uint64_t nbytes, end;

		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(!t[i].name[t[i].name_len] && tfs_utf8_valid(t[i].name, t[i].name_len));
		/* Of an unknown type, in a file within an archive, only the file says how many bytes there are. */
		CHECK(!strncmp(t[i].dtype->name, "UNKNOWN(", 8) ||
		      (!tfs_dtype_nbytes(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes));
		if (t[i].encoding)
			check_packing(&t[i], size);
		else
			CHECK(!ckd_add(&end, t[i].offset, t[i].nbytes) && end <= size);
	}
}

#endif
