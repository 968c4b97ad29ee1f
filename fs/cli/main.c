/* SPDX-License-Identifier: MIT */
/*
 * tensorfs: mount a model directory with every tensor in it as an ordinary file, or run another command on it.
 *
 * In the background the parent stays until the mount answers, so a script can use it in the next line. The child does all the work,
 * starting with scanning the model: no thread ever has to survive a fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/mount-options.h"
#include "cli/terminal.h"
#include "model/model.h"
#include "mount/daemon.h"
#include "mount/helper.h"
#include "mount/session.h"
#include "mount/supervise.h"

/* In a process of its own, or with one that looks after it. */
static int run_with_others(const struct tfs_options *options)
{
	sigset_t signals;
	pid_t pid;

	/* Don't exit before the daemon that is being started. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (signal_fd < 0) {
		perror("tensorfs: signalfd");
		return TFS_EXIT_FAILED;
	}
	int r = options->restart && options->foreground ? tfs_supervise(options, signal_fd, -1) :
		options->restart			? tfs_supervise_in_background(options, signal_fd) :
							  tfs_daemon_start(options, signal_fd, &pid);
	if (r == -EINTR)
		fprintf(stderr, "tensorfs: interrupted, nothing is mounted\n");
	close(signal_fd);
	return r ? TFS_EXIT_FAILED : TFS_EXIT_OK;
}

/* --- What the starter has left open -------------------------------------------------------------------------------- */

/*
 * Without a descriptor 0, 1 or 2 the next file that is opened would become it: the model's directory, until the daemon detaches
 * from the terminal and puts /dev/null there. Writing to standard output fails as before, with EBADF: a command whose output is lost
 * must not succeed. False: /dev/null can't be opened.
 */
static bool open_standard(void)
{
	/* open() returns the lowest number that is free. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd)
			return false;
	return true;
}

/* The first number above @fd that an argument names as /dev/fd/N, or as /proc/self/fd/N; UINT_MAX: none. */
static unsigned next_named(int argc, char **argv, unsigned fd)
{
	static const char dir[] = "/fd/";
	unsigned best = UINT_MAX;

	for (int i = 1; i < argc; i++)
		for (const char *s = argv[i]; (s = strstr(s, dir)); s += strlen(dir)) {
			unsigned long n = strtoul(s + strlen(dir), NULL, 10);

			if (n > fd && n < best)
				best = (unsigned)n;
		}
	return best;
}

/*
 * Close what was inherited: a daemon would hold a lock, the end of a pipe that somebody waits for, or a file on a disk that is to be
 * unmounted, as long as the mount exists. Except what the arguments name.
 */
static void close_inherited(int argc, char **argv)
{
	for (unsigned fd = 2, next; fd != UINT_MAX; fd = next) {
		next = next_named(argc, argv, fd);
		if (next > fd + 1)
			close_range(fd + 1, next == UINT_MAX ? UINT_MAX : next - 1, 0);
	}
}

/* --- Commands -------------------------------------------------------------------------------------------------------- */

#define ROW(name) &tfs_##name##_command,
static const struct tfs_command *const commands[] = { TFS_COMMANDS(ROW) NULL };

static const struct tfs_command *find(const char *word)
{
	for (int i = 0; commands[i]; i++)
		if (!strcmp(tfs_command_word(commands[i]), word))
			return commands[i];
	return NULL;
}

static int mount_model(int argc, char **argv)
{
	struct tfs_options options;

	enum tfs_parsed parsed = tfs_options_parse(argc, argv, commands, &options);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	int status = !tfs_session_knows(options.mount_options) ? TFS_EXIT_USAGE :
		     options.fake			       ? TFS_EXIT_OK :
		     options.foreground && !options.restart    ? tfs_session_run(&options, -1) :
								 run_with_others(&options);
	tfs_options_fini(&options);
	return status;
}

static int run_help(int argc, char **argv)
{
	static char program[] = "tensorfs", help[] = "--help";
	char *of_program[] = { program, help, NULL };
	int first;

	enum tfs_parsed parsed = tfs_command_parse(&tfs_help_command, argc, argv, NULL, NULL, &first);
	if (parsed != TFS_PARSED_RUN)
		return tfs_parsed_status(parsed);
	const struct tfs_command *c = first < argc ? find(argv[first]) : NULL;
	if (first < argc && !c) {
		tfs_complain("tensorfs help: %s: unknown command", argv[first]);
		tfs_complain("Try 'tensorfs help'.");
		return TFS_EXIT_USAGE;
	}
	optind = 0; /* restart getopt */
	if (!c)
		return mount_model(2, of_program);
	char *of_command[] = { argv[first], help, NULL };
	return tfs_command_run(c, 2, of_command);
}

const struct tfs_command tfs_help_command = {
	.name = "tensorfs help",
	.summary = "show help for a command",
	.operands = "[COMMAND]",
	.max_operands = 1,
	.about = "Print a command's help, as its --help does; without a COMMAND, that of mounting, which lists the commands.",
	.status = "Exit status: 0 printed, 2 usage error. See tensorfs(1).",
	.run = run_help,
};

/* A word that must be meant as a command, as no file has that name. */
static bool is_unknown(const char *word)
{
	struct stat st;
	return word[0] && word[0] != '-' && !strchr(word, '/') && !tfs_model_path_is_remote(word) && lstat(word, &st) &&
	       errno == ENOENT;
}

int main(int argc, char **argv)
{
	if (!open_standard())
		return TFS_EXIT_FAILED; /* nowhere to say it */
	close_inherited(argc, argv);
	tfs_helper_titles(argc, argv);
	if (argc < 2 || tfs_options_helper(argv[0]))
		return mount_model(argc, argv);
	/* A directory named like a command is written ./NAME. */
	const struct tfs_command *c = find(argv[1]);
	if (c)
		return tfs_command_run(c, argc - 1, argv + 1);
	if (is_unknown(argv[1])) {
		tfs_complain("tensorfs: %s: no such command or model", argv[1]);
		tfs_complain("Try 'tensorfs help'.");
		return TFS_EXIT_USAGE;
	}
	return mount_model(argc, argv);
}
