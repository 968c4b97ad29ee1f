/* SPDX-License-Identifier: MIT */
/* Models of a few kilobytes, each opened, shown and closed again and again while one call after the other fails. */
#ifndef TEST_SEEDS_H
#define TEST_SEEDS_H

#include "support/fixture.h"
#include "support/shown.h"

/* All of the first thousand, or each so many-th, and then fewer: what comes later is mostly the same again. */
enum { ALL = 1000, STEP = 7 };

static long each = 1;

static inline long after(long n)
{
	return n + (n < ALL ? each : each * STEP);
}

static struct shown right;

/* Open, show and close @path, with each call of that kind failing once. The number that were tried; @right is what it shows. */
static inline unsigned long try_path(const char *path, enum inject_kind kind, unsigned way)
{
	static struct shown got;
	unsigned long tried = 0;
	const char *failed;

	show(path, &right);
	for (long n = 1;; n = after(n)) {
		const unsigned open_before = inject_open_files();
		const long mapped_before = inject.mapped;

		inject_begin(kind, way, n);
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

static inline size_t read_seed(const char *folder, const char *name, uint8_t *buf, size_t size)
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
static inline void put_beside(const char *dir, const char *folder, const char *seed, const struct beside *b)
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

static inline unsigned long try_seed(const struct seeds *s, const char *seed, enum inject_kind kind, unsigned way)
{
	static uint8_t bytes[1 << 16];
	char *dir = make_tree();
	size_t len = read_seed(s->folder, seed, bytes, sizeof bytes);

	put_file(dir, s->zip && len && *bytes == 'P' ? s->zip : s->name, bytes, len);
	for (size_t i = 0; i < LENGTH(s->beside) && s->beside[i].name; i++)
		put_beside(dir, s->folder, strcmp(s->beside[i].seed ? s->beside[i].seed : "", ".") ? s->beside[i].seed : seed,
			   &s->beside[i]);
	unsigned long tried = try_path(dir, kind, way);
	remove_tree(dir);
	return tried;
}

/* All of them, with each call failing once. */
static inline void try_seeds(const struct seeds *s, enum inject_kind kind, unsigned way)
{
	unsigned long tried = 0, files = 0, sound = 0, shown = 0;
	char path[4096];
	struct dirent *e;

	snprintf(path, sizeof path, "%s/%s", seeds_dir, s->folder);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			tried += try_seed(s, e->d_name, kind, way);
			files++;
			sound += !right.r;
			shown += right.n;
		}
	closedir(d);
	assert_true(tried > 0);
	print_message("%s: %lu files, %lu of them sound, which show %lu, %lu calls\n", s->folder, files, sound, shown, tried);
}

#endif
