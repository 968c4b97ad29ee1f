/* SPDX-License-Identifier: MIT */
#include "mount/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mask.h"

/* Documentation/admin-guide/devices.txt: the misc devices, and /dev/fuse among them. */
enum { FUSE_MAJOR = 10, FUSE_MINOR = 229 };

/* mountinfo writes space, tab, newline and backslash as \NNN, octal; see proc_pid_mountinfo(5). */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		unsigned c;
		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

struct tfs_mounted tfs_mounted_at(const char *path)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	struct tfs_mounted mounted = { 0 };
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && getline(&line, &size, f) > 0) {
		/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG…] - TYPE … */
		unsigned maj, min;
		int id, at;
		if (sscanf(line, "%d %*d %u:%u %*s %n", &id, &maj, &min, &at) != 3)
			continue;
		char *p = line + at, *end = p + strcspn(p, " ");
		const char *type = strstr(end, " - ");
		bool tensorfs = type && !strncmp(type, " - fuse.tensorfs ", 17);
		*end = 0;
		unescape(p);
		if (!strcmp(p, path)) /* a later one is on top */
			mounted = (struct tfs_mounted){ .id = id, .device = makedev(maj, min), .tensorfs = tensorfs };
	}
	if (f)
		fclose(f);
	return mounted;
}

bool tfs_is_fuse_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR);
}

int tfs_mountpoint_fd(const char *mountpoint)
{
	struct stat st;
	int fd, len = 0;

	if (sscanf(mountpoint, "/dev/fd/%9d%n", &fd, &len) != 1 || mountpoint[len] || fd < 0 || fstat(fd, &st))
		return -1;
	return tfs_is_fuse_device(&st) ? fd : -1;
}

/* @error: of stat(2), or 0 if @given is a tensorfs mount. */
static int refuse(const char *given, int error)
{
	char path[TFS_MASKED]; /* the arguments may have been given in another order */

	tfs_mask_url(given, path, sizeof path);
	switch (error) {
	case 0:
		tfs_log_error("mountpoint %s: already a tensorfs mount; unmount it with fusermount3 -u %s, or mount over it with "
			      "-o nonempty",
			      path, path);
		return -EBUSY;
	case ENOENT:
		tfs_log_error("mountpoint %s: %s%s", path, strerror(error),
			      strncmp(path, "/dev/fd/", 8) ? "; create it first, with mkdir" : ": this descriptor isn't open");
		break;
	case ENOTCONN:
	case ECONNABORTED:
	case ECONNREFUSED:
	case ECANCELED: /* by io_uring, as it ends */
		tfs_log_error(
			"mountpoint %s: %s: the daemon of an earlier mount is gone; unmount that first, with fusermount3 -u %s",
			path, strerror(error), path);
		break;
	default:
		tfs_log_error("mountpoint %s: %s", path, strerror(error));
	}
	return -error;
}

/* Would a mount on @path hide something essential? 0, or -EBUSY, logged. */
static int check_covered(const char *given, const char *path)
{
	struct statfs sfs;

	if (!strcmp(path, "/"))
		tfs_log_error("mountpoint %s: the mount would cover the whole system", given);
	else if (!statfs(path, &sfs) && sfs.f_type == PROC_SUPER_MAGIC)
		tfs_log_error("mountpoint %s: it is %s, and a mount would cover what /proc has there", given, path);
	else
		return 0;
	return -EBUSY;
}

int tfs_mountpoint_check(const char *given, bool nonempty, char **ret_path)
{
	struct stat st;
	int fd = tfs_mountpoint_fd(given);

	if (fd >= 0) {
		/* Not used by anything else, and not one of the three that a daemon closes. */
		fd = fd > 2 ? (fcntl(fd, F_SETFD, FD_CLOEXEC), fd) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return fd < 0 || asprintf(ret_path, "/dev/fd/%d", fd) < 0 ? -ENOMEM : 0;
	}
	cleanup_free char *path = realpath(given, NULL);
	if (!path)
		return refuse(given, errno);
	bool tensorfs = tfs_mounted_at(path).tensorfs;
	/* The kernel caches the attributes of our files forever; this one requires an answer. */
	struct statfs sfs;
	if (stat(path, &st) || (tensorfs && statfs(path, &sfs)))
		/* Another user's live mount denies access. */
		return refuse(path, errno == EACCES && tensorfs && !nonempty ? 0 : errno);
	if (!S_ISDIR(st.st_mode))
		return refuse(path, ENOTDIR);
	if (tensorfs && !nonempty)
		return refuse(path, 0);
	int r = check_covered(given, path);
	if (!r)
		*ret_path = tfs_steal(path);
	return r;
}

void tfs_mountpoint_clear(const char *path)
{
	const char *argv[] = { "fusermount3", "-uz", "--", path, NULL };
	pid_t pid;

	if (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) || errno == EINVAL) /* or it isn't a mount */
		return;
	if (!posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ))
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

/* Linux's fs/fuse/control.c. */
#define FUSE_CTL_SUPER_MAGIC 0x65735543

/* fsopen(2) and its companions are newer than some C libraries. */
#define CTL_FSOPEN_CLOEXEC  1
#define CTL_FSMOUNT_CLOEXEC 1
#define CTL_CMD_CREATE	    6

/* The directory of connections, where it is usually mounted; or mounted nowhere, for us alone. A descriptor or -errno. */
static int open_connections(void)
{
	int dir = open("/sys/fs/fuse/connections", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs st;

	if (dir >= 0 && !fstatfs(dir, &st) && st.f_type == FUSE_CTL_SUPER_MAGIC)
		return dir;
	if (dir >= 0)
		close(dir);
	cleanup_fd int fs = syscall(SYS_fsopen, "fusectl", CTL_FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, CTL_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	dir = syscall(SYS_fsmount, fs, CTL_FSMOUNT_CLOEXEC, 0);
	return dir < 0 ? -errno : dir;
}

int tfs_mountpoint_abort_file(dev_t device)
{
	char path[32];
	cleanup_fd int connections = open_connections();

	if (!device || connections < 0)
		return -ENOENT;
	snprintf(path, sizeof path, "%u/abort", minor(device));
	int fd = openat(connections, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
