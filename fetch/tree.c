/* SPDX-License-Identifier: MIT */
#include "fetch/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "remote/listing.h"
#include "remote/protocol.h"

static int bad(struct tfs_error *err, size_t at, const char *what)
{
	return tfs_error_set(err, -EINVAL, at, "the table of files has %s", what);
}

/* The string at @at of the table, or NULL. */
static const char *string_at(const struct tfs_tree *t, uint32_t at)
{
	const char *s = (const char *)t->table + at;

	return at < t->size && memchr(s, 0, t->size - at) ? s : NULL;
}

/* A strong ETag, and nothing that could end the line of a header. */
static bool is_etag(const char *version)
{
	for (const char *c = version; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return *version == '"' && strchr(version + 1, '"');
}

static int read_node(struct tfs_tree *t, struct tfs_file *f, size_t at, enum tfs_where where, struct tfs_error *err)
{
	struct tfs_fetch_node node;

	memcpy(&node, (const uint8_t *)t->table + at, sizeof node);
	f->path = string_at(t, node.path);
	f->version = string_at(t, node.version);
	f->extra = node.extra ? string_at(t, node.extra) : "";
	f->size = node.size;
	f->kind = node.kind;
	f->tree = t;
	f->where = where;
	tfs_list_init(&f->queued);
	tfs_list_init(&f->waiting);
	if (!f->path || !f->version || !f->extra)
		return bad(err, at, "a string that is outside of it");
	if (!tfs_remote_path_is_good(f->path))
		return bad(err, at, "a path that isn't one");
	if (node.kind < TFS_FETCH_SHA256 || node.kind > TFS_FETCH_NO_VERSION)
		return bad(err, at, "a version of an unknown kind");
	if (node.kind == TFS_FETCH_ETAG && !is_etag(f->version))
		return bad(err, at, "an ETag that isn't one");
	return 0;
}

static int read_table(struct tfs_tree *t, enum tfs_where where, struct tfs_error *err)
{
	struct tfs_fetch_table head;
	int r;

	assert(t->table);
	memcpy(&head, t->table, sizeof head);
	if (head.magic != TFS_FETCH_MAGIC || head.version != TFS_FETCH_VERSION || head.size != t->size)
		return bad(err, 0, "another magic, version or size than expected");
	if (head.nodes % 8 || head.nodes > t->size || head.n_nodes > (t->size - head.nodes) / sizeof(struct tfs_fetch_node))
		return bad(err, 0, "more nodes than fit into it");
	t->origin = string_at(t, head.origin);
	t->revision = string_at(t, head.revision);
	t->file = string_at(t, head.file);
	if (!t->origin || !t->revision || !t->file)
		return bad(err, 0, "a string that is outside of it");
	t->files = calloc(head.n_nodes ? head.n_nodes : 1, sizeof *t->files);
	if (!t->files)
		return -ENOMEM;
	for (; t->n_files < head.n_nodes; t->n_files++) {
		r = read_node(t, &t->files[t->n_files], head.nodes + t->n_files * sizeof(struct tfs_fetch_node), where, err);
		if (r)
			return r;
	}
	return 0;
}

/* A copy of the table in @fd: what is checked must not change afterwards, and @fd may be anybody's. */
static int copy_table(struct tfs_tree *t, int fd, struct tfs_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)sizeof(struct tfs_fetch_table) || st.st_size > (off_t)TFS_FETCH_MAX_TABLE)
		return bad(err, 0, "a size that isn't one");
	t->size = (size_t)st.st_size;
	t->table = malloc(t->size);
	if (!t->table)
		return -ENOMEM;
	for (size_t n = 0; n < t->size;) {
		ssize_t got = pread(fd, (uint8_t *)t->table + n, t->size - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : bad(err, n, "an end before its size");
		n += (size_t)got;
	}
	return 0;
}

int tfs_tree_create(int fd, enum tfs_where where, struct tfs_tree **ret, struct tfs_error *err)
{
	struct tfs_tree *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	t->refs = 1;
	r = copy_table(t, fd, err);
	if (!r)
		r = read_table(t, where, err);
	if (r)
		tfs_tree_unref(t);
	else
		*ret = t;
	return r;
}

struct tfs_tree *tfs_tree_ref(struct tfs_tree *t)
{
	t->refs++;
	return t;
}

void tfs_tree_unref(struct tfs_tree *t)
{
	if (!t || --t->refs)
		return;
	for (uint32_t i = 0; i < t->n_files; i++)
		tfs_url_fini(&t->files[i].at);
	free(t->files);
	free(t->table);
	free(t);
}
