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

static int look(const struct tfs_storage *s, int dir, const char *path, bool follow, struct tfs_dirent *ret)
{
	struct stat st;

	if (fstatat(descriptor(s, dir), path, &st, AT_EMPTY_PATH | (follow ? 0 : AT_SYMLINK_NOFOLLOW)))
		return -errno;
	*ret = entry_of(&st);
	return 0;
}

static ssize_t read_link(const struct tfs_storage *s, int dir, const char *name, char *buf, size_t size)
{
	ssize_t len = readlinkat(descriptor(s, dir), name, buf, size);

	return len < 0 ? -errno : len;
}

/* --- Directories ----------------------------------------------------------------------------------------------------- */

static int open_dir(const struct tfs_storage *s, const char *path, bool to_list)
{
	int fd = openat(s->fd, path, (to_list ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void close_dir(const struct tfs_storage *s, int dir)
{
	(void)s;
	close(dir);
}

static inline void close_stream(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int list(const struct tfs_storage *s, int dir, tfs_storage_name_fn *name, void *arg)
{
	__attribute__((cleanup(close_stream))) DIR *d = NULL;
	cleanup_fd int copy = fcntl(descriptor(s, dir), F_DUPFD_CLOEXEC, 0);
	struct dirent *e;

	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return -errno;
	tfs_steal_fd(&copy);
	rewinddir(d); /* the copy shares the position of @dir, which may have been listed before */
	while (errno = 0, (e = readdir(d))) {
		int r = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ? 0 : name(arg, e->d_name);

		if (r)
			return r;
	}
	return -errno;
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

	if (fstatat(s->fd, path, &st, 0))
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
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
	fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	r = fstat(fd, &st) ? -errno : check_entry(id, &st);
	if (!r)
		*ret = tfs_input_of_fd(tfs_steal_fd(&fd), id->size);
	return r;
}

static int check(const struct tfs_storage *s, const char *path, const struct tfs_identity *id, const struct tfs_input *in)
{
	struct stat st;
	int r = fstat(in->fd, &st) ? -errno : check_entry(id, &st);

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
