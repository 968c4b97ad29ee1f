/* SPDX-License-Identifier: MIT */
#include "remote/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "config.h"
#include "remote/protocol.h"

#define PROGRAM "tensorfs-fetch"

static const struct tfs_spawner *spawner;

void tfs_spawn_by(const struct tfs_spawner *by)
{
	spawner = by;
}

/* Where it is: as TENSORFS_FETCH says, unless we have privileges that the caller hasn't; beside us; where it is installed. */
static bool find_program(char path[static PATH_MAX])
{
	const char *given = secure_getenv("TENSORFS_FETCH");
	ssize_t n;
	char *slash;

	if (given)
		return snprintf(path, PATH_MAX, "%s", given) < PATH_MAX && !access(path, X_OK);
	n = readlink("/proc/self/exe", path, PATH_MAX - sizeof PROGRAM);
	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		strcpy(slash + 1, PROGRAM);
		if (!access(path, X_OK))
			return true;
	}
	return snprintf(path, PATH_MAX, "%s/%s", TFS_LIBEXECDIR, PROGRAM) < PATH_MAX && !access(path, X_OK);
}

/*
 * No capability, and none by what is executed: with this even root's exec gives none that we don't have (capabilities(7)). But root's
 * fetcher keeps what it needs to become nobody, which it does once it has read the credentials that only root may read.
 */
static int give_up_privileges(void)
{
	const uint32_t of_root = 1u << CAP_SETUID | 1u << CAP_SETGID;
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = { 0 }, kept[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (!geteuid() && !syscall(SYS_capget, &h, have))
		kept[0].effective = kept[0].permitted = have[0].permitted & of_root;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &h, kept) ? -errno : 0;
}

/* In the child, of a process that may have threads: only what is safe in a signal handler. */
static _Noreturn void become(const char *program, int null, int socket, int memory, bool debug)
{
	static const struct rlimit no_core = { 0, 0 }; /* a core would have the tokens */
	char *argv[] = { (char *)PROGRAM, NULL };
	sigset_t none;
	/* First out of the way of the numbers that they are to have. */
	int s = fcntl(socket, F_DUPFD, 10), m = fcntl(memory, F_DUPFD, 10);

	if (s < 0 || m < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || (!debug && dup2(null, 2) < 0) ||
	    dup2(s, TFS_FETCH_SOCKET) < 0 || dup2(m, TFS_FETCH_MEMORY) < 0)
		_exit(126);
	close_range(TFS_FETCH_MEMORY + 1, UINT_MAX, 0);
	setsid();
	setrlimit(RLIMIT_CORE, &no_core);
	if (chdir("/") || give_up_privileges())
		_exit(126);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(program, argv);
	_exit(127);
}

int tfs_spawn_fetcher(int socket, int memory, pid_t *ret_pid, struct tfs_error *err)
{
	char program[PATH_MAX];
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool debug = tfs_log_enabled(TFS_LOG_DEBUG); /* in the foreground; else our starter's end of a pipe would stay open */
	pid_t pid;

	if (spawner)
		return spawner->start(spawner->arg, socket, memory, ret_pid, err);
	if (!find_program(program))
		return tfs_error_set(err, -ENOENT, TFS_NO_OFFSET,
				     "%s isn't installed, which remote models need (package tensorfs-remote)", PROGRAM);
	if (null < 0)
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "/dev/null: %s", strerror(errno));
	pid = fork();
	if (!pid)
		become(program, null, socket, memory, debug);
	if (pid < 0)
		return tfs_error_set(err, -errno, TFS_NO_OFFSET, "starting %s: %s", PROGRAM, strerror(errno));
	*ret_pid = pid;
	return 0;
}

void tfs_spawn_kill(pid_t pid)
{
	if (spawner)
		spawner->kill(spawner->arg, pid);
	else
		kill(pid, SIGKILL);
}

int tfs_spawn_end(pid_t pid)
{
	int status = 0;

	if (spawner)
		return spawner->end(spawner->arg, pid);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void tfs_spawn_forget_credentials(void)
{
	/* As fetch/hf.c, aws.c and libcurl read them; a proxy's URL may have a password in it. */
	static const char *const names[] = { "HF_TOKEN",	  "HUGGING_FACE_HUB_TOKEN",
					     "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
					     "http_proxy",	  "https_proxy",
					     "HTTPS_PROXY",	  "all_proxy",
					     "ALL_PROXY" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *value = getenv(names[i]);

		if (value)
			explicit_bzero(value, strlen(value));
	}
}
