/* SPDX-License-Identifier: MIT */
/* credential_process: a program of the user's, whose output is JSON. It isn't run by a shell. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "fetch/aws.h"

/* How long it may take. */
enum { SECONDS = 30, MAX_WORDS = 64 };

char **tfs_aws_split(const char *line)
{
	char **words = calloc(MAX_WORDS + 1, sizeof *words), *to = malloc(strlen(line) + 1), quote = 0;
	size_t n = 0;
	bool inside = false;

	if (!words || !to)
		goto bad;
	words[0] = to;
	for (; *line; line++) {
		if (!quote && strchr(" \t\n", *line)) {
			if (inside)
				*to++ = 0;
			inside = false;
			continue;
		}
		if (!inside) {
			if (n == MAX_WORDS)
				goto bad;
			words[n++] = to;
			inside = true;
		}
		if (quote ? *line == quote : *line == '"' || *line == '\'')
			quote = quote ? 0 : *line;
		else if (*line == '\\' && quote != '\'' && line[1])
			*to++ = *++line;
		else
			*to++ = *line;
	}
	*to = 0;
	if (!quote && n)
		return words;
bad:
	if (words && words[0])
		free(words[0]);
	else
		free(to);
	free(words);
	return NULL;
}

void tfs_aws_end_process(struct tfs_aws *a)
{
	if (!a->child.pid)
		return;
	tfs_watch_stop(&a->f->loop, &a->child.watch);
	tfs_timer_stop(&a->child.timer);
	close(a->child.watch.fd);
	kill(-a->child.pid, SIGKILL);
	waitpid(a->child.pid, NULL, 0);
	a->child.pid = 0;
	explicit_bzero(a->child.text, sizeof a->child.text);
	a->child.len = 0;
}

static void on_timeout(struct tfs_timer *t)
{
	struct tfs_aws *a = tfs_container_of(t, struct tfs_aws, child.timer);

	tfs_aws_end_process(a);
	tfs_aws_fail(a, "it took longer than 30 s");
}

static void on_output(struct tfs_watch *w)
{
	struct tfs_aws *a = tfs_container_of(w, struct tfs_aws, child.watch);
	ssize_t n = read(w->fd, a->child.text + a->child.len, sizeof a->child.text - a->child.len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		a->child.len += (size_t)n;
	if (n > 0 && a->child.len < sizeof a->child.text)
		return;
	if (n > 0)
		tfs_aws_fail(a, "it wrote more than 16 KiB");
	else
		tfs_aws_take_json(a, a->child.text, a->child.len);
	tfs_aws_end_process(a);
}

/* Only what is safe after fork(), as libcurl may have threads that look up names. */
static _Noreturn void become(char **words, int out)
{
	sigset_t none;

	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(out, STDOUT_FILENO) >= 0)
		execvp(words[0], words);
	_exit(127);
}

void tfs_aws_run_process(struct tfs_aws *a)
{
	char **words = tfs_aws_split(a->process);
	int fds[2];

	if (!words) {
		tfs_aws_fail(a, "its command line has a quote that isn't closed, or more than 64 words");
		return;
	}
	if (pipe2(fds, O_CLOEXEC)) {
		tfs_aws_fail(a, strerror(errno));
		goto out;
	}
	a->child.pid = fork();
	if (!a->child.pid)
		become(words, fds[1]);
	close(fds[1]);
	if (a->child.pid < 0) {
		a->child.pid = 0;
		tfs_aws_fail(a, strerror(errno));
		close(fds[0]);
		goto out;
	}
	setpgid(a->child.pid, a->child.pid);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	a->child.watch = (struct tfs_watch){ .fd = fds[0], .run = on_output };
	tfs_watch_start(&a->f->loop, &a->child.watch);
	a->child.timer.run = on_timeout;
	tfs_timer_set(&a->f->loop, &a->child.timer, tfs_now() + SECONDS);
out:
	free(words[0]);
	free(words);
}
