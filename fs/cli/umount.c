/* SPDX-License-Identifier: MIT */
/* tensorfs umount: unmount, and wait until the daemon has ended and its memory is free. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/commands.h"
#include "cli/mounts.h"

enum { OPT_LAZY = 'l' };

/* A daemon whose last mount is gone has ended by then, or is about to; and where that can't be seen, has ended after so many times. */
enum { PATIENCE_MS = 5000, TRIES = 12 };

#define FUSECTL_MAGIC 0x65735543

static const struct tfs_option umount_options[] = {
	{ OPT_LAZY, "lazy", NULL, "unmount even what is in use, and don't wait: the daemon ends with the last user" },
	{ 0 },
};

/* The name of a process, into @buf of 32 bytes; "": there is none. Returns @buf. */
static const char *name_of(int pid, char *buf)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, buf, 31);
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

/* A process of another PID namespace may have the number that a daemon has in its own. */
static bool is_tensorfs(int pid)
{
	char name[32];

	return !strcmp(name_of(pid, name), "tensorfs");
}

/* A descriptor of the daemon; -1: it isn't known, for the reason in *@ret_why, if that is one (tfs_mount_stats()). */
static int daemon_of(const struct tfs_mount *m, int *ret_why)
{
	*ret_why = 0;
	json_t *stats = tfs_mount_stats(m, ret_why);
	const char *text = json_string_value(json_object_get(stats, "pid"));
	const int pid = text ? atoi(text) : 0;
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	json_decref(stats);
	/* After the open: from here on it is that process. */
	if (fd >= 0 && !is_tensorfs(pid)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Of what the kernel knows, as the daemon may hang. 0: it can't be told. */
static dev_t device_of(const struct tfs_mount *m)
{
	struct statx st;

	if (statx(AT_FDCWD, m->dir, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &st))
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

/* As an ordinary user. 0, or -EBUSY for any failure, of which it printed the reason. */
static int by_fusermount(const char *dir, bool lazy)
{
	char program[] = "fusermount3", unmount[] = "-u", later[] = "-z", end[] = "--";
	cleanup_free char *path = strdup(dir);
	char *argv[6] = { program, unmount };
	int n = 2, status;
	pid_t pid;

	if (!path)
		return -ENOMEM;
	if (lazy)
		argv[n++] = later;
	argv[n++] = end;
	argv[n++] = path;
	const int r = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (r) {
		tfs_log_error("%s: %s", program, strerror(r));
		return -r;
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EBUSY;
}

/* 0; -EBUSY or another error, printed. */
static int unmount(const struct tfs_mount *m, bool lazy)
{
	if (!umount2(m->dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
		return 0;
	const int r = -errno;
	if (r == -EPERM && m->uid == getuid())
		return by_fusermount(m->dir, lazy);
	if (r == -EPERM) {
		tfs_log_error("%s: another user's mount; only that user (%u) or root can unmount it", m->dir, (unsigned)m->uid);
		return r;
	}
	tfs_log_error("%s: %s", m->dir,
		      r == -EBUSY ? "in use; fuser -vm lists by whom, and --lazy unmounts it nevertheless" : strerror(-r));
	return r;
}

/* --- Who else has it ------------------------------------------------------------------------------------------------------ */

/* Where the device is mounted, as that process sees it, and as mountinfo writes it (proc_pid_mountinfo(5)). False: nowhere. */
static bool is_mounted(const char *process, dev_t device, char where[static PATH_MAX])
{
	char path[64], *line = NULL;
	size_t size = 0;
	unsigned major, minor;
	bool found = false;

	snprintf(path, sizeof path, "/proc/%.32s/mountinfo", process);
	FILE *f = fopen(path, "re");
	while (f && !found && getline(&line, &size, f) >= 0)
		found = sscanf(line, "%*d %*d %u:%u %*s %4095s", &major, &minor, where) == 3 && makedev(major, minor) == device;
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* The mount namespace of a process; 0: it can't be told. */
static ino_t namespace_of(const char *process)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%.32s/ns/mnt", process);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* A process with another mount namespace, in which the device is mounted; NULL: none that may be looked at. */
static const char *find_holder(DIR *proc, dev_t device)
{
	const ino_t ours = namespace_of("self");
	ino_t last = 0;
	char where[PATH_MAX];

	for (const struct dirent *e; proc && (e = readdir(proc));) {
		const ino_t its = isdigit((unsigned char)*e->d_name) ? namespace_of(e->d_name) : 0;

		if (!its || its == ours || its == last)
			continue;
		if (is_mounted(e->d_name, device, where))
			return e->d_name;
		last = its;
	}
	return NULL;
}

/* The kernel's connection goes with the last mount. UNKNOWN: fusectl, which has it, isn't mounted. */
static enum connection { UNKNOWN, GONE, THERE } connection_of(dev_t device)
{
	static const char control[] = "/sys/fs/fuse/connections";
	char path[64];
	struct statfs fs;

	if (!device || statfs(control, &fs) || fs.f_type != FUSECTL_MAGIC)
		return UNKNOWN;
	snprintf(path, sizeof path, "%s/%u", control, minor(device));
	return access(path, F_OK) ? GONE : THERE;
}

/* Say who has it, too. False: that can't be found. */
static bool complain_of_others(const char *dir, dev_t device)
{
	char where[PATH_MAX], name[32];
	DIR *proc = opendir("/proc");
	const bool here = is_mounted("self", device, where);
	const char *pid = here ? NULL : find_holder(proc, device);

	if (here)
		tfs_log_error("%s: unmounted, but it is in use: also mounted at %s", dir, where);
	else if (pid)
		tfs_log_error("%s: unmounted, but it is in use: process %s (%s) has it in another mount namespace", dir, pid,
			      name_of(atoi(pid), name));
	if (proc)
		closedir(proc);
	return here || pid;
}

/* 0, or -EBUSY after printing why the daemon doesn't end. */
static int wait_for_end(const struct tfs_mount *m, int daemon, dev_t device)
{
	struct pollfd p = { .fd = daemon, .events = POLLIN };

	for (int tries = 0;; tries++) {
		const enum connection c = connection_of(device);
		/* If it has lost the mount it is about to end, which takes its time if it has much memory. */
		const int n = poll(&p, 1, tries && c == GONE ? -1 : PATIENCE_MS);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0 || connection_of(device) == GONE)
			continue;
		if (device && complain_of_others(m->dir, device))
			return -EBUSY;
		if (c == THERE || tries == TRIES) {
			tfs_log_error(
				"%s: unmounted, but its daemon doesn't end: it may be mounted in another mount namespace, too",
				m->dir);
			return -EBUSY;
		}
	}
}

static int run(const struct tfs_mount *m, bool lazy)
{
	int why = 0;
	cleanup_fd int daemon = lazy ? -1 : daemon_of(m, &why);
	/* Who asked it may still wait, in the mount, so that is in use. */
	if (why == -ETIMEDOUT) {
		tfs_log_error("%s: its daemon doesn't answer; --lazy unmounts it nevertheless", m->dir);
		return TFS_EXIT_FAILED;
	}
	const dev_t device = daemon < 0 ? 0 : device_of(m);
	int r = unmount(m, lazy);

	if (!r && daemon >= 0)
		r = wait_for_end(m, daemon, device);
	return !r ? TFS_EXIT_OK : r == -EBUSY ? TFS_EXIT_FAILED : TFS_EXIT_USAGE;
}

static int umount_main(int argc, char **argv)
{
	struct tfs_mounts mounts;
	char shown[TFS_MASKED];
	bool lazy = false;
	int first, status = TFS_EXIT_OK;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_umount_command, argc, argv, tfs_option_flag, &lazy, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	for (int i = first; i < argc; i++) {
		if (tfs_mounts_list(&mounts))
			return TFS_EXIT_USAGE;
		const struct tfs_mount *m = tfs_mounts_find(&mounts, argv[i]);
		if (!m)
			tfs_log_error("%s: no tensorfs mount", tfs_mask_url(argv[i], shown, sizeof shown));
		const int one = m ? run(m, lazy) : TFS_EXIT_USAGE;
		status = one > status ? one : status;
		tfs_mounts_fini(&mounts);
	}
	return status;
}

const struct tfs_command tfs_umount_command = {
	.name = "tensorfs umount",
	.summary = "unmount, and wait until the memory is free",
	.operands = "MOUNTPOINT...",
	.min_operands = 1,
	.max_operands = INT_MAX,
	.about =
		"Unmount tensorfs mounts, as umount or fusermount3 does, and wait until their daemons have ended, which frees their memory. "
		"Only tensorfs mounts are unmounted.",
	.status =
		"Exit status: 0 unmounted, 1 one is in use, or doesn't answer, 2 failed, or a usage error. See tensorfs-umount(1).",
	.tables = { umount_options },
	.run = umount_main,
};
