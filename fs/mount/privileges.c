/* SPDX-License-Identifier: MIT */
#include "mount/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/sandbox.h"

/* <sys/mount.h> and <linux/fuse.h> may be older than the kernel that runs; the numbers are its ABI. */
enum { PROBE_FSOPEN_CLOEXEC = 1, PROBE_SET_STRING = 1, PROBE_CMD_CREATE = 6 };
enum { PROBE_FUSE_INIT = 26, PROBE_MAJOR = 7, PROBE_MINOR = 40, PROBE_MIN_READ = 8192 };
#define PROBE_INIT_EXT	  (1u << 30)
#define PROBE_PASSTHROUGH (1u << 5) /* in flags2 */

struct probe_in {
	uint32_t len, opcode;
	uint64_t unique, node;
	uint32_t uid, gid, pid, extensions;
	uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};

struct probe_out {
	uint32_t len;
	int32_t error;
	uint64_t unique;
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth, unused[6];
};

struct probe_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define PROBE_BACKING_OPEN  _IOW(229, 1, struct probe_map)
#define PROBE_BACKING_CLOSE _IOW(229, 2, uint32_t)

static int set_option(int fs, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, fs, PROBE_SET_STRING, key, value, 0) ? -errno : 0;
}

static int set_number(int fs, const char *key, unsigned value)
{
	char text[16];
	snprintf(text, sizeof text, "%u", value);
	return set_option(fs, key, text);
}

/* A FUSE file system of the connection @fuse. It exists as long as the returned descriptor; or -errno. */
static int make_fs(int fuse)
{
	cleanup_fd int fs = syscall(SYS_fsopen, "fuse", PROBE_FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	int r = set_number(fs, "fd", (unsigned)fuse);
	r = r ? r : set_option(fs, "rootmode", "40000"); /* S_IFDIR, octal */
	r = r ? r : set_number(fs, "user_id", getuid());
	r = r ? r : set_number(fs, "group_id", getgid());
	if (!r && syscall(SYS_fsconfig, fs, PROBE_CMD_CREATE, NULL, NULL, 0))
		r = -errno;
	return r ? r : tfs_steal_fd(&fs);
}

/* Read the kernel's first message, which is already waiting, and answer that we want passthrough. -ENOSYS: unsupported. */
static int shake_hands(int fuse)
{
	union {
		struct probe_in in;
		char bytes[PROBE_MIN_READ];
	} *m = calloc(1, sizeof *m);
	struct probe_out out = { .len = sizeof out, .major = PROBE_MAJOR, .max_write = 4096, .time_gran = 1 };

	if (!m)
		return -ENOMEM;
	ssize_t n = read(fuse, m, sizeof *m);
	int r = n < 0 ? -errno : 0;
	/* Kernels without it send less. */
	if (!r && (n < (ssize_t)sizeof m->in || m->in.opcode != PROBE_FUSE_INIT || !(m->in.flags & PROBE_INIT_EXT) ||
		   !(m->in.flags2 & PROBE_PASSTHROUGH)))
		r = -ENOSYS;
	out.minor = m->in.minor < PROBE_MINOR ? m->in.minor : PROBE_MINOR;
	out.unique = m->in.unique;
	out.max_readahead = m->in.max_readahead;
	out.flags = PROBE_INIT_EXT;
	out.flags2 = PROBE_PASSTHROUGH;
	out.max_stack_depth = 1;
	free(m);
	if (!r && write(fuse, &out, sizeof out) != sizeof out)
		r = -errno;
	return r;
}

const char *tfs_passthrough_lacks(char *buf, size_t size)
{
	/* A user of fusermount3 can't create a file system for the test, and needn't. */
	if (!tfs_has_cap(CAP_SYS_ADMIN))
		return "passthrough requires CAP_SYS_ADMIN";

	cleanup_fd int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	cleanup_fd int fs = fuse < 0 ? -errno : make_fs(fuse);
	int r = fs < 0 ? fs : shake_hands(fuse);
	if (r == -ENOSYS)
		return "the kernel has no FUSE passthrough, which requires Linux 6.9";
	if (r) {
		snprintf(buf, size, "trying passthrough: %s", strerror(-r));
		return buf;
	}
	cleanup_fd int file = memfd_create("tensorfs", MFD_CLOEXEC);
	struct probe_map map = { .fd = file };
	int id = file < 0 ? -1 : ioctl(fuse, PROBE_BACKING_OPEN, &map);
	if (id > 0) {
		ioctl(fuse, PROBE_BACKING_CLOSE, &id);
		return NULL;
	}
	if (errno == EPERM)
		return "the kernel refuses backing files: CAP_SYS_ADMIN is only that of a user namespace";
	snprintf(buf, size, "the kernel refuses backing files: %s", strerror(errno));
	return buf;
}
