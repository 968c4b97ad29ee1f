/* SPDX-License-Identifier: MIT */
#include "mount/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "mount/daemon.h"
#include "mount/mountpoint.h"
#include "mount/notify.h"
#include "mount/sandbox.h"

/* One that lived for so long is replaced at once. One that didn't waits, each time twice as long as before. */
enum { LONG_SECONDS = 10, FIRST_PAUSE = 1, LONGEST_PAUSE = 60 };

/* Without pidfd_open(2), that is before Linux 5.3, we look so often whether it lives. */
enum { LOOK_MS = 200 };

struct supervisor {
	struct tfs_options options; /* with absolute paths */
	char *paths[4];		    /* owned */
	int signal_fd;
	pid_t pid;
	int mount; /* its id */
	double since;
	unsigned pause; /* seconds before the next start */
	bool asked;	/* to end */
};

/* --- What is ours ------------------------------------------------------------------------------------------------------ */

/* As we don't stay in the caller's directory. */
static bool make_absolute(struct supervisor *s, int i, const char **path)
{
	const bool relative = *path && **path != '/' && !tfs_model_path_is_remote(*path);
	cleanup_free char *here = relative ? getcwd(NULL, 0) : NULL;

	if (!relative)
		return true;
	if (!here || asprintf(&s->paths[i], "%s/%s", here, *path) < 0)
		return false;
	*path = s->paths[i];
	return true;
}

static void leave_caller(const struct supervisor *s)
{
	const char *log = s->options.log_file;
	int file = log ? open(log, O_WRONLY | O_APPEND | O_CLOEXEC) : -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (chdir("/"))
		tfs_log_warning("chdir /: %s", strerror(errno));
	if (file >= 0)
		tfs_log_to_file(file);
	else
		tfs_log_to_syslog("tensorfs");
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/*
 * What the next daemon needs before it gives up what it has (confine.c), and a signal to it as another user. Programs that are executed
 * may only become nobody, as tensorfs-fetch does. Before the first start, so that the others can do what that could.
 */
static void keep_little(void)
{
	static const uint64_t kept = TFS_CAP(CAP_CHOWN) | TFS_CAP(CAP_DAC_OVERRIDE) | TFS_CAP(CAP_DAC_READ_SEARCH) |
				     TFS_CAP(CAP_KILL) | TFS_CAP(CAP_SETGID) | TFS_CAP(CAP_SETUID) | TFS_CAP(CAP_SETPCAP) |
				     TFS_CAP(CAP_SYS_ADMIN) | TFS_CAP(CAP_SYS_NICE) | TFS_CAP(CAP_SYS_RESOURCE);

	if (!tfs_has_cap(CAP_SYS_ADMIN)) /* fusermount3 mounts, which is set-user-ID */
		return;
	int r = tfs_keep_caps(kept, TFS_CAP(CAP_SETUID) | TFS_CAP(CAP_SETGID));
	if (r)
		tfs_log_warning("--restart: dropping privileges: %s", strerror(-r));
}

/* --- The daemon -------------------------------------------------------------------------------------------------------- */

static int start(struct supervisor *s)
{
	int r = tfs_daemon_start(&s->options, s->signal_fd, &s->pid);

	s->since = tfs_now();
	s->mount = r ? 0 : tfs_mounted_at(s->options.mountpoint).id;
	return r;
}

/* A signal for us is one for the daemon. */
static void pass_on(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof info) != sizeof info)
		return;
	s->asked = true;
	kill(s->pid, (int)info.ssi_signo);
}

/* Wait for its end. Returns how, as waitpid(2) does. */
static int watch(struct supervisor *s)
{
	cleanup_fd int process = (int)syscall(SYS_pidfd_open, s->pid, 0);
	struct pollfd polled[] = { { .fd = s->signal_fd, .events = POLLIN }, { .fd = process, .events = POLLIN } };
	int status = 0;

	while (waitpid(s->pid, &status, WNOHANG) != s->pid)
		if (poll(polled, 2, process < 0 ? LOOK_MS : -1) > 0 && polled[0].revents)
			pass_on(s);
	return status;
}

