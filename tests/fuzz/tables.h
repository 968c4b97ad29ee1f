/* SPDX-License-Identifier: MIT */
/* What holds of every catalog that a parser has filled: of formats whose tensors are plain, swapped, repeated or in pieces. */
#ifndef TFS_TESTS_FUZZ_TABLES_H
#define TFS_TESTS_FUZZ_TABLES_H

#include <errno.h>
#include <string.h>

#include "base/sort.h"
#include "base/utf8.h"
#include "format/format.h"
#include "fuzz.h"

/* Every byte that it takes is within its length, from its offset on. */
static inline void check_pieces(const struct tfs_tensor *t)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t last = 0;

	CHECK(p->coding == TFS_STORED && !(p->strides && p->n_segments) && !p->words);
	CHECK(!p->swap || t->dtype->block_bytes % p->swap == 0);
	for (unsigned i = 0; p->strides && i < t->ndim; i++)
		last += (t->shape[i] - 1) * p->strides[i];
	CHECK(!p->strides || !t->nbytes || last + t->dtype->block_bytes <= p->length);
	for (size_t i = 0; i < p->n_segments; i++) {
		const struct tfs_segment *s = &p->segments[i];
		uint64_t next = i + 1 < p->n_segments ? s[1].at : t->nbytes;

		CHECK(i || !s->at);
		CHECK(next > s->at && s->offset >= t->offset && s->offset - t->offset + (next - s->at) <= p->length);
	}
	CHECK(p->strides || p->n_segments || p->length >= t->nbytes);
}

/* @size: of the file. Of tensors in other files it is for the model to check where they end. */
static inline void check_tables(struct tfs_catalog *c, uint64_t size)
{
	size_t n, n_locations;
	struct tfs_tensor *t;

	CHECK(!tfs_catalog_sort(c));
	t = tfs_catalog_tensors(c, &n);
	tfs_catalog_locations(c, &n_locations);
	for (size_t i = 0; i < n; i++) {
		uint64_t nbytes, length = t[i].encoding ? t[i].encoding->length : t[i].nbytes;

		CHECK(!tfs_dtype_nbytes(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes);
		CHECK(tfs_utf8_valid(t[i].name, t[i].name_len) && !t[i].name[t[i].name_len]);
		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(t[i].source <= n_locations);
		CHECK(t[i].source || (t[i].offset <= size && length <= size - t[i].offset));
		if (t[i].encoding)
			check_pieces(&t[i]);
	}
}

/* One input for @format: what it accepts is as above, what it refuses it gives a reason for. */
static inline void fuzz_tables(const struct tfs_format *format, const char *name, const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (format->parse(fuzz_file(data, size), name, c, &err))
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	else
		check_tables(c, size);
	tfs_catalog_destroy(c);
}

#endif
