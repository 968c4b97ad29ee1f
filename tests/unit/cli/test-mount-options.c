/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "support/helpers.h"

#include <getopt.h>
#include <limits.h>

#include "fs/cli/mount-options.h"
#include "fs/tree/views.h"

#define GIB ((uint64_t)1 << 30)

/* Parse "tensorfs ARGS", words divided by blanks. */
static enum tfs_parsed parse(const char *args, struct tfs_options *o)
{
	static char copy[500];
	char *argv[32] = { (char *)"tensorfs" }, *save;
	int argc = 1;

	snprintf(copy, sizeof copy, "%s", args);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	optind = 0; /* getopt starts anew */
	return tfs_options_parse(argc, argv, NULL, o);
}

static void test_usage(void **state)
{
	static const char *const bad[] = {
		"",
		"m",
		"m /mnt more",
		"--nonsense m /mnt",
		"-x m /mnt",
		"--memory",
		"--memory= m /mnt",
		"--memory=1M m /mnt",
		"--memory=63M m /mnt",
		"--memory=-8G m /mnt",
		"--memory=8X m /mnt",
		"--memory=8GG m /mnt",
		"--memory=101% m /mnt",
		"--memory=inf m /mnt",
		"--memory=nan m /mnt",
		"--memory=1e30 m /mnt",
		"--memory=G m /mnt",
		"--open-wait=-1 m /mnt",
		"--open-wait=soon m /mnt",
		"--open-wait=1s m /mnt",
		"--open-wait=inf m /mnt",
		"--threads=0 m /mnt",
		"--threads=65 m /mnt",
		"--threads=1.5 m /mnt",
		"--threads=8-4 m /mnt",
		"--threads=0-4 m /mnt",
		"--threads=4- m /mnt",
		"--threads=-4 m /mnt",
		"--threads= m /mnt",
		"--prefetch=some m /mnt",
		"--engine=on m /mnt",
		"--engine= m /mnt",
		"--passthrough m /mnt",
		"--fuse-uring=yes m /mnt",
		"--debug=1 m /mnt",
		"--views m",
		"--views= m /mnt",
		"--views=tensors,sets m /mnt",
		"-o memory m /mnt",
		"-o memory= m /mnt",
		"-o memory=1M m /mnt",
		"-o ro,threads=0 m /mnt",
		"-o debug=1 m /mnt",
		"-o allow_other=yes m /mnt",
		"-o max_read= m /mnt",
		"-o max_read=4294967296 m /mnt",
		"-t tensorfs m /mnt",
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(bad); i++) {
		struct tfs_options o = { .debug = true };
		if (parse(bad[i], &o) != TFS_PARSED_USAGE)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void test_exit(void **state)
{
	struct tfs_options o;

	(void)state;
	assert_int_equal(parse("--help", &o), TFS_PARSED_EXIT);
	assert_int_equal(parse("-h more words than fit", &o), TFS_PARSED_EXIT);
	assert_int_equal(parse("-V", &o), TFS_PARSED_EXIT);
}

static void test_defaults(void **state)
{
	struct tfs_options o;

	(void)state;
	assert_int_equal(parse("m /mnt", &o), TFS_PARSED_RUN);
	assert_string_equal(o.model_dir, "m");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_false(o.foreground || o.debug || o.allow_other || o.nonempty || o.fake || o.max_read);
	assert_int_equal(o.passthrough, TFS_AUTO);
	assert_int_equal(o.uring, TFS_AUTO);
	assert_int_equal(o.views, TFS_VIEWS_ALL);
	assert_int_equal(o.loader.threads, TFS_THREADS_DEFAULT);
	assert_int_equal(o.loader.threads_min, TFS_THREADS_MIN_DEFAULT);
	assert_int_equal(o.loader.prefetch, TFS_PREFETCH_AUTO);
	assert_true(!o.loader.engine_forced && o.loader.engine == TFS_TIER_URING && o.loader.open_wait == 1 &&
		    o.loader.memory >= TFS_MEMORY_MIN);
	assert_string_equal(o.mount_options, "");
	tfs_options_fini(&o);
}

static void test_values(void **state)
{
	struct tfs_options o;
	static const struct {
		const char *arg;
		uint64_t memory;
	} sizes[] = {
		{ "67108864", 64 << 20 }, { "64M", 64 << 20 }, { "64m", 64 << 20 },	{ "65536K", 64 << 20 }, { "1G", GIB },
		{ "1GB", GIB },		  { "1GiB", GIB },     { "1.5g", GIB * 3 / 2 }, { "2T", 2048 * GIB },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		char line[80];
		snprintf(line, sizeof line, "--memory=%s m /mnt", sizes[i].arg);
		assert_int_equal(parse(line, &o), TFS_PARSED_RUN);
		assert_int_equal(o.loader.memory, sizes[i].memory);
		tfs_options_fini(&o);
	}
	assert_int_equal(
		parse("-f -o allow_other,fsname=x,rw,nosuid --threads 64 --open-wait 0.25 --prefetch=all --engine buffered "
		      "--passthrough=on --views=f32,tree --fuse-uring off -o noexec --memory auto m /mnt",
		      &o),
		TFS_PARSED_RUN);
	assert_true(o.foreground && !o.debug && o.allow_other);
	assert_string_equal(o.mount_options, "fsname=x,rw,noexec");
	assert_int_equal(o.loader.threads, 64);
	assert_true(o.loader.open_wait == 0.25);
	assert_int_equal(o.loader.prefetch, TFS_PREFETCH_ALL);
	assert_true(o.loader.engine_forced && o.loader.engine == TFS_TIER_BUFFERED);
	assert_int_equal(o.passthrough, TFS_ON);
	assert_int_equal(o.uring, TFS_OFF);
	assert_int_equal(o.views, 1 << TFS_VIEW_F32 | 1 << TFS_VIEW_TREE);
	tfs_options_fini(&o);
	assert_int_equal(parse("--threads=16-48 --prefetch=all:tensors m /mnt", &o), TFS_PARSED_RUN);
	assert_true(o.loader.threads_min == 16 && o.loader.threads == 48);
	assert_int_equal(o.loader.prefetch, TFS_PREFETCH_ALL_TENSORS);
	tfs_options_fini(&o);
	assert_int_equal(parse("m /mnt --debug", &o), TFS_PARSED_RUN); /* options may come last */
	assert_true(o.debug && o.foreground);
	tfs_options_fini(&o);
	assert_int_equal(parse("-- -m /mnt", &o), TFS_PARSED_RUN);
	assert_string_equal(o.model_dir, "-m");
	tfs_options_fini(&o);
}

/* What mount(8), mount.fuse3 and systemd pass for a line of fstab, and people write into one. */
static void test_mount_options(void **state)
{
	static const struct {
		const char *list, *passed; /* … on to libfuse */
	} lists[] = {
		{ "defaults", "" },
		{ "rw,dev,suid", "rw" },
		{ "rw,relatime,lazytime,noexec,nosuid,nodev,user,nofail,_netdev", "rw,noexec" },
		{ "ro,noauto,users,user=me,group,owner,comment=a,x-systemd.automount,x-gvfs-hide,X-mount.mkdir", "ro" },
		{ "default_permissions,noatime,strictatime,nodiratime,silent,iversion,,", "" },
		{ "ro,bogus,rw,defaultsx,userx=1", "ro,bogus,rw,defaultsx,userx=1" },
		{ "fsname=a\\,b\\\\c", "fsname=a\\,b\\\\c" },
		{ "fsname=\"a,b\",subtype=\"c\"", "fsname=a\\,b,subtype=c" },
		{ "fsname=a\\054b\\8", "fsname=a\\,b8" },
		{ "fsname=\\", "fsname=\\\\" },
	};
	struct tfs_options o;

	(void)state;
	for (unsigned i = 0; i < LENGTH(lists); i++) {
		char line[200];
		snprintf(line, sizeof line, "m /mnt -o %s", lists[i].list);
		assert_int_equal(parse(line, &o), TFS_PARSED_RUN);
		assert_string_equal(o.mount_options, lists[i].passed);
		assert_false(o.foreground || o.allow_other);
		tfs_options_fini(&o);
	}

	/* All that has a long name. */
	assert_int_equal(
		parse("m /mnt -o memory=64M,prefetch=none,open_wait=2.5,open-wait=3 -o threads=3,engine=threads,passthrough=off,"
		      "fuse_uring=off,prefetch_list=\"a,b\",allow-other,nonempty,foreground,max_read=131072",
		      &o),
		TFS_PARSED_RUN);
	assert_true(o.allow_other && o.nonempty && o.foreground && !o.debug);
	assert_true(o.loader.memory == 64 << 20 && o.loader.prefetch == TFS_PREFETCH_NONE && o.loader.open_wait == 3);
	assert_true(o.loader.threads == 3 && o.loader.engine == TFS_TIER_THREADS && o.passthrough == TFS_OFF && o.uring == TFS_OFF);
	assert_string_equal(o.prefetch_list, "a,b");
	assert_int_equal(o.max_read, 131072);
	assert_string_equal(o.mount_options, "max_read=131072"); /* the kernel has to hear of it, too */
	tfs_options_fini(&o);
	assert_int_equal(parse("-n -s -v m /mnt -nsv", &o), TFS_PARSED_RUN);
	tfs_options_fini(&o);
}

/* Under the name that mount(8) looks for. */
static void test_helper(void **state)
{
	const char *argv[] = { "/sbin/mount.tensorfs", "m",  "/mnt",	   "-s", "-n", "-v", "-o",
			       "rw,memory=64M",	       "-t", "tensorfs.x", "-f", NULL };
	struct tfs_options o;

	(void)state;
	assert_true(tfs_options_helper("mount.tensorfs") && tfs_options_helper("./mount.tensorfs"));
	assert_false(tfs_options_helper("tensorfs") || tfs_options_helper("mount.tensorfs/tensorfs"));
	for (int argc = 3; argc <= 11; argc += argc == 6 || argc == 8 ? 2 : 1) {
		const char *copy[12];
		memcpy(copy, argv, sizeof argv); /* getopt puts operands last */
		optind = 0;
		assert_int_equal(tfs_options_parse(argc, (char **)copy, NULL, &o), TFS_PARSED_RUN);
		assert_string_equal(o.model_dir, "m");
		assert_string_equal(o.mountpoint, "/mnt");
		assert_int_equal(o.fake, argc == 11); /* -f is no word for "foreground" there */
		assert_false(o.foreground);
		if (argc > 8)
			assert_int_equal(o.loader.memory, 64 << 20);
		tfs_options_fini(&o);
	}
	assert_int_equal(parse("-f m /mnt", &o), TFS_PARSED_RUN);
	assert_true(o.foreground && !o.fake);
	tfs_options_fini(&o);
}

/* From two operands to any number, or to three. */
static void test_operands(void **state)
{
	static const struct {
		int max;
		const char *args;
		enum tfs_parsed parsed;
	} rows[] = {
		{ 3, "a", TFS_PARSED_USAGE },	    { 3, "a b", TFS_PARSED_RUN },	{ 3, "a b c", TFS_PARSED_RUN },
		{ 3, "a b c d", TFS_PARSED_USAGE }, { INT_MAX, "a", TFS_PARSED_USAGE }, { INT_MAX, "a b c d e f", TFS_PARSED_RUN },
		{ 3, "-x a b", TFS_PARSED_USAGE },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		struct tfs_command c = {
			.name = "tensorfs x", .operands = "A B [C...]", .min_operands = 2, .max_operands = rows[i].max
		};
		char copy[40], *argv[10] = { (char *)"x" }, *save;
		int argc = 1, first;
		snprintf(copy, sizeof copy, "%s", rows[i].args);
		for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
			argv[argc++] = w;
		optind = 0;
		assert_int_equal(tfs_command_parse(&c, argc, argv, NULL, NULL, &first), rows[i].parsed);
		if (rows[i].parsed == TFS_PARSED_RUN)
			assert_string_equal(argv[first], "a");
		assert_string_equal(tfs_command_word(&c), "x");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operands), cmocka_unit_test(test_usage),	cmocka_unit_test(test_exit),
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_values), cmocka_unit_test(test_mount_options),
		cmocka_unit_test(test_helper),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
