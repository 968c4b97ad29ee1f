/* SPDX-License-Identifier: MIT */
/*
 * The ONNX parser on any file: of what it accepts every byte lies within the file, each name stands once, varints can be decoded from
 * where decoding may begin, to as many bytes as the tensor has; what it refuses it gives a reason for.
 */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "format/format.h"
#include "fuzz.h"

/* The bytes of the file that run @i of @t takes, which are @nbytes of the tensor. */
static uint64_t run_length(const struct tfs_encoding *p, const uint8_t *data, uint64_t from, uint64_t end, uint64_t nbytes)
{
	uint64_t at = from;

	if (p->coding == TFS_STORED)
		return nbytes;
	for (uint64_t n = nbytes / p->width; n; n--) {
		unsigned len = 0;

		do
			CHECK(at < end && ++len <= 10);
		while (data[at++] & 0x80);
	}
	return at - from;
}

static void check_packing(const struct tfs_tensor *t, const uint8_t *data)
{
	const struct tfs_encoding *p = t->encoding;
	uint64_t end = t->offset + p->length, last = 0;

	CHECK(p->coding == TFS_STORED || (p->coding == TFS_VARINT && p->width && p->n_segments && t->nbytes % p->width == 0));
	CHECK(!p->strides != !p->n_segments && !p->swap);
	if (p->strides) {
		for (unsigned i = 0; i < t->ndim; i++)
			last += (t->shape[i] - 1) * p->strides[i];
		CHECK(last + t->dtype->block_bytes <= p->length);
		return;
	}
	CHECK(!p->segments[0].at && p->segments[0].offset == t->offset);
	for (size_t i = 0; i < p->n_segments; i++) {
		uint64_t next = i + 1 < p->n_segments ? p->segments[i + 1].at : t->nbytes;
		uint64_t limit = i + 1 < p->n_segments ? p->segments[i + 1].offset : end;

		CHECK(next > p->segments[i].at && limit > p->segments[i].offset);
		CHECK(run_length(p, data, p->segments[i].offset, limit, next - p->segments[i].at) <= limit - p->segments[i].offset);
	}
}

static void check_tensors(struct tfs_catalog *c, const uint8_t *data, uint64_t size)
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
		CHECK(!i || t[i - 1].name_len != t[i].name_len || memcmp(t[i - 1].name, t[i].name, t[i].name_len) != 0);
		CHECK(t[i].source <= n_locations);
		if (t[i].source) {
			CHECK(!t[i].encoding);
			continue;
		}
		CHECK(t[i].offset <= size && length <= size - t[i].offset);
		if (t[i].encoding)
			check_packing(&t[i], data);
	}
}

/* Each names tensors of the catalog by their own strings, and none is the codes of two. */
static void check_recipes(struct tfs_catalog *c)
{
	size_t n, n_tensors;
	const struct tfs_recipe *r = tfs_catalog_recipes(c, &n);
	const struct tfs_tensor *t = tfs_catalog_tensors(c, &n_tensors);

	CHECK(n <= n_tensors);
	for (size_t i = 0; i < n && i < 100; i++) {
		CHECK(r[i].parts[TFS_RECIPE_CODES].name && (r[i].wrong || r[i].parts[TFS_RECIPE_SCALES].name));
		for (size_t k = 0; k < TFS_RECIPE_PARTS; k++) {
			bool found = !r[i].parts[k].name;

			for (size_t j = 0; j < n_tensors && !found; j++)
				found = t[j].name == r[i].parts[k].name && t[j].name_len == r[i].parts[k].len;
			CHECK(found);
		}
		for (size_t j = 0; j < i; j++)
			CHECK(r[i].parts[TFS_RECIPE_CODES].name != r[j].parts[TFS_RECIPE_CODES].name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();

	CHECK(c);
	if (tfs_format_onnx.parse(fuzz_file(data, size), "model.onnx", c, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	} else {
		check_tensors(c, data, size);
		check_recipes(c);
	}
	tfs_catalog_destroy(c);
	return 0;
}
