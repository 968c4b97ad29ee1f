/* SPDX-License-Identifier: MIT */
/*
 * The safetensors parser on any file: what it accepts has the tensors lie end to end from the header to the end of the
 * file, but for what it left out, and a header that jansson reads, too, with as many members; what it refuses it gives a reason for.
 */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/sort.h"
#include "format/format.h"
#include "fuzz.h"

static int by_place(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
}

/* Returns their number, with that of those that were left out. */
static size_t check_tensors(struct tfs_catalog *c, uint64_t data_at, uint64_t size)
{
	size_t n, n_left_out;
	struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
	const void **order = calloc(2 * n + 1, sizeof *order);
	uint64_t at = data_at, nbytes;

	tfs_catalog_left_out(c, &n_left_out);
	CHECK(order);
	for (size_t i = 0; i < n; i++) {
		order[i] = &t[i];
		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(!t[i].name[t[i].name_len]);
		CHECK(t[i].dtype->safetensors || !strncmp(t[i].dtype->name, "UNKNOWN(", 8));
		CHECK(!t[i].dtype->safetensors ||
		      (!tfs_dtype_nbytes(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes));
	}
	tfs_sort(order, n, order + n, by_place);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_tensor *x = order[i];

		CHECK(n_left_out ? x->offset >= at : x->offset == at);
		at = x->offset + x->nbytes;
	}
	CHECK(n_left_out ? at <= size : at == size);
	free(order);
	return n + n_left_out;
}

/* jansson refuses NUL in keys, and doubles out of range, which may stand in fields that nobody reads. */
static void check_header(const char *header, size_t len, size_t n_tensors)
{
	json_error_t err;
	json_t *json = json_loadb(header, len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &err);

	CHECK(json || strstr(err.text, "NUL byte in object key") || strstr(err.text, "overflow"));
	if (json)
		CHECK(json_object_size(json) == n_tensors + (json_object_get(json, "__metadata__") != NULL));
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();
	uint64_t n;
	size_t count;

	CHECK(c);
	if (tfs_format_safetensors.parse(fuzz_file(data, size), "model.safetensors", c, &err)) {
		CHECK(err.code == -EINVAL && err.what[0] && err.offset <= size);
	} else {
		memcpy(&n, data, sizeof n);
		n = le64toh(n);
		count = check_tensors(c, sizeof n + n, size);
		check_header((const char *)data + sizeof n, n, count);
	}
	tfs_catalog_destroy(c);
	return 0;
}
