/* SPDX-License-Identifier: MIT */
#include "cache/readers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_alive(pid_t pid)
{
	if (!pid)
		return false;
	/* Not by a signal, which a process that its parent hasn't waited for can still be sent; nor by /proc, which may hide it. */
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) /* a kernel before 5.3; or a thread */
		return !kill(pid, 0) || errno == EPERM;
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	bool ended = poll(&polled, 1, 0) > 0;
	close(fd);
	return !ended;
}

pid_t tfs_reader_of(pid_t tid)
{
	char path[64], line[128];
	int pid = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	while (f && !pid && fgets(line, sizeof line, f))
		if (sscanf(line, "Tgid: %d", &pid) != 1)
			pid = 0;
	if (f)
		fclose(f);
	return pid ? pid : is_alive(tid) ? tid : 0; /* /proc may hide it */
}

void tfs_readers_add(struct tfs_readers *r, pid_t pid)
{
	unsigned at = r->next;

	for (unsigned i = 0; i < TFS_READERS; i++)
		if (r->pids[i] == pid)
			return;
	for (unsigned i = 0; i < TFS_READERS; i++)
		if (!is_alive(r->pids[i]))
			at = i;
	r->pids[at] = pid;
	r->next = (at + 1) % TFS_READERS;
}

bool tfs_readers_any(const struct tfs_readers *r)
{
	bool any = false;

	for (unsigned i = 0; i < TFS_READERS && !any; i++)
		any = is_alive(r->pids[i]);
	return any;
}
