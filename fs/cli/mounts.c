/* SPDX-License-Identifier: MIT */
#include "cli/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"

/* Far more than it takes to answer, even on a busy machine. */
enum { PATIENCE_MS = 5000 };

/* By the option user_id=N, which the kernel shows for every mount of FUSE. */
static uid_t user_of(const struct mntent *entry)
{
	const char *option = hasmntopt(entry, "user_id"), *value = option ? strchr(option, '=') : NULL;

	return value ? (uid_t)strtoul(value + 1, NULL, 10) : 0;
}

int tfs_mounts_list(struct tfs_mounts *ret_mounts)
{
	static const char table[] = "/proc/self/mounts";
	struct tfs_mounts m = { 0 };
	const size_t size = 4 * PATH_MAX;
	cleanup_free char *buf = malloc(size);
	FILE *f = buf ? setmntent(table, "re") : NULL;
	struct mntent entry;
	int r = 0;

	if (!f) {
		r = -errno;
		tfs_log_error("%s: %s", table, strerror(-r));
		return r;
	}
	while (!r && getmntent_r(f, &entry, buf, (int)size)) {
		if (strcmp(entry.mnt_type, "fuse.tensorfs") != 0)
			continue;
		struct tfs_mount one = { strdup(entry.mnt_dir), strdup(entry.mnt_fsname), user_of(&entry) };
		if (!one.dir || !one.source || tfs_array_room(m.all, m.n, m.room)) {
			free(one.dir);
			free(one.source);
			r = -ENOMEM;
		} else {
			m.all[m.n++] = one;
		}
	}
	endmntent(f);
	if (r) {
		tfs_mounts_fini(&m);
		tfs_log_error("out of memory");
		return r;
	}
	*ret_mounts = m;
	return 0;
}

void tfs_mounts_fini(struct tfs_mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->all[i].dir);
		free(m->all[i].source);
	}
	free(m->all);
}

/* @path without links, though its last component, a mountpoint, isn't looked at; malloc()ed, or NULL. */
static char *absolute(const char *path)
{
	cleanup_free char *copy = strdup(path), *dir = NULL;
	char *all = NULL;

	if (!copy)
		return NULL;
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/';)
		copy[--len] = 0;
	char *slash = strrchr(copy, '/'), *name = slash ? slash + 1 : copy;
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return realpath(copy, NULL);
	if (slash)
		*slash = 0;
	dir = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (!dir || asprintf(&all, "%s/%s", strcmp(dir, "/") != 0 ? dir : "", name) < 0)
		return NULL;
	return all;
}

static const struct tfs_mount *find(const struct tfs_mounts *m, const char *path)
{
	for (size_t i = m->n; path && i--;)
		if (!strcmp(m->all[i].dir, path))
			return &m->all[i];
	return NULL;
}

const struct tfs_mount *tfs_mounts_find(const struct tfs_mounts *m, const char *path)
{
	cleanup_free char *at = absolute(path);
	const struct tfs_mount *found = find(m, at);

	if (found)
		return found;
	/* A link to a mountpoint. */
	cleanup_free char *real = realpath(path, NULL);
	return find(m, real);
}

/* --- Its stats ------------------------------------------------------------------------------------------------------------ */

/* The child: copy the file to @to. Exits with 0, or an errno. */
static void __attribute__((noreturn)) copy_stats(const char *dir, int to)
{
	char path[PATH_MAX + 32], buf[4096];
	ssize_t n = -1;

	snprintf(path, sizeof path, "%s/.tensorfs/stats.json", dir);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		_exit(errno);
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(to, buf, (size_t)n) != n)
			break;
	_exit(n < 0 ? errno : 0);
}

/* All that comes from @fd until it ends. NULL: it takes too long, or out of memory. */
static char *read_all(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0, room = 0;
	char *text = NULL;

	for (;;) {
		ssize_t n = -1;

		if (len + 1 >= room) {
			char *more = realloc(text, room = room ? 2 * room : 8192);
			if (!more)
				break;
			text = more;
		}
		if (poll(&p, 1, PATIENCE_MS) > 0)
			n = read(fd, text + len, room - len - 1);
		if (n < 0)
			break;
		len += (size_t)n;
		text[len] = 0;
		if (!n)
			return text;
	}
	free(text);
	return NULL;
}

json_t *tfs_mount_stats(const struct tfs_mount *m, int *ret_why)
{
	int pipe_fds[2], status = 0;

	*ret_why = -ENOMEM;
	if (pipe2(pipe_fds, O_CLOEXEC)) {
		*ret_why = -errno;
		return NULL;
	}
	const pid_t pid = fork();
	if (pid < 0) {
		*ret_why = -errno;
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		return NULL;
	}
	if (!pid)
		copy_stats(m->dir, pipe_fds[1]);
	close(pipe_fds[1]);
	cleanup_free char *text = read_all(pipe_fds[0]);
	close(pipe_fds[0]);
	if (!text) {
		/*
		 * Not waited for: SIGKILL ends waiting for a daemon that hasn't taken the request yet, but not for one that has and
		 * was stopped then (request_wait_answer() in Linux's fs/fuse/dev.c).
		 */
		kill(pid, SIGKILL);
		*ret_why = -ETIMEDOUT;
		return NULL;
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status)) {
		*ret_why = -WEXITSTATUS(status);
		return NULL;
	}
	return json_loads(text, 0, NULL);
}
