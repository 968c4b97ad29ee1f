/* SPDX-License-Identifier: MIT */
#include "remote/table.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "remote/listing.h"

/* Files that are larger don't exist, and sums of sizes stay far from the limits of off_t. */
#define SIZE_MOST ((uint64_t)1 << 56)

static int refuse(struct tfs_error *err, uint64_t at, const char *what)
{
	return tfs_error_set(err, -EPROTO, at, "table of remote files: %s", what);
}

/* Does a string of at most TFS_TABLE_MAX_STRING bytes begin at @at? */
static bool is_string(const struct tfs_remote_table *t, uint32_t at)
{
	size_t left;

	if (at < sizeof(struct tfs_fetch_table) || at >= t->size)
		return false;
	left = t->size - at;
	return memchr(t->bytes + at, 0, left <= TFS_TABLE_MAX_STRING ? left : TFS_TABLE_MAX_STRING + 1);
}

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* Printable, as it gets into logs, into the table of mounts and into names. */
static bool is_shown(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool is_version(uint32_t kind, const char *version)
{
	switch (kind) {
	case TFS_FETCH_SHA256:
		return is_hex(version, 64);
	case TFS_FETCH_GIT_SHA1:
		return is_hex(version, 40);
	case TFS_FETCH_ETAG:
	case TFS_FETCH_MODIFIED:
		return *version && is_shown(version);
	case TFS_FETCH_NO_VERSION:
		return !*version;
	default:
		return false;
	}
}

static int check_node(const struct tfs_remote_table *t, const struct tfs_fetch_node *n, struct tfs_error *err)
{
	uint64_t at = (uint64_t)((const char *)n - t->bytes);

	if (!is_string(t, n->path) || !is_string(t, n->version) || (n->extra && !is_string(t, n->extra)))
		return refuse(err, at, "a string outside of it, or too long");
	if (!tfs_remote_path_is_good(tfs_remote_table_string(t, n->path)))
		return refuse(err, at, "a path that isn't a relative one");
	if (!is_version(n->kind, tfs_remote_table_string(t, n->version)))
		return refuse(err, at, "a version that isn't of its kind");
	return n->size > SIZE_MOST ? refuse(err, at, "a file too large") : 0;
}

static int check(struct tfs_remote_table *t, struct tfs_error *err)
{
	const struct tfs_fetch_table *h = (const void *)t->bytes;

	if (t->size < sizeof *h || h->magic != TFS_FETCH_MAGIC || h->version != TFS_FETCH_VERSION || h->size != t->size)
		return refuse(err, 0, "isn't one, or of another version");
	if (h->nodes % 8 || h->nodes < sizeof *h || h->nodes > t->size || h->n_nodes > (t->size - h->nodes) / sizeof *t->nodes)
		return refuse(err, offsetof(struct tfs_fetch_table, nodes), "more files than it has room for");
	if (!is_string(t, h->origin) || !is_string(t, h->revision) || !is_string(t, h->display) || !is_string(t, h->file) ||
	    !is_string(t, h->authority))
		return refuse(err, offsetof(struct tfs_fetch_table, origin), "a string outside of it, or too long");
	t->n = h->n_nodes;
	t->nodes = (const void *)(t->bytes + h->nodes);
	t->origin = tfs_remote_table_string(t, h->origin);
	t->revision = tfs_remote_table_string(t, h->revision);
	t->display = tfs_remote_table_string(t, h->display);
	t->file = tfs_remote_table_string(t, h->file);
	t->authority = tfs_remote_table_string(t, h->authority);
	if (!*t->origin || !*t->display || !is_shown(t->origin) || !is_shown(t->revision) || !is_shown(t->display) ||
	    !is_shown(t->authority) || (*t->file && !tfs_remote_path_is_good(t->file)))
		return refuse(err, offsetof(struct tfs_fetch_table, origin), "names that can't be shown");
	for (uint32_t i = 0; i < t->n; i++) {
		int r = check_node(t, &t->nodes[i], err);

		if (r)
			return r;
	}
	return 0;
}

int tfs_remote_table_take(char *bytes, size_t size, struct tfs_remote_table *ret_table, struct tfs_error *err)
{
	struct tfs_remote_table t = { .bytes = bytes, .size = size };
	int r = check(&t, err);

	if (r)
		free(bytes);
	else
		*ret_table = t;
	return r;
}

int tfs_remote_table_read(int fd, size_t max, struct tfs_remote_table *ret_table, struct tfs_error *err)
{
	cleanup_free char *bytes = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "table of remote files: %s", strerror(errno));
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return tfs_error_set(err, -EFBIG, TFS_NO_OFFSET, "table of remote files: %" PRId64 " bytes, more than %zu",
				     (int64_t)st.st_size, max);
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for the table of remote files");
	r = tfs_file_read(fd, bytes, (size_t)st.st_size, 0, err);
	return r ? r : tfs_remote_table_take(tfs_steal(bytes), (size_t)st.st_size, ret_table, err);
}

void tfs_remote_table_fini(struct tfs_remote_table *t)
{
	free(t->bytes);
	*t = (struct tfs_remote_table){ 0 };
}
