/* SPDX-License-Identifier: MIT */
/*
 * What holds for any file of a format whose tensors are as draft.h makes them: of what the parser accepts every byte lies within the
 * file, or is in another one that it names; each name stands once; codes and scales are tensors of it. What it refuses it gives a reason
 * for.
 */
#ifndef FUZZ_TABLE_H
#define FUZZ_TABLE_H

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

/* Of tensors in other files it is for the model to check where they end. */
static inline void table_check_tensors(struct tfs_catalog *c, uint64_t size)
{
	size_t n, n_locations;
	struct tfs_tensor *t;

	CHECK(!tfs_catalog_sort(c));
	t = tfs_catalog_tensors(c, &n);
	tfs_catalog_locations(c, &n_locations);
	for (size_t i = 0; i < n; i++) {
		uint64_t nbytes, length = t[i].encoding ? t[i].encoding->length : t[i].nbytes;

		CHECK(!tfs_dtype_nbytes_padded(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes);
		CHECK(tfs_utf8_valid(t[i].name, t[i].name_len) && !t[i].name[t[i].name_len]);
		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(t[i].source <= n_locations);
		if (!t[i].source)
			CHECK(t[i].offset <= size && length <= size - t[i].offset);
		if (t[i].encoding)
			check_pieces(&t[i]);
	}
}

static inline void table_check_recipes(struct tfs_catalog *c)
{
	size_t n, n_tensors;
	const struct tfs_recipe *r = tfs_catalog_recipes(c, &n);
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n_tensors);

	CHECK(n <= n_tensors);
	for (size_t i = 0; i < n && i < 100; i++) {
		CHECK(r[i].parts[TFS_RECIPE_CODES].name);
		CHECK(r[i].wrong || r[i].kind == TFS_RECIPE_AFFINE || r[i].parts[TFS_RECIPE_SCALES].name || r[i].numbers.scales);
		for (size_t k = 0; k < TFS_RECIPE_PARTS; k++) {
			bool found = !r[i].parts[k].name;

			for (size_t j = 0; j < n_tensors && !found; j++)
				found = t[j].name == r[i].parts[k].name && t[j].name_len == r[i].parts[k].len;
			CHECK(found);
		}
	}
}

/* One input, as a file of @format called @name. */
static inline int table_fuzz(const struct tfs_format *format, const char *name, const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (format->parse(fuzz_file(data, size), name, c, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && (err.offset <= size || err.offset == TFS_NO_OFFSET));
	} else {
		table_check_tensors(c, size);
		table_check_recipes(c);
	}
	tfs_catalog_destroy(c);
	return 0;
}

#endif
