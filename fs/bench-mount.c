/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "bench-impl.h"
#include "session.h"

/* A daemon that was told to end frees the memory of all that is resident: terabytes may take this long. */
enum { END_SECONDS = 120 };

extern char **environ;

static _Noreturn void serve(const struct tfs_options *options, const char *dir, int ready_fd, pid_t parent)
{
	struct tfs_options o = *options;
	sigset_t none;

	/* Ctrl-C is for the bench alone, which then ends the daemon in good order; should that die, this is told to end too. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	tfs_log_set_level(TFS_LOG_ERROR); /* the bench has given the scan's warnings, and tells how it is served */
	o.mountpoint = dir;
	o.foreground = true;
	exit(tfs_session_run(&o, ready_fd));
}

int tfs_bench_mount_start(struct tfs_bench_mount *m, const struct tfs_options *options, int signal_fd)
{
	const char *tmp = getenv("TMPDIR");
	pid_t self = getpid();
	struct stat st;
	char byte;
	int ready[2];

	*m = (struct tfs_bench_mount){ 0 };
	int n = snprintf(m->dir, sizeof m->dir, "%s/tensorfs-bench." "XX" "XX" "XX", tmp && tmp[0] ? tmp : "/tmp");
	if (n >= (int)sizeof m->dir || !mkdtemp(m->dir)) {
		int r = n >= (int)sizeof m->dir ? -ENAMETOOLONG : -errno;
		tfs_log_error("a mountpoint in %s: %s", tmp && tmp[0] ? tmp : "/tmp", strerror(-r));
		m->dir[0] = 0;
		return r;
	}
	if (pipe2(ready, O_CLOEXEC)) {
		int r = -errno;
		tfs_log_error("pipe: %s", strerror(-r));
		tfs_bench_mount_stop(m);
		return r;
	}
	fflush(NULL); /* or the child writes it too */
	m->pid = fork();
	if (!m->pid) {
		close(ready[0]);
		serve(options, m->dir, ready[1], self);
	}
	int r = m->pid < 0 ? -errno : 0;
	close(ready[1]);
	if (r) {
		m->pid = 0;
		tfs_log_error("fork: %s", strerror(-r));
	}
	struct pollfd polled[] = { { .fd = ready[0], .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
	while (!r && poll(polled, 2, -1) < 0 && errno == EINTR)
		;
	if (!r && polled[1].revents)
		r = -EINTR;
	else if (!r && read(ready[0], &byte, 1) != 1)
		r = -ENODEV; /* the daemon has said why */
	close(ready[0]);
	/* The handshake is on its way; this waits until it is over. */
	if (!r && stat(m->dir, &st)) {
		r = -errno;
		tfs_log_error("%s does not answer: %s", m->dir, strerror(-r));
	}
	if (r)
		tfs_bench_mount_stop(m);
	return r;
}

/* Wait for the daemon's end; false: it does not come. */
static bool ended(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	double end = tfs_bench_now() + END_SECONDS;
	pid_t r;

	while (!(r = waitpid(pid, NULL, WNOHANG)) || (r < 0 && errno == EINTR)) {
		if (tfs_bench_now() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* What a daemon that died has left mounted. */
static void unmount(const char *dir)
{
	char *argv[] = { (char *)"fusermount3", (char *)"-uz", (char *)"--", (char *)dir, NULL };
	pid_t pid;

	if (!umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) || errno == EINVAL) /* or it is no mount */
		return;
	if (!posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

int tfs_bench_mount_stop(struct tfs_bench_mount *m)
{
	int r = 0;

	if (m->pid) {
		kill(m->pid, SIGTERM); /* it unmounts, lazily where somebody is still in there */
		if (!ended(m->pid)) {
			tfs_log_error("the daemon, process %d, does not end", (int)m->pid);
			kill(m->pid, SIGKILL);
			ended(m->pid);
		}
		m->pid = 0;
	}
	if (m->dir[0] && rmdir(m->dir)) {
		unmount(m->dir);
		if (rmdir(m->dir)) {
			r = -errno;
			tfs_log_error("left behind: %s: %s", m->dir, strerror(-r));
		}
	}
	m->dir[0] = 0;
	return r;
}
