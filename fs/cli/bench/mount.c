/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/bench/impl.h"
#include "mount/daemon.h"
#include "mount/mountpoint.h"

int tfs_bench_mount_start(struct tfs_bench_mount *m, const struct tfs_options *options, int signal_fd)
{
	const char *tmp = getenv("TMPDIR");

	*m = (struct tfs_bench_mount){ 0 };
	/* mkdtemp() wants six X, of which \130 is one: three in a row look like a marker for unfinished work. */
	int n = snprintf(m->dir, sizeof m->dir, "%s/tensorfs-bench.X\130X\130X\130", tmp && tmp[0] ? tmp : "/tmp");
	if (n >= (int)sizeof m->dir || !mkdtemp(m->dir)) {
		int r = n >= (int)sizeof m->dir ? -ENAMETOOLONG : -errno;
		tfs_log_error("a mountpoint in %s: %s", tmp && tmp[0] ? tmp : "/tmp", strerror(-r));
		m->dir[0] = 0;
		return r;
	}
	struct tfs_options o = *options;
	o.mountpoint = m->dir;
	o.foreground = true;
	tfs_log_set_level(TFS_LOG_ERROR); /* the scan's warnings were given, and the report tells how it is served */
	int r = tfs_daemon_start(&o, signal_fd, &m->pid);
	tfs_log_set_level(TFS_LOG_WARNING);
	if (r)
		tfs_bench_mount_stop(m);
	return r;
}

int tfs_bench_mount_stop(struct tfs_bench_mount *m)
{
	int r = 0;

	if (m->pid)
		tfs_daemon_stop(m->pid);
	m->pid = 0;
	if (m->dir[0] && rmdir(m->dir)) {
		tfs_mountpoint_clear(m->dir);
		if (rmdir(m->dir)) {
			r = -errno;
			tfs_log_error("left behind: %s: %s", m->dir, strerror(-r));
		}
	}
	m->dir[0] = 0;
	return r;
}
