/* SPDX-License-Identifier: MIT */
/*
 * Pickles that torch didn't write, with NumPy arrays in them: Python's own, scikit-learn's, Paddle's parameters, and joblib's, which have
 * the bytes of arrays between their opcodes. They are read as torch's are: as data. All of a file is one pickle, of which only what isn't
 * the bytes of large arrays is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "format/format.h"
#include "format/torch/impl.h"
#include "storage/storage.h"

/* Where to look for the name of NumPy's module: before the first array, and not everything that is in a pickle. */
enum { LOOK_AT = 1 << 16 };

/* PROTO, of a version with binary opcodes (pickletools.py). */
static bool is_pickle(const uint8_t *start, size_t len)
{
	return len > 2 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5;
}

/* The names under which NumPy pickles arrays: numpy.core.multiarray and so on. */
static bool has_arrays(const uint8_t *bytes, size_t len)
{
	static const char *const names[] = { "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric",
					     "numpy._core.numeric", "joblib.numpy_pickle" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (memmem(bytes, len, names[i], strlen(names[i])))
			return true;
	return false;
}

static bool recognises(const struct tfs_sample *s)
{
	size_t len = s->in->size < LOOK_AT ? s->in->size : LOOK_AT;
	cleanup_free uint8_t *bytes = NULL;

	if (!is_pickle(s->start, s->len))
		return false;
	bytes = malloc(len);
	return bytes && !tfs_input_read(s->in, bytes, len, 0, NULL) && has_arrays(bytes, len);
}

/* What joblib.dump() writes if told to compress: zlib's header (RFC 1950) of each level. */
static bool is_zlib(const uint8_t *start)
{
	return start[0] == 0x78 && ((start[0] << 8) | start[1]) % 31 == 0;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_torch t = { .in = in, .file_name = file_name, .catalog = catalog, .err = err };
	uint8_t start[4] = { 0 };
	void *buf;
	int r = tfs_input_read(in, start, in->size < sizeof start ? in->size : sizeof start, 0, err);

	if (r)
		return r;
	if (is_zlib(start))
		return tfs_error_set(err, -EINVAL, 0, "compressed by zlib: load it, and save it with joblib.dump(compress=0)");
	if (!is_pickle(start, in->size < sizeof start ? in->size : sizeof start))
		return tfs_error_set(err, -EINVAL, 0, "isn't a pickle of protocol 2 to 5");
	/* Values are where they are in the buffer, so it can't move; only what is used of it takes memory, and is charged. */
	buf = mmap(NULL, TFS_PICKLE_MAX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buf == MAP_FAILED)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for a pickle");
	t.pickle = (struct tfs_pickle){ .buf = buf, .in = in, .follow = tfs_torch_follow_joblib, .err = err, .share = in->share };
	r = tfs_pickle_read(&t.pickle);
	if (!r)
		r = tfs_torch_list(&t);
	tfs_pickle_fini(&t.pickle);
	munmap(buf, TFS_PICKLE_MAX_SIZE);
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its arrays");
	return r;
}

const struct tfs_format tfs_format_pickle = {
	.name = "pickle",
	.what = "a Python pickle with NumPy arrays",
	.extensions = (const char *const[]){ ".pdparams", ".joblib", NULL },
	.ambiguous = (const char *const[]){ ".pkl", ".pickle", ".pdopt", NULL },
	.usual = ".pkl",
	.containers = TFS_IN_PICKLE,
	.recognises = recognises,
	.parse = parse,
};
