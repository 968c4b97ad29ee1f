/* SPDX-License-Identifier: MIT */
/*
 * How much memory there is, by the kernel's account. The linker hands the loader's fopen() to the function below
 * (-Wl,--wrap=fopen64), which looks for /proc and /sys in a directory of the test's.
 */
#include "support/helpers.h"

#include "loader.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);

static const char *root; /* NULL: the real ones */

FILE *__wrap_fopen64(const char *path, const char *mode)
{
	char there[8192];
	if (!root || path[0] != '/')
		return __real_fopen64(path, mode);
	snprintf(there, sizeof there, "%s%s", root, path);
	return __real_fopen64(there, mode);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	return __wrap_fopen64(path, mode);
}

/* Files of a made-up machine: "PATH=TEXT". */
static void check(const char *const *files, uint64_t (*ask)(void), uint64_t want)
{
	char *dir = make_tree();

	for (; *files; files++) {
		char path[200];
		const char *eq = strchr(*files, '=');
		for (const char *p = strchr(*files, '/'); p && p < eq; p = strchr(p + 1, '/')) {
			snprintf(path, sizeof path, "%.*s", (int)(p - *files), *files);
			mkdir(in_tree(dir, path), 0755);
		}
		snprintf(path, sizeof path, "%.*s", (int)(eq - *files), *files);
		put_text(dir, path, eq + 1);
	}
	root = dir;
	uint64_t have = ask();
	root = NULL;
	remove_tree(dir);
	assert_int_equal(have, want);
}

#define MEMINFO "proc/meminfo=MemTotal: 32000000 kB\nMemFree: 1 kB\nMemAvailable: 16777216 kB\n" /* 16 GiB */
#define V2	"proc/self/cgroup=0::/user/job\n"

static void test_default(void **state)
{
	static const struct {
		const char *files[8];
		uint64_t want;
	} rows[] = {
		{ { MEMINFO }, 8 * GIB },
		{ { "x=" }, TFS_MEMORY_MIN }, /* no /proc at all */
		{ { "proc/meminfo=MemAvailable: 1000 kB\n" }, TFS_MEMORY_MIN },
		{ { MEMINFO, "proc/self/cgroup=0::/\n" }, 8 * GIB },
		{ { MEMINFO, V2 }, 8 * GIB }, /* no such files: a kernel without them */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=max\n", "sys/fs/cgroup/user/job/memory.current=1073741824\n" },
		  8 * GIB },
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=5368709120\n",
		    "sys/fs/cgroup/user/job/memory.current=1073741824\n" },
		  2 * GIB },
		/* So does what slows a group down. */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=max\n", "sys/fs/cgroup/user/job/memory.high=5368709120\n",
		    "sys/fs/cgroup/user/job/memory.current=1073741824\n" },
		  2 * GIB },
		/* A parent's limit binds. */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=max\n", "sys/fs/cgroup/user/job/memory.current=0\n",
		    "sys/fs/cgroup/user/memory.max=3221225472\n", "sys/fs/cgroup/user/memory.current=1073741824\n" },
		  GIB },
		/* Page cache that nobody uses is no use of memory. */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=5368709120\n",
		    "sys/fs/cgroup/user/job/memory.current=5368709120\n",
		    "sys/fs/cgroup/user/job/memory.stat=anon 5\nfile 4294967296\ninactive_file 4294967296\n" },
		  2 * GIB },
		/* Over its limit, as a group whose limit was lowered is. */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=1\n", "sys/fs/cgroup/user/job/memory.current=1073741824\n" },
		  TFS_MEMORY_MIN },
		/* Version 1. */
		{ { MEMINFO, "proc/self/cgroup=5:cpu,cpuacct:/x\n3:memory:/docker/1\n",
		    "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes=2147483648\n",
		    "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes=1073741824\n",
		    "sys/fs/cgroup/memory/docker/1/memory.stat=inactive_file 1\ntotal_inactive_file 536870912\n" },
		  768 * MIB },
		/* Nonsense. */
		{ { MEMINFO, "proc/self/cgroup=\n:\n::\nno colon\n0::relative\n" }, 8 * GIB },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++)
		check(rows[i].files, tfs_memory_default, rows[i].want);
	assert_true(tfs_memory_default() >= TFS_MEMORY_MIN); /* the real one */
}

static void test_limit(void **state)
{
	static const struct {
		const char *files[8];
		uint64_t want;
	} rows[] = {
		{ { MEMINFO }, UINT64_MAX },
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=max\n" }, UINT64_MAX },
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=1073741824\n" }, 896 * MIB },
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=2147483648\n",
		    "sys/fs/cgroup/user/job/memory.high=1073741824\n" },
		  896 * MIB },
		/* The lowest, also of a parent; how much is used doesn't matter. */
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=8589934592\n", "sys/fs/cgroup/user/memory.max=2147483648\n",
		    "sys/fs/cgroup/user/memory.current=2147483648\n" },
		  1792 * MIB },
		{ { MEMINFO, V2, "sys/fs/cgroup/user/job/memory.max=4096\n" }, TFS_MEMORY_MIN },
		/* Inside a container its group is the root. */
		{ { MEMINFO, "proc/self/cgroup=0::/\n", "sys/fs/cgroup/memory.max=1073741824\n" }, 896 * MIB },
		/* Version 1, and what it has where there is no limit. */
		{ { MEMINFO, "proc/self/cgroup=3:memory:/docker/1\n",
		    "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes=2147483648\n" },
		  1792 * MIB },
		{ { MEMINFO, "proc/self/cgroup=3:memory:/docker/1\n",
		    "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes=9223372036854771712\n" },
		  UINT64_MAX },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++)
		check(rows[i].files, tfs_memory_limit, rows[i].want);
}

static uint64_t is_short(void)
{
	return tfs_memory_is_short();
}

static void test_short(void **state)
{
	static const struct {
		const char *files[8];
		uint64_t want;
	} rows[] = {
		{ { "proc/meminfo=MemTotal: 1000000 kB\nMemAvailable: 300000 kB\n" }, false },
		{ { "proc/meminfo=MemTotal: 1000000 kB\nMemAvailable: 200000 kB\n" }, true },
		{ { "x=" }, true },
		{ { "proc/meminfo=MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n", V2,
		    "sys/fs/cgroup/user/memory.max=1073741824\n", "sys/fs/cgroup/user/memory.current=536870912\n" },
		  false },
		{ { "proc/meminfo=MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n", V2,
		    "sys/fs/cgroup/user/memory.max=1073741824\n", "sys/fs/cgroup/user/memory.current=900000000\n" },
		  true },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++)
		check(rows[i].files, is_short, rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_default), cmocka_unit_test(test_limit),
					    cmocka_unit_test(test_short) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
