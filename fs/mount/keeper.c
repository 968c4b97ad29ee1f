/* SPDX-License-Identifier: MIT */
#include "mount/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mount/fs.h"
#include "mount/mountpoint.h"
#include "mount/readahead.h"
#include "mount/sandbox.h"
#include "mount/session.h"

enum { MOUNT, ADOPT, ABORT_FILE, REGISTER, REGISTER_ALL, UNREGISTER, FORGET, READAHEAD, LEAVE_IDLE, UNMOUNT };

/* <sys/mount.h> has these since glibc 2.36; the numbers are the kernel's ABI. */
enum { TREE_CLONE = 1, TREE_CLOEXEC = O_CLOEXEC, MOUNT_READ_ONLY = 1, MOUNT_NOSUID = 2, MOUNT_NODEV = 4, MOUNT_NOEXEC = 8 };

struct mount_attributes {
	uint64_t set, clear, propagation, userns;
};

/* As <linux/fuse.h> has since 6.9. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

/* --- The helper -------------------------------------------------------------------------------------------------------- */

struct keeper {
	struct tfs_fs *fs;
	dev_t store;   /* the private tmpfs; 0: there is none */
	bool others;   /* registers original files, instead */
	int fuse;      /* -1: not mounted yet */
	bool ours;     /* mounted by us, at fs->mountpoint */
	bool by_mount; /* by mount(2): otherwise by fusermount3, which must unmount, too */
	pid_t daemon;
	int readahead; /* the setting's file; -1: not to be changed */
	int abort;     /* the connection's file for that; -1: none */
};

/* What is left to do takes one capability, and five calls. A program that unmounts needs more. */
static void lock_up(const struct keeper *k)
{
	if (k->ours && !k->by_mount)
		return;
	tfs_keep_caps(TFS_CAP(CAP_SYS_ADMIN) | TFS_CAP(CAP_SYS_NICE), 0);
	tfs_filter(TFS_FILTER_KEEPER);
}

static int mount_it(struct keeper *k, const char *source, int *ret_fd)
{
	const int given = tfs_mountpoint_fd(k->fs->mountpoint);

	if (k->others || k->fuse >= 0)
		return -EBUSY;
	if (!source)
		return -EINVAL;
	/* Of a remote model it wasn't known when this process was started. */
	free(k->fs->model_path);
	k->fs->model_path = strdup(source);
	if (!k->fs->model_path)
		return -ENOMEM;
	k->fuse = given >= 0 ? given : tfs_session_mount(k->fs);
	if (k->fuse < 0)
		return -EIO; /* libfuse, or fusermount3, has reported why */
	k->ours = given < 0;
	k->by_mount = tfs_has_cap(CAP_SYS_ADMIN);
	if (k->ours) {
		const dev_t device = tfs_mounted_at(k->fs->mountpoint).device;

		k->readahead = tfs_readahead_open(device);
		k->abort = tfs_mountpoint_abort_file(device);
	}
	*ret_fd = k->fuse;
	return 0;
}

/* @fd through a mount that is nobody else's, in which nothing can be written. A descriptor, -errno. */
static int read_only(int fd)
{
	const struct mount_attributes attributes = { .set = MOUNT_READ_ONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC };
	cleanup_fd int tree = (int)syscall(SYS_open_tree, fd, "", TREE_CLONE | TREE_CLOEXEC | AT_EMPTY_PATH);

	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes))
		return -EOPNOTSUPP;
	return tfs_steal_fd(&tree);
}

