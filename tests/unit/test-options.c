/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "helpers.h"

#include <getopt.h>

#include "../../fs/options.h"
#include "../../fs/views.h"

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
	return tfs_options_parse(argc, argv, o);
}

static void test_usage(void **state)
{
	static const char *const bad[] = {
		"", "m", "m /mnt more", "--nonsense m /mnt", "-x m /mnt", "--memory", "--memory= m /mnt",
		"--memory=1M m /mnt", "--memory=63M m /mnt", "--memory=-8G m /mnt", "--memory=8X m /mnt", "--memory=8GG m /mnt",
		"--memory=101% m /mnt", "--memory=inf m /mnt", "--memory=nan m /mnt", "--memory=1e30 m /mnt", "--memory=G m /mnt",
		"--open-wait=-1 m /mnt", "--open-wait=soon m /mnt", "--open-wait=1s m /mnt", "--open-wait=inf m /mnt",
		"--threads=0 m /mnt", "--threads=65 m /mnt", "--threads=1.5 m /mnt", "--threads= m /mnt",
		"--prefetch=some m /mnt", "--engine=on m /mnt", "--engine= m /mnt", "--passthrough m /mnt",
		"--fuse-uring=yes m /mnt", "-o noexec,suid m /mnt", "-o dev m /mnt", "--debug=1 m /mnt", "--views m", "--views= m /mnt", "--views=tensors,sets m /mnt",
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
	assert_false(o.foreground || o.debug || o.allow_other);
	assert_int_equal(o.passthrough, TFS_AUTO);
	assert_int_equal(o.uring, TFS_AUTO);
	assert_int_equal(o.views, TFS_VIEWS_ALL);
	assert_int_equal(o.loader.threads, TFS_THREADS_DEFAULT);
	assert_int_equal(o.loader.prefetch, TFS_PREFETCH_AUTO);
	assert_true(!o.loader.engine_forced && o.loader.engine == TFS_TIER_URING && o.loader.open_wait == 1 && o.loader.memory >= TFS_MEMORY_MIN);
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
		{ "67108864", 64 << 20 }, { "64M", 64 << 20 }, { "64m", 64 << 20 }, { "65536K", 64 << 20 }, { "1G", GIB }, { "1GB", GIB },
		{ "1GiB", GIB },	  { "1.5g", GIB * 3 / 2 }, { "2T", 2048 * GIB },
	};

	(void)state;
	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		char line[80];
		snprintf(line, sizeof line, "--memory=%s m /mnt", sizes[i].arg);
		assert_int_equal(parse(line, &o), TFS_PARSED_RUN);
		assert_int_equal(o.loader.memory, sizes[i].memory);
		tfs_options_fini(&o);
	}
	assert_int_equal(parse("-f -o allow_other,fsname=x,rw,nosuid --threads 64 --open-wait 0.25 --prefetch=all --engine buffered "
			       "--passthrough=on --views=f32,tree --fuse-uring off -o noexec --memory auto m /mnt",
			       &o),
			 TFS_PARSED_RUN);
	assert_true(o.foreground && !o.debug && o.allow_other);
	assert_string_equal(o.mount_options, "fsname=x,noexec");
	assert_int_equal(o.loader.threads, 64);
	assert_true(o.loader.open_wait == 0.25);
	assert_int_equal(o.loader.prefetch, TFS_PREFETCH_ALL);
	assert_true(o.loader.engine_forced && o.loader.engine == TFS_TIER_BUFFERED);
	assert_int_equal(o.passthrough, TFS_ON);
	assert_int_equal(o.uring, TFS_OFF);
	assert_int_equal(o.views, 1 << TFS_VIEW_F32 | 1 << TFS_VIEW_TREE);
	tfs_options_fini(&o);
	assert_int_equal(parse("m /mnt --debug", &o), TFS_PARSED_RUN); /* options may come last */
	assert_true(o.debug && o.foreground);
	tfs_options_fini(&o);
	assert_int_equal(parse("-- -m /mnt", &o), TFS_PARSED_RUN);
	assert_string_equal(o.model_dir, "-m");
	tfs_options_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
