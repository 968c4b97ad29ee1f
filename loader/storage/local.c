/* SPDX-License-Identifier: MIT */
/* Local files: all are opened relative to the descriptor of one directory, which stays the same whatever is mounted over it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "storage/storage.h"

/* --- Reading --------------------------------------------------------------------------------------------------------- */

static int read_at(const struct tfs_input *in, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	(void)ahead;
	return tfs_file_read(in->fd, buf, len, offset, err);
}

static void close_input(struct tfs_input *in)
{
	if (in->fd >= 0)
		close(in->fd);
}

static const struct tfs_input_ops input_ops = { .read_at = read_at, .close = close_input };

struct tfs_input tfs_input_of_fd(int fd, uint64_t size)
{
	return (struct tfs_input){ .ops = &input_ops, .size = size, .fd = fd };
}

/* --- Entries --------------------------------------------------------------------------------------------------------- */

static struct tfs_dirent entry_of(const struct stat *st)
{
	return (struct tfs_dirent){
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.id = { .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim },
	};
}

static int descriptor(const struct tfs_storage *s, int dir)
{
	return dir == TFS_STORAGE_ROOT ? s->fd : dir;
}

int tfs_storage_stat(const struct tfs_storage *s, int at, const char *path, int flags, struct stat *ret)
{
	const struct tfs_opener *o = s->opener;

	if (!fstatat(at, path, ret, flags))
		return 0;
	return errno == EACCES && o ? o->look(o->arg, at, path, flags, ret) : -errno;
}

int tfs_storage_step(const struct tfs_storage *s, int at, const char *name)
{
	const struct tfs_opener *o = s->opener;
	int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == EACCES && o ? o->step(o->arg, at, name) : -errno;
}

/* Open @path, relative to the directory: a descriptor or -errno. */
static int open_at(const struct tfs_storage *s, const char *path, int flags)
{
	const struct tfs_opener *o = s->opener;
	int fd = openat(s->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);

	if (fd >= 0)
		return fd;
	return errno == EACCES && o ? o->open(o->arg, path, flags) : -errno;
}

static int look(const struct tfs_storage *s, int dir, const char *path, bool follow, struct tfs_dirent *ret)
{
	struct stat st;
	int r = tfs_storage_stat(s, descriptor(s, dir), path, AT_EMPTY_PATH | (follow ? 0 : AT_SYMLINK_NOFOLLOW), &st);

	if (!r)
		*ret = entry_of(&st);
	return r;
}

static ssize_t read_link(const struct tfs_storage *s, int dir, const char *name, char *buf, size_t size)
{
	const struct tfs_opener *o = s->opener;
	ssize_t len = readlinkat(descriptor(s, dir), name, buf, size);

	if (len >= 0)
		return len;
	return errno == EACCES && o ? o->read_link(o->arg, descriptor(s, dir), name, buf, size) : -errno;
}

/* Entries that are read at a time, in bytes. */
enum { LIST_SIZE = 32 << 10 };

/* --- Directories ----------------------------------------------------------------------------------------------------- */

static int open_dir(const struct tfs_storage *s, const char *path, bool to_list)
{
	return open_at(s, path, O_DIRECTORY | (to_list ? 0 : O_PATH));
}

static void close_dir(const struct tfs_storage *s, int dir)
{
	(void)s;
	close(dir);
}

/* Not by readdir(3), which asks what @dir is, and on a file system of another user's may not. */
static int list(const struct tfs_storage *s, int dir, tfs_storage_name_fn *name, void *arg)
{
	_Alignas(struct dirent64) char entries[LIST_SIZE];
	const int fd = descriptor(s, dir);
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET)) /* it may have been listed before */
		return -errno;
	while ((n = getdents64(fd, entries, sizeof entries)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(entries + at);
			int r = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ? 0 : name(arg, e->d_name);

			if (r)
				return r;
			at += e->d_reclen;
		}
	return n ? -errno : 0;
}

/* --- Files ----------------------------------------------------------------------------------------------------------- */

/* Is this the regular file that @id describes? */
static int check_entry(const struct tfs_identity *id, const struct stat *st)
{
	struct tfs_dirent e = entry_of(st);

	return S_ISREG(e.mode) && tfs_identity_unchanged(id, &e.id) ? 0 : -ESTALE;
}

static int check_path(const struct tfs_storage *s, const char *path, const struct tfs_identity *id)
{
	struct stat st;

	int r = tfs_storage_stat(s, s->fd, path, 0, &st);

	if (r)
		return r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? -ESTALE : r;
	return check_entry(id, &st);
}

static int open_file(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, int flags, struct tfs_input *ret)
{
	/* Check before opening, as opening a FIFO or a device that replaced the file can block or have side effects. */
	int r = check_path(s, path, id);
	cleanup_fd int fd = -1;
	struct stat st;

	if (r)
		return r;
	fd = open_at(s, path, flags);
	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	r = tfs_storage_stat(s, fd, "", AT_EMPTY_PATH, &st);
	r = r ? r : check_entry(id, &st);
	if (!r)
		*ret = tfs_input_of_fd(tfs_steal_fd(&fd), id->size);
	return r;
}

static int check(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, const struct tfs_input *in)
{
	struct stat st;
	int r = tfs_storage_stat(s, in->fd, "", AT_EMPTY_PATH, &st);

	r = r ? r : check_entry(id, &st);

	/* Also by path, so a file replaced by rename(2) is detected. */
	return r ? r : check_path(s, path, id);
}

/* --- The storage ----------------------------------------------------------------------------------------------------- */

static void destroy(struct tfs_storage *s)
{
	close(s->fd);
	free(s);
}

static const struct tfs_storage_ops ops = {
	.open_dir = open_dir,
	.close_dir = close_dir,
	.list = list,
	.look = look,
	.read_link = read_link,
	.open = open_file,
	.check = check,
	.destroy = destroy,
};

static int open_root(const char *path, struct tfs_storage **ret)
{
	struct tfs_storage *s = malloc(sizeof *s);

	if (!s)
		return -ENOMEM;
	*s = (struct tfs_storage){ .ops = &ops, .fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), .passed_fd = -1 };
	if (s->fd < 0) {
		int r = -errno;

		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int tfs_storage_open_local(const char *path, struct tfs_storage **ret_storage, const char **ret_file, struct tfs_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == path ? 1 : slash ? slash - path : 0;
	char dir[PATH_MAX] = ".";
	bool is_file;
	struct stat st;
	int r = stat(path, &st) ? -errno : 0;

	if (!r && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return tfs_error_set(err, -ENOTDIR, TFS_NO_OFFSET, "is neither a directory nor a regular file");
	is_file = !r && S_ISREG(st.st_mode);
	if (is_file && len >= sizeof dir)
		r = -ENAMETOOLONG;
	else if (is_file && slash)
		snprintf(dir, sizeof dir, "%.*s", (int)len, path);
	if (!r)
		r = open_root(is_file ? dir : path, ret_storage);
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "%s", strerror(-r));
	*ret_file = !is_file ? NULL : slash ? slash + 1 : path;
	return 0;
}