static int register_backing(const struct keeper *k, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (k->fuse < 0 || flags < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -EBADF;
	const bool in_store = k->store && st.st_dev == k->store;
	if (!in_store && !k->others)
		return -EACCES;
	/* Who may open a file only with O_PATH can't read it. */
	if (!in_store && (flags & O_PATH || (flags & O_ACCMODE) != O_RDONLY))
		return -EACCES;
	cleanup_fd int other = in_store ? -1 : read_only(fd);
	if (!in_store && other < 0)
		return other;
	struct backing_map map = { .fd = in_store ? fd : other };
	int id = ioctl(k->fuse, BACKING_OPEN, &map);
	return id < 0 ? -errno : id;
}

/* What each of @fds gave. */
static int register_all(const struct keeper *k, const int *fds, unsigned n, struct tfs_message *ret)
{
	for (unsigned i = 0; i < n; i++)
		ret->data.ids[i] = register_backing(k, fds[i]);
	ret->len = n * (uint32_t)sizeof *ret->data.ids;
	return 0;
}

static int unregister(const struct keeper *k, int id)
{
	uint32_t number = (uint32_t)id;

	return ioctl(k->fuse, BACKING_CLOSE, &number) ? -errno : 0;
}

/* Only the daemon's own threads: see tgkill(2) for signal 0. */
static int leave_idle(const struct keeper *k, pid_t tid)
{
	const struct sched_param none = { 0 };

	if (tid <= 0 || (syscall(SYS_tgkill, k->daemon, tid, 0) && errno != EPERM))
		return -ESRCH;
	return sched_setscheduler(tid, SCHED_OTHER, &none) ? -errno : 0;
}

static int set_readahead(struct keeper *k, int kib)
{
	if (k->readahead >= 0)
		tfs_readahead_set(k->readahead, (unsigned)kib);
	if (k->readahead >= 0)
		close(k->readahead);
	k->readahead = -1;
	return 0;
}

/* Otherwise it was unmounted, or aborted. */
static bool is_connected(int fuse)
{
	struct pollfd polled = { .fd = fuse };

	return poll(&polled, 1, 0) >= 0 && !(polled.revents & POLLERR);
}

static int unmount_it(struct keeper *k)
{
	if (k->ours && is_connected(k->fuse)) {
		if (!k->by_mount)
			tfs_mountpoint_clear(k->fs->mountpoint);
		else if (umount2(k->fs->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW))
			return -errno; /* it may be asked again */
	}
	k->ours = false;
	return 0;
}

static int adopt(struct keeper *k, int fd)
{
	struct stat st;

	if (!k->others || k->fuse >= 0)
		return -EBUSY;
	if (fd < 0 || fstat(fd, &st) || !tfs_is_fuse_device(&st))
		return -EBADF;
	k->fuse = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (k->fuse < 0)
		return -errno;
	k->ours = k->by_mount = tfs_mountpoint_fd(k->fs->mountpoint) < 0;
	return 0;
}

static int give_abort_file(const struct keeper *k, int *ret_fd)
{
	*ret_fd = k->abort;
	return k->abort < 0 ? -ENOENT : 0;
}

static void answer(struct keeper *k, int socket, const struct tfs_message *m, const int *fds, unsigned n_fds)
{
	const int fd = n_fds ? fds[0] : -1;
	struct tfs_message a = { .len = 0 };
	int with = -1;

	switch (m->what) {
	case MOUNT:
		a.what = mount_it(k, tfs_message_path(m), &with);
		break;
	case ADOPT:
		a.what = adopt(k, fd);
		break;
	case ABORT_FILE:
		a.what = give_abort_file(k, &with);
		break;
	case REGISTER:
		a.what = register_backing(k, fd);
		break;
	case REGISTER_ALL:
		a.what = register_all(k, fds, n_fds, &a);
		break;
	case UNREGISTER:
		a.what = unregister(k, m->flags);
		break;
	case FORGET:
		unregister(k, m->flags);
		return;
	case READAHEAD:
		a.what = set_readahead(k, m->flags);
		break;
	case LEAVE_IDLE:
		a.what = leave_idle(k, m->flags);
		break;
	case UNMOUNT:
		a.what = unmount_it(k);
		break;
	default:
		a.what = -EINVAL;
	}
	tfs_helper_answer(socket, &a, with);
	if (m->what == MOUNT && !a.what) {
		if (!k->fs->options->foreground)
			tfs_helper_quiet();
		lock_up(k);
	}
}

static void answer_all(struct keeper *k, int socket)
{
	int fds[TFS_HELPER_FDS];
	struct tfs_message m;
	unsigned n;

	while (tfs_helper_next(socket, &m, fds, TFS_HELPER_FDS, &n)) {
		answer(k, socket, &m, fds, n);
		for (unsigned i = 0; i < n; i++)
			close(fds[i]);
	}
}

static void serve(int socket, void *arg)
{
	struct keeper k = { .fs = arg, .fuse = -1, .daemon = getppid(), .readahead = -1, .abort = -1 };
	struct stat st;

	/* It stays open, so that no other file system gets that number. */
	if (k.fs->store && !fstat(tfs_store_dir(k.fs->store), &st))
		k.store = st.st_dev;
	answer_all(&k, socket);
	/*
	 * The daemon has ended, however that was. It isn't the only one that had the connection open, and of the others one may hang. Not if
	 * it was over before: if somebody unmounted it at once, the file may be that of the next mount, which has got its device number.
	 */
	if (k.abort >= 0 && is_connected(k.fuse) && write(k.abort, "1", 1) != 1)
		tfs_log_debug("the connection was over");
}

static void serve_originals(int socket, void *arg)
{
	struct keeper k = { .fs = arg, .fuse = -1, .others = true, .readahead = -1, .abort = -1 };

	tfs_helper_quiet();
	tfs_keep_caps(TFS_CAP(CAP_SYS_ADMIN), 0);
	tfs_filter(TFS_FILTER_KEEPER);
	answer_all(&k, socket);
}

/* --- The daemon -------------------------------------------------------------------------------------------------------- */

static int ask(struct tfs_helper *h, int what, int flags, int fd, int *ret_fd)
{
	struct tfs_message m = { .what = what, .flags = flags };

	return tfs_helper_ask(h, &m, fd, ret_fd);
}

int tfs_keeper_start(struct tfs_helper *h, struct tfs_fs *fs)
{
	const int mounted = tfs_mountpoint_fd(fs->mountpoint);
	int kept[] = { -1, -1, -1 }, n = 0;

	if (mounted >= 0)
		kept[n++] = mounted;
	if (fs->store)
		kept[n++] = tfs_store_dir(fs->store);

	return tfs_helper_start(h, "keeper", kept, serve, fs);
}

int tfs_keeper_start_for_originals(struct tfs_helper *h, struct tfs_fs *fs)
{
	const int mounted[] = { tfs_mountpoint_fd(fs->mountpoint), -1 };

	return tfs_helper_start(h, "keeper-orig", mounted, serve_originals, fs);
}

int tfs_keeper_adopt(struct tfs_helper *h, int fuse)
{
	return ask(h, ADOPT, 0, fuse, NULL);
}

int tfs_keeper_mount(struct tfs_helper *h, const char *source)
{
	struct tfs_message m = { .what = MOUNT };
	int fd, r = tfs_message_text(&m, source);

	r = r ? r : tfs_helper_ask(h, &m, -1, &fd);

	if (r == -EPIPE)
		tfs_log_error("the process that was to mount has ended");
	return r ? r : fd;
}

int tfs_keeper_abort_file(struct tfs_helper *h)
{
	int fd, r = ask(h, ABORT_FILE, 0, -1, &fd);

	return r ? r : fd;
}

int tfs_keeper_register(struct tfs_helper *h, int fd)
{
	return ask(h, REGISTER, 0, fd, NULL);
}

int tfs_keeper_register_all(struct tfs_helper *h, const int *fds, unsigned n, int *ret_ids)
{
	struct tfs_message m = { .what = REGISTER_ALL };
	int r = tfs_helper_ask_with(h, &m, fds, n);

	if (!r && m.len != n * sizeof *m.data.ids)
		r = -EPROTO;
	if (!r)
		memcpy(ret_ids, m.data.ids, m.len);
	return r;
}

void tfs_keeper_unregister(struct tfs_helper *h, int id)
{
	ask(h, UNREGISTER, id, -1, NULL);
}

bool tfs_keeper_forget(struct tfs_helper *h, int id)
{
	const struct tfs_message m = { .what = FORGET, .flags = id };

	return tfs_helper_tell(h, &m);
}

void tfs_keeper_readahead(struct tfs_helper *h, int kib)
{
	ask(h, READAHEAD, kib, -1, NULL);
}

int tfs_keeper_leave_idle(struct tfs_helper *h, pid_t tid)
{
	return ask(h, LEAVE_IDLE, tid, -1, NULL);
}

int tfs_keeper_unmount(struct tfs_helper *h)
{
	struct tfs_message m = { .what = UNMOUNT };

	return tfs_helper_ask_last(h, &m);
}
