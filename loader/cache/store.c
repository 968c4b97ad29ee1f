/* SPDX-License-Identifier: MIT */
#include "cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

/* <sys/mount.h> has these since glibc 2.36, as an enum; the numbers are the kernel's ABI. */
enum { STORE_FSOPEN_CLOEXEC = 1, STORE_FSCONFIG_SET_STRING = 1, STORE_FSCONFIG_CMD_CREATE = 6, STORE_FSMOUNT_CLOEXEC = 1 };

#define PAGE 4096u

struct store_name {
	char s[24];
};

struct tfs_store {
	int dir; /* root of the detached mount; the mount lives as long as a descriptor of it */
	tfs_store_removed_fn *removed;
	void *removed_arg;
	tfs_store_ready_fn *ready;
	void *ready_arg;
};

static int set_option(int fs, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, STORE_FSCONFIG_SET_STRING, key, value, 0) ? -errno : 0;
}

static struct store_name name_of(uint64_t id)
{
	struct store_name n;
	snprintf(n.s, sizeof n.s, "%" PRIx64, id);
	return n;
}

/* Does the machine have memory on more than one node? "0" or "0-1,3", see Documentation/ABI/stable/sysfs-devices-node. */
static bool has_nodes(void)
{
	char list[64] = "";
	FILE *f = fopen("/sys/devices/system/node/has_memory", "re");

	if (f) {
		if (!fgets(list, sizeof list, f))
			list[0] = 0;
		fclose(f);
	}
	return strpbrk(list, "-,");
}

static int set_number(int fs, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, value);
	return set_option(fs, key, text);
}

int tfs_store_open(uint64_t limit, struct tfs_store **ret_store, struct tfs_error *err)
{
	return tfs_store_open_for(limit, geteuid(), getegid(), ret_store, err);
}

int tfs_store_open_for(uint64_t limit, uid_t uid, gid_t gid, struct tfs_store **ret_store, struct tfs_error *err)
{
	cleanup_fd int fs = syscall(SYS_fsopen, "tmpfs", STORE_FSOPEN_CLOEXEC);
	if (fs < 0)
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "private tmpfs: fsopen: %s", strerror(errno));

	/*
	 * within_size: huge pages only where the file fills them, so small tensors only use whole small pages. A kernel without
	 * transparent huge pages refuses the option; then small pages work as well, just slower.
	 */
	(void)set_option(fs, "huge", "within_size");
	/*
	 * One copy serves the readers of all nodes, so it is spread over all of them. By default each page would be on the node of
	 * the thread that happened to write it. Kernels without NUMA don't know the option.
	 */
	if (has_nodes())
		(void)set_option(fs, "mpol", "interleave");
	int r = set_number(fs, "size", limit); /* 0: no limit */
	r = r ? r : set_number(fs, "uid", uid);
	r = r ? r : set_number(fs, "gid", gid);
	if (!r)
		r = set_option(fs, "nr_inodes", "0"); /* default: one per page of low memory; ours are bounded by the model */
	if (!r)
		r = set_option(fs, "mode", "0700");
	if (!r && syscall(SYS_fsconfig, fs, STORE_FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		r = -errno;
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "private tmpfs: fsconfig: %s", strerror(-r));

	cleanup_fd int dir = syscall(SYS_fsmount, fs, STORE_FSMOUNT_CLOEXEC, 0);
	if (dir < 0)
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "private tmpfs: fsmount: %s", strerror(errno));

	struct tfs_store *s = malloc(sizeof *s);
	if (!s)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	*s = (struct tfs_store){ .dir = tfs_steal_fd(&dir) };
	*ret_store = s;
	return 0;
}

void tfs_store_close(struct tfs_store *s)
{
	if (!s)
		return;
	close(s->dir);
	free(s);
}

int tfs_store_make_ready(struct tfs_store *s, uint64_t id)
{
	struct store_name n = name_of(id);
	cleanup_fd int fd = openat(s->dir, n.s, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : 0;
}

/* Does a file that was made ready become @id? */
static bool take_ready(struct tfs_store *s, uint64_t id)
{
	const uint64_t ready = s->ready ? s->ready(s->ready_arg, id) : 0;
	struct store_name n = name_of(id), from = name_of(ready);

	if (!ready || !renameat(s->dir, from.s, s->dir, n.s))
		return ready;
	tfs_store_remove(s, id); /* for what goes with the name */
	tfs_store_remove(s, ready);
	return false;
}

int tfs_store_create(struct tfs_store *s, uint64_t id, uint64_t size)
{
	const int flags = O_RDWR | O_CLOEXEC | (take_ready(s, id) ? 0 : O_CREAT | O_EXCL);
	struct store_name n = name_of(id);
	int fd = openat(s->dir, n.s, flags, 0600);
	if (fd < 0)
		return -errno;
	/* The final size first: within_size uses it to decide which writes get huge pages. */
	if (ftruncate(fd, size)) {
		int r = errno == EFBIG ? -EDQUOT : -errno; /* EFBIG means that a file exceeds the budget */
		close(fd);
		tfs_store_remove(s, id);
		return r;
	}
	return fd;
}

int tfs_store_reader(struct tfs_store *s, uint64_t id)
{
	struct store_name n = name_of(id);
	int fd = openat(s->dir, n.s, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tfs_store_path(struct tfs_store *s, uint64_t id)
{
	struct store_name n = name_of(id);
	int fd = openat(s->dir, n.s, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tfs_store_give(struct tfs_store *s, uid_t uid, gid_t gid)
{
	return fchownat(s->dir, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

int tfs_store_dir(const struct tfs_store *s)
{
	return s->dir;
}

void tfs_store_on_remove(struct tfs_store *s, tfs_store_removed_fn *fn, void *arg)
{
	s->removed = fn;
	s->removed_arg = arg;
}

void tfs_store_on_create(struct tfs_store *s, tfs_store_ready_fn *fn, void *arg)
{
	s->ready = fn;
	s->ready_arg = arg;
}

bool tfs_store_in_use(struct tfs_store *s, uint64_t id)
{
	cleanup_fd int fd = tfs_store_reader(s, id);
	if (fd < 0)
		return true;
	/*
	 * The file may be opened at this very moment: the kernel then sends a signal to the holder of the lease (and lets the other
	 * wait until it is released). By default that is SIGIO, which kills a process; SIGURG is ignored.
	 */
	if (fcntl(fd, F_SETSIG, SIGURG) || fcntl(fd, F_SETLEASE, F_WRLCK))
		return true;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

void tfs_store_remove(struct tfs_store *s, uint64_t id)
{
	struct store_name n = name_of(id);

	if (s->removed)
		s->removed(s->removed_arg, id);
	unlinkat(s->dir, n.s, 0);
}

uint64_t tfs_store_used(struct tfs_store *s)
{
	struct statfs st;
	if (fstatfs(s->dir, &st))
		return 0;
	return (uint64_t)(st.f_blocks - st.f_bfree) * st.f_bsize;
}

uint64_t tfs_store_cost(uint64_t size)
{
	return (size + PAGE - 1) / PAGE * PAGE;
}
