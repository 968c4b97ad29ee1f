/* SPDX-License-Identifier: MIT */
#include "mount/daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mount/mountpoint.h"
#include "mount/session.h"

/* A daemon that is exiting frees the memory of everything resident: terabytes may take this long. */
enum { END_SECONDS = 120, LOOKS_PER_SECOND = 500 };

static _Noreturn void serve(const struct tfs_options *options, int starter_fd, pid_t parent)
{
	sigset_t none;

	/* Only the parent handles Ctrl-C, and then ends us properly; if it dies, we get a signal, too. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	exit(tfs_session_run(options, starter_fd));
}

/* Wait for @pid to exit; false: it doesn't. */
static bool ended(pid_t pid, int *ret_status)
{
	const struct timespec pause = { .tv_nsec = 1000000000 / LOOKS_PER_SECOND };
	pid_t r;

	for (int i = 0; !(r = waitpid(pid, ret_status, WNOHANG)) || (r < 0 && errno == EINTR); i++) {
		if (i == END_SECONDS * LOOKS_PER_SECOND)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Returns how it ended, as waitpid(2) does. */
static int wait_for_end(pid_t pid)
{
	int status = 0;

	if (!ended(pid, &status)) {
		tfs_log_error("the daemon (process %d) doesn't exit", (int)pid);
		kill(pid, SIGKILL);
		ended(pid, &status);
	}
	return status;
}

void tfs_daemon_stop(pid_t pid)
{
	kill(pid, SIGTERM); /* it unmounts, lazily if the mount is still in use */
	wait_for_end(pid);
}

/* Until the child is ready. 0; -EINTR: the user wants to stop; -ENODEV: the child has exited. */
static int wait_until_ready(int fd, int signal_fd)
{
	struct pollfd polled[] = { { .fd = fd, .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
	char byte;

	while (poll(polled, 2, -1) < 0 && errno == EINTR)
		;
	if (polled[1].revents)
		return -EINTR;
	return read(fd, &byte, 1) == 1 ? 0 : -ENODEV;
}

/* As the first real user would see it: the kernel may not like the answer to its INIT. */
static int try_mount(const char *mountpoint)
{
	struct stat st;

	if (tfs_mountpoint_fd(mountpoint) >= 0) /* only its owner knows where that is mounted */
		return 0;
	return stat(mountpoint, &st) ? -errno : 0;
}

/* Release the child. False: it ended before. */
static bool tell_answered(int fd)
{
	char byte;

	return send(fd, "", 1, MSG_NOSIGNAL) == 1 && read(fd, &byte, 1) == 1;
}

int tfs_daemon_start(const struct tfs_options *options, int signal_fd, pid_t *ret_pid)
{
	cleanup_free char *path = realpath(options->mountpoint, NULL); /* if it isn't one, the child reports it */
	int before = path ? tfs_mounted_at(path).id : 0, fds[2];
	pid_t parent = getpid(), pid = -1;

	int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ? -errno : 0;
	fflush(NULL); /* or the child writes it too */
	if (!r && (pid = fork()) < 0) {
		r = -errno;
		close(fds[0]);
		close(fds[1]);
	}
	if (r) {
		tfs_log_error("starting a process: %s", strerror(-r));
		return r;
	}
	if (!pid) {
		close(fds[0]);
		serve(options, fds[1], parent);
	}
	close(fds[1]);
	r = wait_until_ready(fds[0], signal_fd);
	int answer = r ? 0 : try_mount(options->mountpoint);
	if (!r && !answer && tell_answered(fds[0])) {
		close(fds[0]);
		*ret_pid = pid;
		return 0;
	}
	if (r == -EINTR)
		kill(pid, SIGTERM);
	close(fds[0]); /* which ends a child that is ready */
	int status = wait_for_end(pid);
	if (path && tfs_mounted_at(path).id != before)
		tfs_mountpoint_clear(path);
	if (r == -EINTR)
		return r;
	if (WIFSIGNALED(status))
		tfs_log_error("killed by signal %d (%s) before the mount answered: nothing is mounted", WTERMSIG(status),
			      strsignal(WTERMSIG(status)));
	else if (!WEXITSTATUS(status)) /* or it has reported the error */
		tfs_log_error("%s does not answer: %s", options->mountpoint, strerror(answer ? -answer : EPIPE));
	return -ENODEV;
}
