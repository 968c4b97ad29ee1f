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

#include "base/array.h"
#include "base/cleanup.h"
#include "remote/protocol.h"

/* --- Listing -------------------------------------------------------------------------------------------------------- */

bool tfs_path_is_good(const char *path)
{
	if (!*path || strlen(path) > TFS_PATH_LENGTH)
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!n || n > TFS_NAME_LENGTH || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
		if (!*path++)
			return true;
	}
}

static void free_listed(struct tfs_listed *f)
{
	free(f->path);
	free(f->version);
	free(f->extra);
}

int tfs_listing_add(struct tfs_listing *l, const struct tfs_listed *file)
{
	struct tfs_listed *to;

	if (l->n == TFS_LISTING_MAX_FILES)
		return -EFBIG;
	if (tfs_array_room(l->files, l->n, l->room))
		return -ENOMEM;
	to = &l->files[l->n];
	*to = *file;
	to->path = strdup(file->path);
	to->version = file->version ? strdup(file->version) : NULL;
	to->extra = file->extra ? strdup(file->extra) : NULL;
	if (!to->path || (file->version && !to->version) || (file->extra && !to->extra)) {
		free_listed(to);
		return -ENOMEM;
	}
	l->n++;
	return 0;
}

void tfs_listing_fini(struct tfs_listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free_listed(&l->files[i]);
	free(l->files);
	free(l->origin);
	free(l->revision);
	free(l->display);
	free(l->file);
	free(l->authority);
	*l = (struct tfs_listing){ 0 };
}

/* By path, a '/' before all other bytes: what is in a directory follows its name at once. */
static int compare(const void *a, const void *b)
{
	const unsigned char *s = (const unsigned char *)((const struct tfs_listed *)a)->path;
	const unsigned char *t = (const unsigned char *)((const struct tfs_listed *)b)->path;

	for (; *s && *s == *t; s++)
		t++;
	if (*s == *t)
		return 0;
	if (!*s || !*t)
		return *s ? 1 : -1;
	if (*s == '/' || *t == '/')
		return *s == '/' ? -1 : 1;
	return *s < *t ? -1 : 1;
}

static bool is_same(const struct tfs_listed *a, const struct tfs_listed *b)
{
	return a->size == b->size && a->kind == b->kind && !strcmp(a->version ? a->version : "", b->version ? b->version : "");
}

/*
 * Keep the first of those with the same path, and what is in a directory rather than a file of its name. How many are left out, but for
 * those that are the same file, listed twice.
 */
static size_t drop_duplicates(struct tfs_listing *l)
{
	size_t n = 0, all = l->n, left_out = 0;

	for (size_t i = 0; i < all; i++) {
		struct tfs_listed *last = n ? &l->files[n - 1] : NULL;
		size_t len = last ? strlen(last->path) : 0;

		if (last && !strcmp(last->path, l->files[i].path)) {
			left_out += !is_same(last, &l->files[i]);
			free_listed(&l->files[i]);
			continue;
		}
		if (last && !strncmp(last->path, l->files[i].path, len) && l->files[i].path[len] == '/') {
			free_listed(last);
			left_out++;
			n--;
		}
		l->files[n++] = l->files[i];
	}
	l->n = n;
	return left_out;
}

static size_t text_size(const char *s)
{
	return s && *s ? strlen(s) + 1 : 0;
}

/* A copy of @s in the table at *@at, which is moved past it; its position. "": the NUL before the first string. */
static uint32_t put(uint8_t *table, size_t *at, const char *s)
{
	size_t n = text_size(s), here = *at;

	if (!n)
		return sizeof(struct tfs_fetch_table);
	memcpy(table + here, s, n);
	*at += n;
	return (uint32_t)here;
}

static void fill(const struct tfs_listing *l, uint8_t *table, size_t size, size_t nodes, size_t at)
{
	struct tfs_fetch_table t = { .magic = TFS_FETCH_MAGIC, .version = TFS_FETCH_VERSION, .size = size };

	t.n_nodes = (uint32_t)l->n;
	t.nodes = (uint32_t)nodes;
	t.origin = put(table, &at, l->origin);
	t.revision = put(table, &at, l->revision);
	t.display = put(table, &at, l->display);
	t.file = put(table, &at, l->file);
	t.authority = put(table, &at, l->authority);
	memcpy(table, &t, sizeof t);
	for (size_t i = 0; i < l->n; i++) {
		const struct tfs_listed *f = &l->files[i];
		struct tfs_fetch_node node = { .size = f->size, .mtime = f->mtime, .kind = f->kind };

		node.path = put(table, &at, f->path);
		node.version = put(table, &at, f->version);
		node.extra = f->extra && *f->extra ? put(table, &at, f->extra) : 0;
		memcpy(table + nodes + i * sizeof node, &node, sizeof node);
	}
}

int tfs_listing_table(struct tfs_listing *l, int *ret_fd, size_t *ret_left_out)
{
	size_t nodes = sizeof(struct tfs_fetch_table) + 8, strings, size;
	cleanup_fd int fd = -1;
	uint8_t *table;

	qsort(l->files, l->n, sizeof *l->files, compare);
	*ret_left_out = drop_duplicates(l);
	strings = nodes + l->n * sizeof(struct tfs_fetch_node);
	size = strings + text_size(l->origin) + text_size(l->revision) + text_size(l->display) + text_size(l->file) +
	       text_size(l->authority);
	for (size_t i = 0; i < l->n; i++)
		size += text_size(l->files[i].path) + text_size(l->files[i].version) + text_size(l->files[i].extra);
	if (size > TFS_FETCH_MAX_TABLE)
		return -EFBIG;
	fd = memfd_create("tensorfs-tree", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return -errno;
	table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		return -errno;
	fill(l, table, size, nodes, strings);
	munmap(table, size);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return -errno;
	*ret_fd = tfs_steal_fd(&fd);
	return 0;
}

/* --- Tree ----------------------------------------------------------------------------------------------------------- */

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
	if (!tfs_path_is_good(f->path))
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
