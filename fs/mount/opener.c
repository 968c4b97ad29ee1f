/* SPDX-License-Identifier: MIT */
#include "mount/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "model/inside.h"
#include "mount/sandbox.h"

enum { LOOK, READ_LINK, STEP, OPEN, PAGES };

/* --- The helper -------------------------------------------------------------------------------------------------------- */

struct opener {
	struct tfs_storage storage; /* opened by us: what may be opened is asked nobody else */
	struct tfs_inside inside;
	enum tfs_follow follow;
	const char *given;
};

/* Does @path lead downwards, apart from links? */
static bool is_downwards(const char *path)
{
	if (*path == '/' || !*path)
		return false;
	for (const char *s = path; s; s = strchr(s, '/')) {
		s += *s == '/';
		if (!strncmp(s, "..", 2) && (!s[2] || s[2] == '/'))
			return false;
	}
	return true;
}

static int look(int at, const char *path, int flags, struct tfs_message *ret)
{
	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (fstatat(at, path, &ret->data.st, flags))
		return -errno;
	ret->len = sizeof ret->data.st;
	return 0;
}

static int read_link(int at, const char *name, struct tfs_message *ret)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(at, name, target, sizeof target);

	if (len < 0)
		return -errno;
	memcpy(ret->data.text, target, (size_t)len);
	ret->len = (uint32_t)len;
	return 0;
}

static int step(int at, const char *name, int *ret_fd)
{
	*ret_fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static bool is_wanted(const struct stat *st, int flags)
{
	return flags & O_DIRECTORY ? S_ISDIR(st->st_mode) : S_ISREG(st->st_mode);
}

/* May links have led to what was found at @path? */
static bool is_allowed(const struct opener *o, const char *path, const struct stat *found)
{
	struct tfs_dirent e;

	if (o->follow == TFS_FOLLOW_ALL || (o->given && !strcmp(path, o->given)))
		return true;
	return !tfs_inside_look(&o->inside, &o->storage, o->storage.fd, path, &e) && e.id.dev == found->st_dev &&
	       e.id.ino == found->st_ino;
}

static int open_below(const struct opener *o, const char *path, int flags, int *ret_fd)
{
	const int root = o->storage.fd;
	struct stat st;

	if (flags & ~(O_DIRECT | O_DIRECTORY | O_PATH) || (flags & O_PATH && !(flags & O_DIRECTORY)) || !is_downwards(path))
		return -EPERM;
	/* Before it is opened, as opening a FIFO or a device has side effects; and after, as it may have been replaced. */
	if (fstatat(root, path, &st, 0))
		return -errno;
	if (!is_wanted(&st, flags) || !is_allowed(o, path, &st))
		return -EPERM;
	cleanup_fd int fd = openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!is_wanted(&st, flags) || !is_allowed(o, path, &st))
		return -EPERM;
	*ret_fd = tfs_steal_fd(&fd);
	return 0;
}

static int pages(int fd, const struct tfs_message *m, struct tfs_message *ret)
{
	const uint64_t offset = m->data.pages.offset;
	const unsigned n = m->data.pages.n;
	int flags = fcntl(fd, F_GETFL);

	if (m->len != sizeof m->data.pages || flags < 0 || flags & O_PATH || offset > INT64_MAX || !n || n > TFS_FILE_PAGES)
		return -EINVAL;
	ret->len = sizeof ret->data.map;
	return tfs_file_pages(fd, offset, n, ret->data.map);
}

static void answer(int socket, const struct opener *o, struct tfs_message *m, int at)
{
	const char *path = tfs_message_path(m);
	struct tfs_message a = { .len = 0 };
	cleanup_fd int fd = -1;

	if (m->what == PAGES)
		a.what = pages(at, m, &a);
	else if (!path)
		a.what = -EINVAL;
	else if (m->what == OPEN)
		a.what = open_below(o, path, m->flags, &fd);
	else if (at < 0)
		a.what = -EBADF;
	else if (m->what == LOOK)
		a.what = look(at, path, m->flags, &a);
	else if (m->what == READ_LINK)
		a.what = read_link(at, path, &a);
	else
		a.what = m->what == STEP ? step(at, path, &fd) : -EINVAL;
	tfs_helper_answer(socket, &a, fd);
}

static void serve(int socket, void *arg)
{
	struct opener *o = arg;
	struct tfs_message m;
	int fds[TFS_HELPER_FDS];
	unsigned n;

	tfs_helper_quiet();
	/* As far as this kernel can: it has been given a right, and needs no other. */
	tfs_keep_caps(TFS_CAP(CAP_DAC_READ_SEARCH), 0);
	tfs_fence_read_only();
	tfs_filter(TFS_FILTER_OPENER);
	tfs_inside_init(&o->inside, &o->storage);
	while (tfs_helper_next(socket, &m, fds, 1, &n)) {
		answer(socket, o, &m, n ? fds[0] : -1);
		if (n)
			close(fds[0]);
	}
}

/* --- The daemon -------------------------------------------------------------------------------------------------------- */

static int ask(void *arg, int what, int at, const char *path, int flags, struct tfs_message *m, int *ret_fd)
{
	memset(m, 0, offsetof(struct tfs_message, data));
	m->what = what;
	m->flags = flags;
	int r = tfs_message_text(m, path);

	r = r ? r : tfs_helper_ask(arg, m, at, ret_fd);
	return r == -EPIPE ? -EIO : r; /* that it has ended was logged: see ending.h */
}

static int ask_look(void *arg, int at, const char *path, int flags, struct stat *ret)
{
	struct tfs_message m;
	int r = ask(arg, LOOK, at, path, flags, &m, NULL);

	if (!r && m.len != sizeof *ret)
		return -EPROTO;
	if (!r)
		*ret = m.data.st;
	return r;
}

static ssize_t ask_read_link(void *arg, int at, const char *name, char *buf, size_t size)
{
	struct tfs_message m;
	int r = ask(arg, READ_LINK, at, name, 0, &m, NULL);

	if (r)
		return r;
	size = m.len < size ? m.len : size;
	memcpy(buf, m.data.text, size);
	return (ssize_t)size;
}

/* For a descriptor. */
static int ask_for(void *arg, int what, int at, const char *path, int flags)
{
	struct tfs_message m;
	int fd, r = ask(arg, what, at, path, flags, &m, &fd);

	if (!r && fd < 0)
		return -EPROTO;
	return r ? r : fd;
}

static int ask_step(void *arg, int at, const char *name)
{
	return ask_for(arg, STEP, at, name, 0);
}

static int ask_open(void *arg, const char *path, int flags)
{
	return ask_for(arg, OPEN, -1, path, flags);
}

int tfs_opener_pages(void *helper, int fd, uint64_t offset, unsigned n, uint8_t ret_map[TFS_FILE_MAP])
{
	struct tfs_message m = { .what = PAGES, .len = sizeof m.data.pages, .data.pages = { offset, n } };
	int r = tfs_helper_ask_soon(helper, &m, fd);

	if (!r && m.len != sizeof m.data.map)
		return -EPROTO;
	if (!r)
		memcpy(ret_map, m.data.map, sizeof m.data.map);
	return r;
}

int tfs_opener_start(struct tfs_helper *h, int root, enum tfs_follow follow, const char *given, struct tfs_opener *ret_ask)
{
	struct opener o = { .storage.fd = root, .follow = follow, .given = given };
	const int kept[] = { root, -1 };

	*ret_ask = (struct tfs_opener){
		.look = ask_look, .read_link = ask_read_link, .step = ask_step, .open = ask_open, .arg = h
	};
	return tfs_helper_start(h, "opener", kept, serve, &o);
}
