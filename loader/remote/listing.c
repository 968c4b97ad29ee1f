/* SPDX-License-Identifier: MIT */
#include "remote/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "remote/protocol.h"

bool tfs_remote_path_is_good(const char *path)
{
	unsigned depth = 0;

	if (strlen(path) > TFS_REMOTE_PATH_LENGTH)
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!n || n > TFS_REMOTE_NAME_LENGTH || ++depth > TFS_REMOTE_PATH_DEPTH || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
		if (!*path++)
			return true;
	}
}

static void free_listed(struct tfs_remote_listed *f)
{
	free(f->path);
	free(f->version);
	free(f->extra);
}

int tfs_remote_listing_add(struct tfs_remote_listing *l, const struct tfs_remote_listed *file)
{
	struct tfs_remote_listed *to;

	if (l->n == TFS_REMOTE_LISTING_MAX)
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

void tfs_remote_listing_fini(struct tfs_remote_listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free_listed(&l->files[i]);
	free(l->files);
	free(l->origin);
	free(l->revision);
	free(l->display);
	free(l->file);
	free(l->authority);
	*l = (struct tfs_remote_listing){ 0 };
}

/* By path, a '/' before all other bytes: what is in a directory follows its name at once. */
static int compare(const void *a, const void *b)
{
	const unsigned char *s = (const unsigned char *)((const struct tfs_remote_listed *)a)->path;
	const unsigned char *t = (const unsigned char *)((const struct tfs_remote_listed *)b)->path;

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

static bool is_same(const struct tfs_remote_listed *a, const struct tfs_remote_listed *b)
{
	return a->size == b->size && a->kind == b->kind && !strcmp(a->version ? a->version : "", b->version ? b->version : "");
}

/*
 * Keep the first of those with the same path, and what is in a directory rather than a file of its name. How many are left out, but for
 * those that are the same file, listed twice.
 */
static size_t drop_duplicates(struct tfs_remote_listing *l)
{
	size_t n = 0, all = l->n, left_out = 0;

	for (size_t i = 0; i < all; i++) {
		struct tfs_remote_listed *last = n ? &l->files[n - 1] : NULL;
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

static void fill(const struct tfs_remote_listing *l, uint8_t *table, size_t size, size_t nodes, size_t at)
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
		const struct tfs_remote_listed *f = &l->files[i];
		struct tfs_fetch_node node = { .size = f->size, .mtime = f->mtime, .kind = f->kind };

		node.path = put(table, &at, f->path);
		node.version = put(table, &at, f->version);
		node.extra = f->extra && *f->extra ? put(table, &at, f->extra) : 0;
		memcpy(table + nodes + i * sizeof node, &node, sizeof node);
	}
}

int tfs_remote_listing_table(struct tfs_remote_listing *l, int *ret_fd, size_t *ret_left_out)
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
