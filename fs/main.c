/* SPDX-License-Identifier: MIT */
/*
 * tensorfs: mount a model directory with every tensor in it as an ordinary file.
 *
 * In the background the parent stays until the mount answers, so that a script may go on with it in the next line. The child
 * does all the work, from the first look at the model on: no thread ever has to survive a fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "options.h"
#include "session.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

/* The child says that it is ready, or ends. */
static int wait_until_ready(pid_t child, int ready_fd, const char *mountpoint)
{
	char byte;
	ssize_t n;
	int status;
	struct stat st;

	do
		n = read(ready_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		/* The handshake is on its way; this waits until it is over, as the first real user would. */
		if (!stat(mountpoint, &st))
			return EXIT_OK;
		fprintf(stderr, "tensorfs: %s does not answer: %s\n", mountpoint, strerror(errno));
		return EXIT_FAILED;
	}
	if (waitpid(child, &status, 0) < 0 || WIFEXITED(status))
		return EXIT_FAILED; /* it has said why */
	fprintf(stderr, "tensorfs: ended by signal %d (%s) before the mount was there\n", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return EXIT_FAILED;
}

static int run_in_background(const struct tfs_options *options)
{
	int ready[2];

	if (pipe2(ready, O_CLOEXEC)) {
		perror("tensorfs: pipe");
		return EXIT_FAILED;
	}
	pid_t child = fork();
	if (child < 0) {
		perror("tensorfs: fork");
		return EXIT_FAILED;
	}
	if (child) {
		close(ready[1]);
		return wait_until_ready(child, ready[0], options->mountpoint);
	}
	close(ready[0]);
	setsid();
	return tfs_session_run(options, ready[1]);
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

	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
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
	int status = options.foreground ? tfs_session_run(&options, -1) : run_in_background(&options);
	tfs_options_fini(&options);
	return status;
}
