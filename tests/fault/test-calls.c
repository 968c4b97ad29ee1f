/* SPDX-License-Identifier: MIT */
/*
 * Every system call of the scan, the parsers and the loader fails once, in every way that is likely for it: with an errno, with fewer bytes, with
 * none, or late. Each time there are the right bytes, or an error or a warning; nothing is left open or mapped, nobody waits for
 * ever; and the next time all is well.
 */
#include "support/loading.h"
#include "support/seeds.h"
#include "support/small-models.h"

/* --- The scan --------------------------------------------------------------------------------------------------------- */

static void the_scan_of_a_directory(void **state)
{
	char *dir = make_tree();

	(void)state;
	put_sets(dir);
	for (unsigned way = 0; way < INJECT_WAYS; way++)
		print_message("way %u: %lu calls\n", way, try_path(dir, INJECT_CALLS, way));
	remove_tree(dir);
}

/* The first way, of each call, and the next three, which are all that most calls have, of each ninth. */
static void the_scan_of_each_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(all_seeds); i++)
		for (unsigned way = 0; way < 4; way++) {
			each = way ? 9 : 1;
			try_seeds(&all_seeds[i], INJECT_CALLS, way);
		}
	each = 1;
}

/* --- The loader -------------------------------------------------------------------------------------------------------- */

/* @only: the one call that fails, NULL: any. */
static void try_loader(const struct loading *g, enum tfs_tier tier, bool resident, const char *only)
{
	const struct tfs_loader_options o = {
		.memory = 64 * MIB, .open_wait = 3600, .threads = 1, .engine = tier, .resident = resident
	};
	struct tfs_loader *l;
	struct tfs_error err;
	long tried = 0;

	if (tfs_loader_create(g->m, &o, &l, &err)) {
		print_message("SKIP: %s\n", err.what);
		return;
	}
	tfs_loader_stop(l);
	tfs_loader_destroy(l);
	inject.only = only;
	for (unsigned way = 0; way < INJECT_WAYS; way++)
		for (long n = 1; loading_fails(g, &o, INJECT_CALLS, way, n); n++)
			tried++;
	inject.only = NULL;
	print_message("%s, %s backing files: %ld calls of %s\n", tfs_all_engines[tier] ? tfs_all_engines[tier]->name : "uring",
		      resident ? "with" : "without", tried, only ? only : "all");
}

static void the_loader_of_small_ones(void **state)
{
	static const struct spec specs[] = { { "a", 40002 } };
	static const char *const dtypes[] = { "BF16" };
	struct member members[] = { { .name = "m", .rows = 97, .cols = 101, .width = 2, .fortran = true, .deflated = true } };
	struct loading g;
	char *dir = make_tree();

	(void)state;
	put_typed_model(dir, "model.safetensors", specs, dtypes, LENGTH(specs));
	put_npz(dir, "encoded.npz", members, LENGTH(members));
	loading_up(&g, dir);
	loading_thin(&g);
	try_loader(&g, TFS_TIER_URING, true, NULL);
	try_loader(&g, TFS_TIER_BUFFERED, true, "pread");
	try_loader(&g, TFS_TIER_URING, false, "pread");
	try_loader(&g, TFS_TIER_URING, false, "__openat64_2");
	loading_down(&g);
}

/* Of several chunks, by reads that may be short. */
static void the_loader_of_large_ones(void **state)
{
	static const struct spec specs[] = { { "big", TFS_CHUNK + 8 * 1003 } };
	static const char *const dtypes[] = { "C64" };
	struct loading g;
	char *dir = make_tree();

	(void)state;
	put_typed_model(dir, "model.safetensors", specs, dtypes, LENGTH(specs));
	loading_up(&g, dir);
	loading_thin(&g);
	try_loader(&g, TFS_TIER_URING, true, "io_uring_submit");
	try_loader(&g, TFS_TIER_URING, true, "io_uring_wait_cqe");
	try_loader(&g, TFS_TIER_THREADS, true, "pread");
	try_loader(&g, TFS_TIER_THREADS, true, "pwrite");
	try_loader(&g, TFS_TIER_BUFFERED, false, "pread");
	loading_down(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_scan_of_a_directory),
		cmocka_unit_test(the_scan_of_each_format),
		cmocka_unit_test(the_loader_of_small_ones),
		cmocka_unit_test(the_loader_of_large_ones),
	};
	if (argc < 2)
		return 2;
	seeds_dir = argv[1];
	inject_init();
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	tfs_log_to_file(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
