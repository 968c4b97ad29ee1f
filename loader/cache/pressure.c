/* SPDX-License-Identifier: MIT */
#include "cache/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "cache/memory.h"

/*
 * Some task stalled for a twentieth of the time: long before the kernel kills for lack of memory, but more than reclaiming a page
 * cache that is merely full. Without CAP_SYS_RESOURCE windows are multiples of two seconds (psi.c).
 */
static const char *const triggers[] = { "some 50000 1000000", "some 100000 2000000" };

enum { MACHINE, GROUP };

struct tfs_pressure {
	void (*fn)(void *arg);
	void *arg;
	struct pollfd fds[TFS_PRESSURE_SOURCES + 1]; /* the last one ends the thread; negative: not available */
	pthread_t thread;
};

static int arm(const char *path)
{
	for (unsigned i = 0; i < sizeof triggers / sizeof *triggers; i++) {
		int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0)
			return -1;
		if (write(fd, triggers[i], strlen(triggers[i]) + 1) > 0)
			return fd;
		close(fd);
	}
	return -1;
}

/* The group of version 2 of the interface; version 1 has no such file. */
static int arm_cgroup(void)
{
	char line[PATH_MAX], path[PATH_MAX + 64];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int fd = -1;

	while (f && fd < 0 && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "0::", 3))
			continue;
		snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.pressure", line + 3);
		fd = arm(path);
	}
	if (f)
		fclose(f);
	return fd;
}

/*
 * Both also count those that are held up by a limit of a group within, which is none of our business: on a machine of many containers
 * there is always one.
 */
static bool is_ours(int source)
{
	return tfs_memory_is_short() || (source == GROUP && tfs_memory_limit() != UINT64_MAX);
}

static void *watch(void *arg)
{
	struct tfs_pressure *p = arg;

	for (;;) {
		bool any = false;
		int n = poll(p->fds, TFS_PRESSURE_SOURCES + 1, -1);

		if (n < 0 && errno != EINTR)
			return NULL;
		if (n <= 0)
			continue;
		if (p->fds[TFS_PRESSURE_SOURCES].revents)
			return NULL;
		for (int i = 0; i < TFS_PRESSURE_SOURCES; i++) {
			any |= p->fds[i].revents & POLLPRI && is_ours(i);
			if (p->fds[i].revents & POLLERR) { /* the group is gone */
				close(p->fds[i].fd);
				p->fds[i].fd = -1;
			}
		}
		if (any)
			p->fn(p->arg);
	}
}

static void close_all(struct tfs_pressure *p)
{
	for (int i = 0; i <= TFS_PRESSURE_SOURCES; i++)
		if (p->fds[i].fd >= 0)
			close(p->fds[i].fd);
	free(p);
}

void tfs_pressure_open(int sources[TFS_PRESSURE_SOURCES])
{
	sources[MACHINE] = arm("/proc/pressure/memory");
	sources[GROUP] = arm_cgroup();
}

struct tfs_pressure *tfs_pressure_watch(void (*fn)(void *arg), void *arg)
{
	int sources[TFS_PRESSURE_SOURCES];

	tfs_pressure_open(sources);
	return tfs_pressure_watch_sources(sources, fn, arg);
}

struct tfs_pressure *tfs_pressure_watch_sources(const int sources[TFS_PRESSURE_SOURCES], void (*fn)(void *arg), void *arg)
{
	struct tfs_pressure *p = calloc(1, sizeof *p);

	for (int i = 0; i < TFS_PRESSURE_SOURCES; i++)
		if (!p && sources[i] >= 0)
			close(sources[i]);
	if (!p)
		return NULL;
	p->fn = fn;
	p->arg = arg;
	for (int i = 0; i < TFS_PRESSURE_SOURCES; i++)
		p->fds[i] = (struct pollfd){ .fd = sources[i], .events = POLLPRI };
	p->fds[TFS_PRESSURE_SOURCES] = (struct pollfd){ .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	bool good = (p->fds[MACHINE].fd >= 0 || p->fds[GROUP].fd >= 0) && p->fds[TFS_PRESSURE_SOURCES].fd >= 0 &&
		    !tfs_thread_start(&p->thread, "tfs-pressure", watch, p);
	if (!good) {
		close_all(p);
		return NULL;
	}
	return p;
}

void tfs_pressure_stop(struct tfs_pressure *p)
{
	if (!p)
		return;
	eventfd_write(p->fds[TFS_PRESSURE_SOURCES].fd, 1);
	pthread_join(p->thread, NULL);
	close_all(p);
}
