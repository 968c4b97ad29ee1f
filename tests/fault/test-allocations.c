/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once: of the parsers, the scan, the schemes and the readers of encoded tensors, for a small file of every
 * format; then of the loader. Each time there is an error that says so, or what could be read, with a warning for what couldn't; no
 * wrong byte, nothing left open or mapped (and with LeakSanitizer nothing allocated); and the next time all is well.
 */
#include "support/loading.h"
#include "support/model-helpers.h"
#include "support/seeds.h"
#include "support/small-models.h"

#include "model/config.h"

static void every_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(all_seeds); i++)
		try_seeds(&all_seeds[i], INJECT_ALLOCATIONS, 0);
}

/* --- Directories ------------------------------------------------------------------------------------------------------- */

static void every_directory(void **state)
{
	char *dir = make_tree();

	(void)state;
	put_sets(dir);
	print_message("sets: %lu allocations\n", try_path(dir, INJECT_ALLOCATIONS, 0));
	print_message("one of its files: %lu allocations\n",
		      try_path(in_tree(dir, "model-00001-of-00003.safetensors"), INJECT_ALLOCATIONS, 0));
	remove_tree(dir);
}

/* --- Quantised checkpoints ---------------------------------------------------------------------------------------------- */

static struct warnings put_and_open(const char *dir, const struct quantised *q, struct tfs_model **ret_model)
{
	struct warnings w;

	put_quantised(dir, q);
	*ret_model = open_model(dir, &w);
	return w;
}

static void every_scheme(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(all_quantised); i++) {
		char *dir = make_tree();
		struct tfs_model *m;

		const struct warnings w = put_and_open(dir, &all_quantised[i], &m);
		if (m->sets[0].n_scaled != 1)
			fail_msg("%s: it isn't quantised: %s", all_quantised[i].name, w.text[0]);
		tfs_model_destroy(m);
		print_message("%s: %lu allocations\n", all_quantised[i].name, try_path(dir, INJECT_ALLOCATIONS, 0));
		remove_tree(dir);
	}
}

/* --- A configuration that is changed ------------------------------------------------------------------------------------- */

static int change(char **ret_text)
{
	static const char text[] =
		"{\"quantization_config\":{\"bits\":4},\"model_type\":\"llama\",\"rope_theta\":1e6,\"layers\":[1,2]}";
	json_t *o;
	int r = tfs_config_parse(text, strlen(text), &o);

	if (r)
		return r;
	json_object_del(o, "quantization_config");
	json_object_set_new(o, "dtype", json_string("bfloat16"));
	*ret_text = tfs_config_dump(o);
	json_decref(o);
	return *ret_text ? 0 : -ENOMEM;
}

static void a_configuration(void **state)
{
	char *want = NULL, *got = NULL;
	long n = 0;

	(void)state;
	assert_int_equal(change(&want), 0);
	assert_true(want && strstr(want, "bfloat16"));
	for (const char *failed = ""; failed; n++) {
		inject_begin(INJECT_ALLOCATIONS, 0, n + 1);
		int r = change(&got);
		failed = inject_end();
		assert_int_equal(r, failed ? -ENOMEM : 0);
	}
	assert_string_equal(got, want);
	assert_true(n > 20);
	free(got);
	free(want);
}

/* --- The loader -------------------------------------------------------------------------------------------------------- */

/* With backing files, if there can be any here, and without; by two threads, and by only one. */
static void every_one_of_the_loader(void **state)
{
	static const struct spec specs[] = { { "a", 40002 }, { "b", 3 } };
	static const char *const dtypes[] = { "BF16", "F8_E4M3" };
	struct member members[] = {
		{ .name = "m", .rows = 97, .cols = 101, .width = 2, .fortran = true, .big = true, .deflated = true }
	};
	struct loading g;
	struct tfs_loader *l;
	char *dir = make_tree();

	(void)state;
	put_typed_model(dir, "model.safetensors", specs, dtypes, LENGTH(specs));
	put_npz(dir, "encoded.npz", members, LENGTH(members));
	loading_up(&g, dir);
	for (unsigned i = 0; i < 3; i++) {
		struct tfs_loader_options o = {
			.memory = 64 * MIB,
			.open_wait = 3600,
			.threads = i < 2 ? 2 : 1,
			.engine = i < 2 ? TFS_TIER_URING : TFS_TIER_THREADS,
			.resident = i > 0,
		};
		struct tfs_error err;
		long n = 1, tried = 0;

		if (tfs_loader_create(g.m, &o, &l, &err)) {
			print_message("SKIP: %s\n", err.what);
			continue;
		}
		tfs_loader_stop(l);
		tfs_loader_destroy(l);
		for (; loading_fails(&g, &o, INJECT_ALLOCATIONS, 0, n); n = after(n))
			tried++;
		print_message("a loader with%s backing files, threads: %u: %ld allocations\n", i ? "" : "out", o.threads, tried);
	}
	loading_down(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format),	   cmocka_unit_test(every_directory),	      cmocka_unit_test(every_scheme),
		cmocka_unit_test(a_configuration), cmocka_unit_test(every_one_of_the_loader),
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
