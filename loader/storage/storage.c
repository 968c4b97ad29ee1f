/* SPDX-License-Identifier: MIT */
#include "storage/storage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mask.h"

#include "base/cleanup.h"

/* --- Windows --------------------------------------------------------------------------------------------------------- */

static int read_window(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	struct tfs_error wrong = { .offset = TFS_NO_OFFSET };
	int r;

	if (offset > in->size || len > in->size - offset)
		return tfs_error_set(err, -EIO, in->size, "the file ends here: it was truncated while being read");
	r = in->outer->ops->read_at(in->outer, buf, len, in->base + offset, ahead, &wrong);
	if (!r)
		return 0;
	return tfs_error_set(err, r, wrong.offset == TFS_NO_OFFSET ? wrong.offset : wrong.offset - in->base, "%s", wrong.what);
}

static void want_window(const struct tfs_input *in, const struct tfs_input_range *ranges, size_t n)
{
	enum { AT_ONCE = 64 };
	struct tfs_input_range outer[AT_ONCE];

	for (size_t i = 0; i < n; i++) {
		outer[i % AT_ONCE] = (struct tfs_input_range){ in->base + ranges[i].offset, ranges[i].len };
		if (i + 1 == n || (i + 1) % AT_ONCE == 0)
			tfs_input_want(in->outer, outer, i % AT_ONCE + 1);
	}
}

static void close_window(struct tfs_input *in)
{
	(void)in;
}

static const struct tfs_input_ops window_ops = { .read_at = read_window, .want = want_window, .close = close_window };

struct tfs_input tfs_input_window(const struct tfs_input *outer, uint64_t base, uint64_t size)
{
	assert(base <= outer->size && size <= outer->size - base);
	return (struct tfs_input){
		.ops = &window_ops,
		.size = size,
		.fd = -1,
		.outer = outer,
		.base = base,
		.share = outer->share,
	};
}

/* --- Kinds ----------------------------------------------------------------------------------------------------------- */

/* By prefix of the path, in upper or lower case as schemes may be (RFC 3986 3.1); the first match is used. */
static const struct kind {
	const char *prefix;
	int (*open)(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err);
} kinds[] = {
	{ "hf://", tfs_storage_open_remote },	{ "s3://", tfs_storage_open_remote }, { "https://", tfs_storage_open_remote },
	{ "http://", tfs_storage_open_remote }, { "@", tfs_storage_open_url_file },   { "", tfs_storage_open_local },
};

static int open_unknown(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	int len = (int)tfs_url_scheme(path);

	(void)ret_storage;
	(void)ret_file;
	if (!strncasecmp(path, "file:", 5))
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "a local model is given by its path, without file://");
	return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET,
			     "%.*s:// isn't supported: a model is a local path, or a URL with hf://, s3://, https:// or http://",
			     len, path);
}

static const struct kind unknown = { "scheme://", open_unknown };

static const struct kind *kind_of(const char *path)
{
	const struct kind *k = kinds;

	while (strncasecmp(path, k->prefix, strlen(k->prefix)) != 0)
		k++;
	/* A path may look like a URL, if there is such a directory. */
	return !*k->prefix && tfs_url_scheme(path) && access(path, F_OK) ? &unknown : k;
}

bool tfs_storage_is_remote(const char *path)
{
	return *kind_of(path)->prefix;
}

/* What was opened ahead. */
static struct {
	char *path;
	struct tfs_storage *storage;
	const char *file; /* points into path */
} ahead;

int tfs_storage_open_ahead(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	int r;

	free(ahead.path);
	tfs_storage_destroy(tfs_steal(ahead.storage));
	ahead.path = strdup(path);
	r = ahead.path ? tfs_storage_open(ahead.path, &ahead.storage, &ahead.file, err) :
			 tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	if (r)
		free(tfs_steal(ahead.path));
	*ret_storage = r ? NULL : ahead.storage;
	*ret_file = r ? NULL : ahead.file;
	return r;
}

int tfs_storage_open(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	if (ahead.storage && !strcmp(path, ahead.path)) {
		*ret_storage = tfs_steal(ahead.storage);
		*ret_file = ahead.file ? path + (ahead.file - ahead.path) : NULL;
		return 0;
	}
	return kind_of(path)->open(path, ret_storage, ret_file, err);
}

bool tfs_storage_is_dir(const char *path)
{
	struct stat st;

	if (ahead.path && !strcmp(path, ahead.path))
		return !ahead.file;
	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

void tfs_storage_destroy(struct tfs_storage *s)
{
	if (s)
		s->ops->destroy(s);
}
