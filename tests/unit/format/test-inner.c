/* SPDX-License-Identifier: MIT */
/* Files within files. */
#include "support/catalog-helpers.h"

#include <errno.h>

#include "format/format.h"
#include "format/inner.h"

#define BEFORE 13 /* bytes before the inner file, */
#define AFTER  5  /* and after it */

/* A file that has @inner within it, and the size of @inner. */
static int outer_file(const char *inner, size_t len)
{
	char bytes[BEFORE + 512 + AFTER];

	assert_true(len <= 512);
	memset(bytes, '#', sizeof bytes);
	memcpy(bytes + BEFORE, inner, len);
	return memory_file(bytes, BEFORE + len + AFTER);
}

static void an_inner_file_is_read_in_place(void **state)
{
	static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}";
	struct tfs_catalog *c = tfs_catalog_create();
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	struct tfs_tensor *t;
	size_t len, n;
	char *inner = make_safetensors(header, strlen(header), 3, &len), got[3];
	int fd = outer_file(inner, len);
	const struct tfs_input *in = input_of(fd, BEFORE + len + AFTER);

	(void)state;
	assert_int_equal(tfs_inner_read(&tfs_format_safetensors, in, BEFORE, len, "m.safetensors", "m.", c, &err), 0);
	t = tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 1);
	assert_string_equal(t->name, "m.a");
	assert_int_equal(tfs_input_read(in, got, sizeof got, t->offset, &err), 0);
	assert_memory_equal(got, "\0\1\2", 3);

	/* Its end is not the outer file's: one byte more doesn't belong to any tensor. */
	assert_int_equal(tfs_inner_read(&tfs_format_safetensors, in, BEFORE, len + 1, "m.safetensors", "", c, &err), -EINVAL);
	/* What is wrong is found where it is in the outer file. */
	assert_int_equal(tfs_inner_read(&tfs_format_safetensors, in, BEFORE, 4, "m.safetensors", "", c, &err), -EINVAL);
	assert_in_range(err.offset, BEFORE, BEFORE + 4);
	assert_int_equal(tfs_inner_read(&tfs_format_safetensors, in, BEFORE + len, AFTER + 1, "m", "", c, &err), -EINVAL);
	assert_int_equal(tfs_inner_read(&tfs_format_safetensors, in, UINT64_MAX, 2, "m", "", c, &err), -EINVAL);
	tfs_catalog_tensors(c, &n);
	assert_int_equal(n, 1);
	tfs_catalog_destroy(c);
	free(inner);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inner_file_is_read_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
