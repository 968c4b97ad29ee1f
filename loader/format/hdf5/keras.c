/* SPDX-License-Identifier: MIT */
/*
 * Keras 3: a zip file with the model's configuration, and its weights in an HDF5 file, or on request in an npz
 * (keras/src/saving/saving_lib.py), which is read where it lies. Names are the paths in there, layers/dense/vars/0: Keras numbers the
 * variables of a layer, and has no names for them. What Keras 2 saved under the same extension may be plain HDF5.
 */
#include "format/format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "format/inner.h"
#include "format/zip.h"
#include "storage/storage.h"

#define EXTENSION ".keras"

static const struct weights {
	const char *member;
	const struct tfs_format *format;
} weights[] = {
	{ "model.weights.h5", &tfs_format_hdf5 },
	{ "model.weights.npz", &tfs_format_npz },
};

static const struct weights *find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
		if (strlen(weights[i].member) == len && !memcmp(weights[i].member, name, len))
			return &weights[i];
	return NULL;
}

static bool is_weights(const char *name, size_t len)
{
	return find(name, len);
}

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has_member(s, is_weights);
}

static int read_member(const struct tfs_input *in, const struct tfs_zip_member *m, const struct weights *w,
		       struct tfs_catalog *catalog, struct tfs_error *err)
{
	if (m->encrypted || m->method != TFS_ZIP_STORED)
		return tfs_error_set(err, -EINVAL, m->offset,
				     "member %s is %s, which isn't read within a zip file: unpack it, and mount it by itself",
				     w->member, m->encrypted ? "encrypted" : "compressed");
	return tfs_inner_read(w->format, in, m->offset, m->size, w->member, "", catalog, err);
}

/* Assets are nobody's weights; and weights that can't be found are missed anyway. */
static int pass_over(void *arg, const struct tfs_zip_member *m, const struct tfs_error *err)
{
	(void)arg, (void)m, (void)err;
	return 0;
}

static int parse_zip(const struct tfs_input *in, struct tfs_catalog *catalog, struct tfs_error *err)
{
	struct tfs_zip *zip = NULL;
	int r = tfs_zip_read(in, pass_over, NULL, &zip, err);

	if (r)
		return r;
	r = tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "has no member %s: it isn't a model that Keras saved", weights[0].member);
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
		const struct tfs_zip_member *m = tfs_zip_find(zip, weights[i].member, strlen(weights[i].member));

		if (!m)
			continue;
		r = read_member(in, m, &weights[i], catalog, err);
		break;
	}
	tfs_zip_destroy(zip);
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	uint8_t start[4] = { 0 };
	int r = tfs_input_read(in, start, in->size < sizeof start ? in->size : sizeof start, 0, err);

	if (r)
		return r;
	return tfs_zip_claims(start) ? parse_zip(in, catalog, err) : tfs_format_hdf5.parse(in, file_name, catalog, err);
}

const struct tfs_format tfs_format_keras = {
	.name = "keras",
	.what = "a Keras model",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.containers = TFS_IN_ZIP,
	.recognises = recognises,
	.parse = parse,
};
