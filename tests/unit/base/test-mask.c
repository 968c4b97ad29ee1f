/* SPDX-License-Identifier: MIT */
#include "support/helpers.h"

#include "base/mask.h"

static void schemes(void **state)
{
	(void)state;
	assert_int_equal(tfs_url_scheme("https://x"), 5);
	assert_int_equal(tfs_url_scheme("S3://x"), 2);
	assert_int_equal(tfs_url_scheme("git+ssh://x"), 7);
	assert_int_equal(tfs_url_scheme("/a://b"), 0);
	assert_int_equal(tfs_url_scheme("3s://b"), 0);
	assert_int_equal(tfs_url_scheme("a/b"), 0);
	assert_int_equal(tfs_url_scheme("a:/b"), 0);
	assert_int_equal(tfs_url_scheme("://b"), 0);
	assert_int_equal(tfs_url_scheme(""), 0);
}

static void secrets_are_masked(void **state)
{
	static const char *const rows[][2] = {
		/* What has no secret stays. */
		{ "/models/a?b#c@d", "/models/a?b#c@d" },
		{ "./a://user:secret@h", "./a://user:secret@h" },
		{ "", "" },
		{ "https://", "https://" },
		{ "https://h/a@b/c", "https://h/a@b/c" },
		{ "https://h:8080/a:b@c", "https://h:8080/a:b@c" },
		{ "https://[::1]:80/a@b", "https://[::1]:80/a@b" },
		{ "hf://org/model@main/dir", "hf://org/model@main/dir" },
		{ "hf://gpt2@main", "hf://gpt2@main" },
		/* RFC 3986 3.2.1: userinfo ends at the last '@' of the authority. */
		{ "https://user:secret@h/a", "https://***@h/a" },
		{ "HTTPS://secret@h/a", "HTTPS://***@h/a" },
		{ "https://user:sec@ret@h", "https://***@h" },
		{ "hf://user:secret@org/model@v1", "hf://***@org/model@v1" },
		{ "ftp://user:secret@h/a?b", "ftp://***@h/a?***" },
		/* A password that should have been encoded. */
		{ "https://user:sec/ret@h/a", "https://***@h/a" },
		{ "https://user:sec?ret@h/a", "https://***@h/a" },
		{ "https://user:sec#ret@h/a?x", "https://***@h/a?***" },
		{ "https://h/a?X-Amz-Signature=secret", "https://h/a?***" },
		{ "https://h?secret@x", "https://h?***" },
		{ "https://h/a#secret", "https://h/a#***" },
		{ "https://h/a?", "https://h/a?***" },
		{ "s3://b/a?secret#secret", "s3://b/a?***" },
	};
	char buf[TFS_MASKED];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(tfs_mask_url(rows[i][0], buf, sizeof buf), rows[i][1]);
}

static void what_does_not_fit_is_cut(void **state)
{
	char buf[8];

	(void)state;
	assert_string_equal(tfs_mask_url("https://user:secret@host/path", buf, sizeof buf), "https:/");
	assert_string_equal(tfs_mask_url("/a/long/path", buf, sizeof buf), "/a/long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schemes),
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(what_does_not_fit_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
