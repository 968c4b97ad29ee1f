/* SPDX-License-Identifier: MIT */
/* Tables of remote files: what is one, and all that isn't. */
#include "support/helpers.h"

#include <errno.h>

#include "remote/listing.h"
#include "remote/table.h"
#include "support/remote-table.h"

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct made_file sound[] = {
	{ "model.safetensors", TFS_FETCH_SHA256, SHA256, 1000 },
	{ "sub/dir/a b", TFS_FETCH_GIT_SHA1, "0123456789abcdef0123456789abcdef01234567", 0 },
	{ "\xff\xfe", TFS_FETCH_ETAG, "\"x-y\"", 5 },
	{ "...", TFS_FETCH_NO_VERSION, "", 7 },
	{ "a.b", TFS_FETCH_MODIFIED, "Sun, 29 Nov 2026 08:00:00 GMT", 7 },
};

static int take(char *bytes, size_t size)
{
	struct tfs_error err = { 0 };
	struct tfs_remote_table t = { 0 };
	int r = tfs_remote_table_take(bytes, size, &t, &err);

	assert_true(!r || (r == -EPROTO && err.code == r && err.what[0]));
	tfs_remote_table_fini(&t);
	return r;
}

static void a_sound_one_is_read(void **state)
{
	struct tfs_remote_table t;
	size_t size;
	char *bytes = make_table(sound, 5, &size);

	(void)state;
	assert_int_equal(tfs_remote_table_take(bytes, size, &t, NULL), 0);
	assert_int_equal(t.n, 5);
	assert_string_equal(t.origin, "http://host/dir");
	assert_string_equal(t.revision, "1a2b3c");
	assert_string_equal(t.authority, "http://host");
	assert_string_equal(t.file, "");
	for (uint32_t i = 0; i < 5; i++) {
		assert_string_equal(tfs_remote_table_string(&t, t.nodes[i].path), sound[i].path);
		assert_string_equal(tfs_remote_table_string(&t, t.nodes[i].version), sound[i].version);
		assert_int_equal(t.nodes[i].size, sound[i].size);
	}
	tfs_remote_table_fini(&t);
	tfs_remote_table_fini(&t);
}

static void every_shorter_one_is_refused(void **state)
{
	size_t size;
	char *bytes = make_table(sound, 5, &size);

	(void)state;
	for (size_t n = 0; n < size; n++) {
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		if (n >= sizeof(struct tfs_fetch_table))
			((struct tfs_fetch_table *)(void *)copy)->size = n;
		/* The last one, which is a NUL, is all that the shortest of them lacks. */
		assert_int_equal(take(copy, n), -EPROTO);
	}
	free(bytes);
}

static void paths_lead_nowhere_else(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/." };
	char deep[2 * TFS_REMOTE_PATH_DEPTH + 4] = "a", name[300];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t size;
		char *bytes = make_table(&(struct made_file){ bad[i], TFS_FETCH_NO_VERSION, "", 1 }, 1, &size);

		assert_int_equal(take(bytes, size), -EPROTO);
	}
	for (int depth = 1; depth <= TFS_REMOTE_PATH_DEPTH + 1; depth++) {
		size_t size;
		char *bytes = make_table(&(struct made_file){ deep, TFS_FETCH_NO_VERSION, "", 1 }, 1, &size);

		assert_int_equal(take(bytes, size), depth <= TFS_REMOTE_PATH_DEPTH ? 0 : -EPROTO);
		strcat(deep, "/a");
	}
	memset(name, 'x', sizeof name);
	for (int len = 254; len < 258; len++) {
		size_t size;

		name[len] = '\0';
		char *bytes = make_table(&(struct made_file){ name, TFS_FETCH_NO_VERSION, "", 1 }, 1, &size);
		assert_int_equal(take(bytes, size), len <= 255 ? 0 : -EPROTO);
		name[len] = 'x';
	}
}

static void versions_are_of_their_kind(void **state)
{
	static const struct made_file bad[] = {
		{ "a", TFS_FETCH_SHA256, "0123", 1 },
		{ "a", TFS_FETCH_SHA256, "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", 1 },
		{ "a", TFS_FETCH_SHA256, "../3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 1 },
		{ "a", TFS_FETCH_GIT_SHA1, SHA256, 1 },
		{ "a", TFS_FETCH_XET_HASH, SHA256, 1 },
		{ "a", TFS_FETCH_ETAG, "", 1 },
		{ "a", TFS_FETCH_ETAG, "\"a\nb\"", 1 },
		{ "a", TFS_FETCH_NO_VERSION, "x", 1 },
		{ "a", 0, "", 1 },
		{ "a", 99, "", 1 },
		{ "a", TFS_FETCH_NO_VERSION, "", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t size;
		char *bytes = make_table(&bad[i], 1, &size);

		assert_int_equal(take(bytes, size), -EPROTO);
	}
}

/* Set the 32 bits at @at of a sound table to @value. */
static int with(size_t at, uint32_t value)
{
	size_t size;
	char *bytes = make_table(sound, 5, &size);

	memcpy(bytes + at, &value, sizeof value);
	return take(bytes, size);
}

static void numbers_are_checked(void **state)
{
	static const uint32_t odd[] = { 1, 47, 0x7fffffff, 0x80000000, UINT32_MAX, UINT32_MAX - 7 };
	static const size_t fields[] = { offsetof(struct tfs_fetch_table, magic),
					 offsetof(struct tfs_fetch_table, version),
					 offsetof(struct tfs_fetch_table, n_nodes),
					 offsetof(struct tfs_fetch_table, size),
					 offsetof(struct tfs_fetch_table, nodes),
					 offsetof(struct tfs_fetch_table, origin),
					 offsetof(struct tfs_fetch_table, revision),
					 offsetof(struct tfs_fetch_table, display),
					 offsetof(struct tfs_fetch_table, file),
					 offsetof(struct tfs_fetch_table, authority),
					 sizeof(struct tfs_fetch_table) + offsetof(struct tfs_fetch_node, path),
					 sizeof(struct tfs_fetch_table) + offsetof(struct tfs_fetch_node, version),
					 sizeof(struct tfs_fetch_table) + offsetof(struct tfs_fetch_node, extra) };

	(void)state;
	for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
		for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
			/* Fewer files than there are, or another version 1, is nothing wrong. */
			if (odd[i] != 1 || (f != 1 && f != 2))
				assert_int_equal(with(fields[f], odd[i]), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_one_is_read),	   cmocka_unit_test(every_shorter_one_is_refused),
		cmocka_unit_test(paths_lead_nowhere_else), cmocka_unit_test(versions_are_of_their_kind),
		cmocka_unit_test(numbers_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
