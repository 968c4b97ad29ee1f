/* SPDX-License-Identifier: MIT */
/* Which URLs are of the same model. */
#include "support/helpers.h"

#include "remote/name.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void a_model_has_one_name(void **state)
{
	static const char *const names[][2] = {
		{ "HF://Org/Model", "hf://Org/Model" },
		{ "hf://org/model/", "hf://org/model" },
		{ "hf://models/org/model", "hf://org/model" },
		{ "hf://org/model@main", "hf://org/model" },
		{ "hf://org/model@main/dir/", "hf://org/model/dir" },
		{ "hf://datasets/org/data@main", "hf://datasets/org/data" },
		{ "hf://org/model@maintained", "hf://org/model@maintained" },
		{ "hf://org/model/dir@main", "hf://org/model/dir@main" },
		{ "HTTPS://host/dir/", "https://host/dir" },
		{ "https://host/model.GGUF/", "https://host/model.GGUF/" }, /* a directory */
		{ "https://host/model.gguf", "https://host/model.gguf" },   /* a file */
		{ "https://host/model.gguf?a=/", "https://host/model.gguf?a=/" },
		{ "s3://bucket/", "s3://bucket" },
		{ "hf://", "hf://" },
		{ "name/", "name/" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *name = tfs_remote_name(names[i][0]);

		assert_string_equal(name, names[i][1]);
		free(name);
	}
}

static void a_commit_is_that_of_its_branch(void **state)
{
	const struct tfs_remote_table of_main = { .origin = "hf://org/model", .revision = COMMIT };
	const struct tfs_remote_table of_tag = { .origin = "hf://org/model@v1/dir", .revision = COMMIT };
	const struct tfs_remote_table of_web = { .origin = "https://host/dir/", .revision = "" };

	(void)state;
	assert_true(tfs_remote_is_named(&of_main, "hf://org/model@main/"));
	assert_true(tfs_remote_is_named(&of_main, "hf://org/model@0123456"));
	assert_true(tfs_remote_is_named(&of_main, "hf://org/model@" COMMIT));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/model@" COMMIT "0"));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/model@012345"));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/model@0123457"));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/model@0123456/dir"));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/model2@0123456"));
	assert_false(tfs_remote_is_named(&of_main, "hf://org/mode@0123456"));
	assert_true(tfs_remote_is_named(&of_tag, "hf://org/model@v1/dir"));
	assert_true(tfs_remote_is_named(&of_tag, "hf://org/model@0123456/dir"));
	assert_false(tfs_remote_is_named(&of_tag, "hf://org/model@0123456"));
	assert_false(tfs_remote_is_named(&of_tag, "hf://org/model/dir"));
	assert_true(tfs_remote_is_named(&of_web, "https://host/dir"));
	assert_true(tfs_remote_is_named(&of_web, "https://host/dir/"));
	assert_false(tfs_remote_is_named(&of_web, "https://host/di"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_model_has_one_name),
		cmocka_unit_test(a_commit_is_that_of_its_branch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
