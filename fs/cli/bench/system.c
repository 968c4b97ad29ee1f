/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FUSE_USE_VERSION 317

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/bench/bench.h"
#include "convert/convert.h"
#include "mount/ring.h"
#include "mount/session.h"

/* The first line of @path; false: there is none. */
static bool read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)size, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = 0;
	return ok;
}

/* What follows the colon in the first line of @path that begins with one of @keys, tried in order. */
static bool read_value(const char *path, const char *const *keys, char *buf, size_t size)
{
	for (; *keys; keys++) {
		char line[512];
		bool found = false;
		FILE *f = fopen(path, "re");
		while (f && !found && fgets(line, sizeof line, f)) {
			char *colon = strchr(line, ':');
			if (!colon || strncmp(line, *keys, strlen(*keys)))
				continue;
			colon[1 + strcspn(colon + 1, "\n")] = 0;
			snprintf(buf, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
			found = true;
		}
		if (f)
			fclose(f);
		if (found)
			return true;
	}
	return false;
}

static uint64_t meminfo(const char *key)
{
	const char *const keys[] = { key, NULL };
	char value[64];
	return read_value("/proc/meminfo", keys, value, sizeof value) ? strtoull(value, NULL, 10) << 10 : 0;
}

static bool have_io_uring(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Type and source of the mount that @fd is on. */
static void mount_of(int fd, char *type, size_t type_size, char *source, size_t source_size)
{
	char path[64], line[4096];
	int id = -1, n;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	static const char *const keys[] = { "mnt_id", NULL };
	if (!read_value(path, keys, line, sizeof line))
		return;
	int want = atoi(line);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS; see proc_pid_mountinfo(5). */
	while (f && id != want && fgets(line, sizeof line, f)) {
		char *dash = strstr(line, " - "), t[64], s[PATH_MAX];
		if (sscanf(line, "%d %n", &id, &n) == 1 && id == want && dash && sscanf(dash + 3, "%63s %4095s", t, s) == 2) {
			snprintf(type, type_size, "%.*s", (int)type_size - 1, t);
			snprintf(source, source_size, "%.*s", (int)source_size - 1, s);
		}
	}
	if (f)
		fclose(f);
}

/* The block device below: its name and queue settings; a partition uses the queue of the whole device. */
static void device_of(dev_t dev, const char *source, struct tfs_bench_system *s)
{
	char path[PATH_MAX + 64], line[256];
	struct stat st;

	/* File systems with several devices, or none, have their own device numbers. */
	if (!major(dev) && (stat(source, &st) || !S_ISBLK(st.st_mode)))
		return;
	if (!major(dev))
		dev = st.st_rdev;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(dev), minor(dev));
	cleanup_free char *real = realpath(path, NULL);
	if (!real)
		return;
	snprintf(s->device, sizeof s->device, "%s", strrchr(real, '/') + 1);
	snprintf(path, sizeof path, "%s/queue", real);
	const char *up = access(path, F_OK) ? "/.." : "";
	snprintf(path, sizeof path, "%s%s/queue/rotational", real, up);
	if (read_line(path, line, sizeof line))
		s->rotational = line[0] == '1';
	snprintf(path, sizeof path, "%s%s/queue/scheduler", real, up);
	if (read_line(path, line, sizeof line)) { /* "none [mq-deadline] kyber" */
		char *chosen = strchr(line, '[');
		chosen = chosen ? chosen + 1 : line;
		chosen[strcspn(chosen, "] ")] = 0;
		snprintf(s->scheduler, sizeof s->scheduler, "%.*s", (int)sizeof s->scheduler - 1, chosen);
	}
}

static bool allows_direct(int fd)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	cleanup_fd int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return direct >= 0;
}

void tfs_bench_system_facts(int fd, struct tfs_bench_system *ret)
{
	static const char *const cpu_keys[] = { "model name", "cpu model", "Model", "uarch", NULL };
	struct tfs_bench_system s = { .cpus = (unsigned)get_nprocs(), .rotational = -1, .libfuse = tfs_session_libfuse() };
	char source[PATH_MAX] = "", line[256];
	struct utsname u;
	struct stat st;
	uint64_t pages;

	bool named = !uname(&u);
	if (named)
		snprintf(s.kernel, sizeof s.kernel, "%s", u.release);
	if (!read_value("/proc/cpuinfo", cpu_keys, s.cpu, sizeof s.cpu))
		snprintf(s.cpu, sizeof s.cpu, "%s", named ? u.machine : "unknown");
	s.simd = tfs_simd_name(tfs_simd_best());
	s.memory = meminfo("MemTotal");
	s.available = meminfo("MemAvailable");
	s.fuse = !access("/dev/fuse", R_OK | W_OK);
	s.io_uring = have_io_uring();
	s.fuse_uring = tfs_ring_available(NULL);
	/* Only "deny" refuses the mount option of the store's tmpfs; see transparent_hugepage/shmem_enabled. */
	s.huge_pages = read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", line, sizeof line) && !strstr(line, "[deny]");
	if (fd >= 0 && !fstat(fd, &st)) {
		mount_of(fd, s.fs_type, sizeof s.fs_type, source, sizeof source);
		device_of(st.st_dev, source, &s);
		s.direct = allows_direct(fd);
		s.cachestat = !tfs_file_cached(fd, 0, 0, &pages);
	}
	*ret = s;
}
