/* SPDX-License-Identifier: MIT */
/*
 * The GGUF parser on any file: what it accepts has tensors inside the file that do not overlap, each of the size that its type and
 * shape make, and keys that become JSON that jansson reads, in short and in full; what it refuses it gives a reason for.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/sort.h"
#include "format/format.h"
#include "format/gguf/reader.h"
#include "fs/tree/gguf-json.h"
#include "fuzz.h"

static int by_place(const void *a, const void *b)
{
	const struct tfs_tensor *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
}

static void check_tensors(struct tfs_catalog *c, uint64_t size)
{
	size_t n;
	struct tfs_tensor *t = tfs_catalog_tensors(c, &n);
	const void **order = calloc(2 * n + 1, sizeof *order);
	uint64_t at = 0, nbytes;

	CHECK(order);
	for (size_t i = 0; i < n; i++) {
		order[i] = &t[i];
		CHECK(!i || tfs_name_cmp(t[i - 1].name, t[i - 1].name_len, t[i].name, t[i].name_len) < 0);
		CHECK(!t[i].name[t[i].name_len]);
		CHECK(t[i].ndim <= TFS_GGUF_MAX_DIMS);
		if (strncmp(t[i].dtype->name, "UNKNOWN(", 8))
			CHECK(!tfs_dtype_nbytes(t[i].dtype, t[i].shape, t[i].ndim, &nbytes) && nbytes == t[i].nbytes);
		CHECK(!t[i].encoding || (t[i].encoding->length == t[i].nbytes && !(t[i].nbytes % t[i].encoding->swap)));
		CHECK(!t[i].encoding || !t[i].encoding->words || t[i].dtype->block_elems > 1);
	}
	tfs_sort(order, n, order + n, by_place);
	for (size_t i = 0; i < n; i++) {
		const struct tfs_tensor *x = order[i];

		CHECK(x->offset >= at && x->offset <= size && x->nbytes <= size - x->offset);
		at = x->offset + x->nbytes;
	}
	free(order);
}

static void check_keys(const struct tfs_input *in, bool sound)
{
	for (int full = 0; full < 2; full++) {
		struct tfs_error err = { 0 };
		struct tfs_json_out out = { 0 };
		json_error_t json_err;
		json_t *json;
		int rc = tfs_gguf_json(&out, in, "model.gguf", full, &err);

		CHECK(!rc || (!sound && rc == -EINVAL && err.what[0] && err.offset <= in->size));
		if (!rc) {
			json = json_loadb(out.s, out.len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &json_err);
			/* It refuses a NUL in a key, and depends on its version how. */
			CHECK(json || strstr(json_err.text, "NUL byte in object key"));
			json_decref(json);
		}
		free(out.s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_catalog *c = tfs_catalog_create();
	const struct tfs_input *in = fuzz_file(data, size);
	int rc;

	CHECK(c);
	rc = tfs_format_gguf.parse(in, "model.gguf", c, &err);
	if (rc)
		CHECK(rc == -EINVAL && err.code == -EINVAL && err.what[0] && err.offset <= size);
	else
		check_tensors(c, size);
	tfs_catalog_destroy(c);
	check_keys(in, !rc);
	return 0;
}
