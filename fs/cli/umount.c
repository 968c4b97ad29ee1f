/* SPDX-License-Identifier: MIT */
/* tensorfs umount: unmount, and wait until the daemon has ended and its memory is free. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"
#include "cli/commands.h"
#include "cli/mounts.h"

enum { OPT_LAZY = 'l' };

static const struct tfs_option umount_options[] = {
	{ OPT_LAZY, "lazy", NULL, "unmount even what is in use, and don't wait: the daemon ends with the last user" },
	{ 0 },
};

/* A process of another PID namespace may have the number that a daemon has in its own. */
static bool is_tensorfs(int pid)
{
	char path[64], name[32] = "";

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, name, sizeof name - 1) > 0 && !strcmp(name, "tensorfs\n");
}

/* A descriptor of the daemon; -1: it isn't known. */
static int daemon_of(const struct tfs_mount *m)
{
	int why;
	json_t *stats = tfs_mount_stats(m, &why);
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
	if (r == -EPERM)
		return by_fusermount(m->dir, lazy);
	tfs_log_error("%s: %s", m->dir,
		      r == -EBUSY ? "in use; fuser -vm lists by whom, and --lazy unmounts it nevertheless" : strerror(-r));
	return r;
}

static int run(const struct tfs_mount *m, bool lazy)
{
	cleanup_fd int daemon = lazy ? -1 : daemon_of(m);
	struct pollfd p = { .fd = daemon, .events = POLLIN };
	const int r = unmount(m, lazy);

	if (r)
		return r == -EBUSY ? TFS_EXIT_FAILED : TFS_EXIT_USAGE;
	while (daemon >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return TFS_EXIT_OK;
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
	.status = "Exit status: 0 unmounted, 1 one is in use, 2 failed, or a usage error. See tensorfs-umount(1).",
	.tables = { umount_options },
	.run = umount_main,
};
