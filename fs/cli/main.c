/* SPDX-License-Identifier: MIT */
/*
 * tensorfs: mount a model directory with every tensor in it as an ordinary file.
 *
 * In the background the parent stays until the mount answers, so that a script may go on with it in the next line. The child
 * does all the work, from the first look at the model on: no thread ever has to survive a fork.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/bench/bench.h"
#include "mount/daemon.h"
#include "cli/mount-options.h"
#include "mount/session.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static int run_in_background(const struct tfs_options *options)
{
	sigset_t signals;
	pid_t pid;

	/* Not to end before the daemon that is being started has. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (signal_fd < 0) {
		perror("tensorfs: signalfd");
		return EXIT_FAILED;
	}
	int r = tfs_daemon_start(options, signal_fd, &pid);
	if (r == -EINTR)
		fprintf(stderr, "tensorfs: interrupted, nothing is mounted\n");
	close(signal_fd);
	return r ? EXIT_FAILED : EXIT_OK;
}

/* What is done instead of mounting where this is the first argument. (A directory of that name is ./bench.) */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is what messages call it; returns the exit status */
} commands[] = {
	{ "bench", tfs_bench_main },
};

int main(int argc, char **argv)
{
	struct tfs_options options;

	for (size_t i = 0; argc > 1 && !tfs_options_helper(argv[0]) && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	switch (tfs_options_parse(argc, argv, &options)) {
	case TFS_PARSED_EXIT:
		return EXIT_OK;
	case TFS_PARSED_USAGE:
		return EXIT_USAGE;
	case TFS_PARSED_RUN:
		break;
	}
	int status = !tfs_session_knows(options.mount_options) ? EXIT_USAGE
		     : options.fake			       ? EXIT_OK
		     : options.foreground		       ? tfs_session_run(&options, -1)
							       : run_in_background(&options);
	tfs_options_fini(&options);
	return status;
}
