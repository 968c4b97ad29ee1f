/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once: of the parsers, the scan, the schemes and the readers of encoded tensors, for a small file of every
 * format; then of the loader. Each time there is an error that says so, or what could be read, with a warning for what couldn't; no
 * wrong byte, nothing left open or mapped (and with LeakSanitizer nothing allocated); and the next time all is well.
 */
#include "support/loading.h"
#include "support/model-helpers.h"
#include "support/small-models.h"

#include "model/config.h"

/* All of the first thousand, and then each so many-th: what comes later is mostly the same again. */
enum { ALL = 1000, STEP = 7 };

static long after(long n)
{
	return n + (n < ALL ? 1 : STEP);
}

static struct shown right;

/* Open, show and close @path, with each allocation failing once. The number of allocations that were tried; @right is what it shows. */
static unsigned long try_path(const char *path)
{
	static struct shown got;
	unsigned long tried = 0;
	const char *failed;

	show(path, &right);
	for (long n = 1;; n = after(n)) {
		const unsigned open_before = inject_open_files();
		const long mapped_before = inject.mapped;

		inject_begin(INJECT_ALLOCATIONS, 0, n);
		show(path, &got);
		failed = inject_end();
		if (!failed)
			break;
		tried++;
		check_shown(&got, &right, path, failed, n);
		if (inject_open_files() != open_before || inject.mapped != mapped_before)
			inject_fail_msg("%s: %s fails (%ld): something is left open or mapped", path, failed, n);
	}
	assert_int_equal(got.r, right.r);
	assert_int_equal(got.n, right.n);
	assert_int_equal(got.n_warnings, right.n_warnings);
	assert_memory_equal(got.files, right.files, right.n * sizeof *right.files);
	return tried;
}

/* --- A file of each format --------------------------------------------------------------------------------------------- */

static const char *seeds_dir;

/*
 * FOLDER of that directory: files that are called @name, or @zip if they are zip files, and what is beside them: a file, or those from 0
 * to @n, the digit in place of '#', which is the seed of that name, or itself ("."), or any bytes.
 */
static const struct seeds {
	const char *folder, *name, *zip;
	struct beside {
		const char *name, *seed;
		unsigned n;
	} beside[5];
} all_seeds[] = {
	{ "safetensors", "model.safetensors" },
	{ "gguf", "model.gguf" },
	{ "ggml", "ggml-model.bin" },
	{ "torch", "model.pt", "model.pt" },
	{ "arrays", "model.pkl" },
	{ "npy", "model.npy", "model.npz" },
	{ "onnx", "model.onnx", NULL, { { "weights.data" } } },
	{ "flax", "flax_model.msgpack" },
	{ "hdf5", "model.h5", "model.keras" },
	{ "tensorflow", "variables.index", NULL, { { "variables.data-00000-of-00001" } } },
	{ "ctranslate2", "model.bin" },
	{ "tensorizer", "model.tensors" },
	{ "tflite", "model.tflite" },
	{ "executorch", "model.pte" },
	{ "ort", "model.ort" },
	{ "openvino", "model.xml", NULL, { { "model.bin" } } },
	{ "tfjs",
	  "model.json",
	  NULL,
	  { { "a.bin" }, { "c.bin" }, { "s.bin" }, { "group1-shard#of9.bin", .n = 9 }, { "group2-shard1of9.bin" } } },
	{ "coreml", "model.mlmodel" },
	{ "paddle", "model.pdiparams", NULL, { { "model.pdmodel", "program" } } },
	{ "dcp", ".metadata", NULL, { { "__#_0.distcp", ".", 4 } } },
	{ "archive", "model.tar", "model.zip" },
	{ "index", "model.safetensors.index.json" },
};

static size_t read_seed(const char *folder, const char *name, uint8_t *buf, size_t size)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s/%s", seeds_dir, folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, buf, size);
	assert_true(n >= 0 && (size_t)n < size);
	close(fd);
	return (size_t)n;
}

/* @seed: NULL: any bytes. */
static void put_beside(const char *dir, const char *folder, const char *seed, const struct beside *b)
{
	static uint8_t bytes[1 << 16];
	size_t len = 4096;
	char name[100];

	fill(bytes, 0, len);
	if (seed)
		len = read_seed(folder, seed, bytes, sizeof bytes);
	for (unsigned i = 0; !i || i <= b->n; i++) {
		snprintf(name, sizeof name, "%s", b->name);
		if (strchr(name, '#'))
			*strchr(name, '#') = (char)('0' + i);
		put_file(dir, name, bytes, len);
	}
}

static unsigned long try_seed(const struct seeds *s, const char *seed)
{
	static uint8_t bytes[1 << 16];
	char *dir = make_tree();
	size_t len = read_seed(s->folder, seed, bytes, sizeof bytes);

	put_file(dir, s->zip && len && *bytes == 'P' ? s->zip : s->name, bytes, len);
	for (size_t i = 0; i < LENGTH(s->beside) && s->beside[i].name; i++)
		put_beside(dir, s->folder, strcmp(s->beside[i].seed ? s->beside[i].seed : "", ".") ? s->beside[i].seed : seed,
			   &s->beside[i]);
	unsigned long tried = try_path(dir);
	remove_tree(dir);
	return tried;
}

static void every_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(all_seeds); i++) {
		char path[4096];
		unsigned long tried = 0, files = 0, sound = 0, shown = 0;
		struct dirent *e;

		snprintf(path, sizeof path, "%s/%s", seeds_dir, all_seeds[i].folder);
		DIR *d = opendir(path);
		assert_non_null(d);
		while ((e = readdir(d)))
			if (e->d_name[0] != '.') {
				tried += try_seed(&all_seeds[i], e->d_name);
				files++;
				sound += !right.r;
				shown += right.n;
			}
		closedir(d);
		assert_true(tried > 0);
		print_message("%s: %lu files, %lu of them sound, which show %lu, %lu allocations\n", all_seeds[i].folder, files,
			      sound, shown, tried);
	}
}

/* --- Directories ------------------------------------------------------------------------------------------------------- */

static void every_directory(void **state)
{
	char *dir = make_tree();

	(void)state;
	put_sets(dir);
	print_message("sets: %lu allocations\n", try_path(dir));
	print_message("one of its files: %lu allocations\n", try_path(in_tree(dir, "model-00001-of-00003.safetensors")));
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
		print_message("%s: %lu allocations\n", all_quantised[i].name, try_path(dir));
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
