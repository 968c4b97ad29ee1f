/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "remote/cache-impl.h"
#include "remote/object.h"

static void tree_path(const char *name, char buf[static 2 * TFS_CACHE_NAME])
{
	snprintf(buf, 2 * TFS_CACHE_NAME, "trees/%s", name);
}

int tfs_cache_get_tree(struct tfs_cache *c, const char *name, struct tfs_remote_table *ret_table, bool *ret_doubted)
{
	char path[2 * TFS_CACHE_NAME];
	cleanup_free char *bytes = NULL;
	uint64_t hash;
	struct stat st;

	tree_path(name, path);
	cleanup_fd int fd = openat(c->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)sizeof hash || st.st_size > (off_t)(TFS_FETCH_MAX_TABLE + sizeof hash))
		return -ENOENT;
	size_t size = (size_t)st.st_size - sizeof hash;
	bytes = malloc(size + 1);
	if (!bytes || tfs_file_read(fd, bytes, size, 0, NULL) || tfs_file_read(fd, &hash, sizeof hash, size, NULL) ||
	    hash != tfs_grain_hash(bytes, size))
		return -ENOENT;
	*ret_doubted = !st.st_mtim.tv_sec;
	return tfs_remote_table_take(tfs_steal(bytes), size, ret_table, NULL) ? -ENOENT : 0;
}

/* A new one has another time. */
void tfs_cache_doubt_tree(struct tfs_cache *c, const char *name)
{
	static const struct timespec never[2] = { { 0 }, { 0 } };
	char path[2 * TFS_CACHE_NAME];

	tree_path(name, path);
	if (c->writable && utimensat(c->dir, path, never, AT_SYMLINK_NOFOLLOW))
		tfs_log_debug("%s: %s", path, strerror(errno));
}

/* To a file of our own, and then renamed: a reader has the old one or the new one. After a crash, perhaps neither: then there is none. */
void tfs_cache_put_tree(struct tfs_cache *c, const char *name, const struct tfs_remote_table *t)
{
	char path[2 * TFS_CACHE_NAME], tmp[2 * TFS_CACHE_NAME + 32];
	uint64_t hash = tfs_grain_hash(t->bytes, t->size);

	if (!c->writable)
		return;
	tree_path(name, path);
	snprintf(tmp, sizeof tmp, "trees/.%s.%d", name, (int)getpid());
	cleanup_fd int fd = openat(c->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (write(fd, t->bytes, t->size) != (ssize_t)t->size || write(fd, &hash, sizeof hash) != sizeof hash ||
	    renameat(c->dir, tmp, c->dir, path))
		unlinkat(c->dir, tmp, 0);
}

int tfs_cache_remove_tree(struct tfs_cache *c, const char *name)
{
	char path[2 * TFS_CACHE_NAME];

	tree_path(name, path);
	return unlinkat(c->dir, path, 0) ? -errno : 0;
}

int tfs_cache_trees(struct tfs_cache *c, char (**ret_names)[TFS_CACHE_NAME], size_t *ret_n)
{
	cleanup_free char(*names)[TFS_CACHE_NAME] = NULL;
	cleanup_dir DIR *d = tfs_cache_stream(c->dir, "trees");
	size_t n = 0, room = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || strlen(e->d_name) >= TFS_CACHE_NAME)
			continue;
		if (tfs_array_room(names, n, room))
			return -ENOMEM;
		snprintf(names[n++], TFS_CACHE_NAME, "%s", e->d_name);
	}
	*ret_names = tfs_steal(names);
	*ret_n = n;
	return 0;
}
