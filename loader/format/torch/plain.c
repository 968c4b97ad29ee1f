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

/* By its first opcodes, of protocols with binary opcodes. */
static bool is_pickle(const uint8_t *start, size_t len)
{
	return tfs_pickle_protocol(start, len) >= 1;
}

#define JOBLIB "joblib.numpy_pickle"

/* The names under which NumPy pickles arrays: numpy.core.multiarray and so on. */
static bool has_arrays(const uint8_t *bytes, size_t len)
{
	static const char *const names[] = { "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric",
					     "numpy._core.numeric", JOBLIB };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (memmem(bytes, len, names[i], strlen(names[i])))
			return true;
	return false;
}

/* The beginning of the file, LOOK_AT bytes or all of it, malloc()ed even if it can't be read. 0 or -errno. */
static int look(const struct tfs_input *in, uint8_t **ret_bytes, size_t *ret_len)
{
	*ret_len = in->size < LOOK_AT ? in->size : LOOK_AT;
	*ret_bytes = malloc(*ret_len + 1); /* it may be empty */
	return *ret_bytes ? tfs_input_read(in, *ret_bytes, *ret_len, 0, NULL) : -ENOMEM;
}

static bool recognises(const struct tfs_sample *s)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t len;

	if (!is_pickle(s->start, s->len))
		return false;
	int r = look(s->in, &bytes, &len);
	return r ? tfs_sample_fails(s, r) : has_arrays(bytes, len);
}

/* In protocol 1 the object that says how large an array is is made in another way, which joblib has never used by itself. Or -errno. */
static int is_odd_joblib(const struct tfs_input *in, const uint8_t *start, size_t n)
{
	cleanup_free uint8_t *bytes = NULL;

	if (tfs_pickle_protocol(start, n) != 1)
		return 0;
	int r = look(in, &bytes, &n);
	return r ? r : memmem(bytes, n, JOBLIB, strlen(JOBLIB)) != NULL;
}

/* What joblib.dump() writes if told to compress: zlib's header (RFC 1950) of each level. */
static bool is_zlib(const uint8_t *start)
{
	return start[0] == 0x78 && ((start[0] << 8) | start[1]) % 31 == 0;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_torch t = { .in = in, .file_name = file_name, .catalog = catalog, .err = err };
	uint8_t start[TFS_SAMPLE_SIZE] = { 0 };
	size_t n = in->size < sizeof start ? in->size : sizeof start;
	void *buf;
	int r = tfs_input_read(in, start, n, 0, err);

	if (r)
		return r;
	if (is_zlib(start))
		return tfs_error_set(err, -EINVAL, 0, "compressed by zlib: load it, and save it with joblib.dump(compress=0)");
	r = is_odd_joblib(in, start, n);
	if (r < 0)
		return tfs_error_set(err, r, 0, "reading its beginning: %s", strerror(-r));
	if (r)
		return tfs_error_set(err, -EINVAL, 0,
				     "a pickle of joblib's of protocol 1: load it, and save it with joblib.dump(protocol=4)");
	if (!is_pickle(start, n))
		return tfs_error_set(err, -EINVAL, 0, "isn't a pickle of protocol 1 to 5");
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