/* False: we were told to end. */
static bool wait_before_start(struct supervisor *s)
{
	struct pollfd polled = { .fd = s->signal_fd, .events = POLLIN };

	if (tfs_now() - s->since >= LONG_SECONDS)
		s->pause = 0;
	int r = poll(&polled, 1, (int)s->pause * 1000);
	s->pause = !s->pause ? FIRST_PAUSE : s->pause * 2 < LONGEST_PAUSE ? s->pause * 2 : LONGEST_PAUSE;
	return r <= 0;
}

/* What a killed daemon leaves behind. Somebody may have unmounted it already, or mounted something over it. */
static void clear(const struct supervisor *s)
{
	if (s->mount && tfs_mounted_at(s->options.mountpoint).id == s->mount)
		tfs_mountpoint_clear(s->options.mountpoint);
}

static int keep_it(struct supervisor *s)
{
	for (;;) {
		int status = watch(s);

		if (!WIFEXITED(status) || WEXITSTATUS(status))
			clear(s);
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (s->asked)
			return 0;
		tfs_log_error("the daemon of %s (process %d) was killed by signal %d (%s), and is started again",
			      s->options.mountpoint, (int)s->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
		do {
			if (!wait_before_start(s))
				return 0;
		} while (start(s));
	}
}

/* From here on who waits may end. */
static void report(int fd)
{
	if (fd < 0)
		return;
	prctl(PR_SET_PDEATHSIG, 0);
	if (write(fd, "", 1) != 1)
		tfs_log_warning("nobody waits for the mount any more");
	close(fd);
}

int tfs_supervise(const struct tfs_options *options, int signal_fd, int report_fd)
{
	struct supervisor s = { .options = *options, .signal_fd = signal_fd };
	bool good = make_absolute(&s, 0, &s.options.model_dir) && make_absolute(&s, 1, &s.options.mountpoint) &&
		    make_absolute(&s, 2, &s.options.log_file) && make_absolute(&s, 3, &s.options.prefetch_list);
	cleanup_fd int manager = options->foreground ? tfs_notify_open() : -1;
	cleanup_free char *mountpoint = good ? realpath(s.options.mountpoint, NULL) : NULL;
	int status = 1;

	keep_little();
	if (!good) {
		tfs_log_error("out of memory");
	} else if (tfs_mountpoint_fd(s.options.mountpoint) >= 0) {
		tfs_log_error("--restart: %s is mounted by another program, and can be served only once", s.options.mountpoint);
	} else {
		if (mountpoint) /* otherwise the daemon reports it */
			s.options.mountpoint = mountpoint;
		int r = start(&s);

		if (r == -EINTR)
			tfs_log_error("interrupted, nothing is mounted");
		if (!r) {
			report(report_fd);
			tfs_notify_ready(manager, s.options.model_dir, s.options.mountpoint);
			if (!options->foreground)
				leave_caller(&s);
			status = keep_it(&s);
			tfs_notify(manager, "STOPPING=1");
		}
	}
	for (unsigned i = 0; i < sizeof s.paths / sizeof *s.paths; i++)
		free(s.paths[i]);
	return status;
}

/* --- In the background ------------------------------------------------------------------------------------------------- */

int tfs_supervise_in_background(const struct tfs_options *options, int signal_fd)
{
	pid_t parent = getpid();
	int fds[2], status;
	char byte;

	if (pipe2(fds, O_CLOEXEC)) {
		tfs_log_error("a pipe: %s", strerror(errno));
		return 1;
	}
	fflush(NULL); /* or the child writes it too */
	pid_t pid = fork();
	if (!pid) {
		close(fds[0]);
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* until it has reported */
		if (getppid() != parent)
			exit(1);
		exit(tfs_supervise(options, signal_fd, fds[1]));
	}
	close(fds[1]);
	struct pollfd polled[] = { { .fd = fds[0], .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
	while (pid > 0 && poll(polled, 2, -1) < 0 && errno == EINTR)
		;
	if (pid > 0 && polled[1].revents && !polled[0].revents)
		kill(pid, SIGTERM);
	bool mounted = pid > 0 && read(fds[0], &byte, 1) == 1;
	close(fds[0]);
	if (pid < 0)
		tfs_log_error("starting a process: %s", strerror(errno));
	if (!mounted && pid > 0)
		waitpid(pid, &status, 0);
	return !mounted;
}
