/* SPDX-License-Identifier: MIT */
#include "mount/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long one may take to end. */
enum { END_SECONDS = 2, LOOKS_PER_SECOND = 1000 };

/* --- Messages ---------------------------------------------------------------------------------------------------------- */

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(TFS_HELPER_FDS * sizeof(int))];
};

static size_t size_of(const struct tfs_message *m)
{
	return offsetof(struct tfs_message, data) + m->len;
}

static int send_message(int socket, const struct tfs_message *m, const int *fds, unsigned n_fds, int flags)
{
	struct iovec io = { .iov_base = (void *)m, .iov_len = size_of(m) };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	const size_t size = n_fds * sizeof *fds;
	union control control = { 0 };

	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_LEN(size);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size) };
		memcpy(CMSG_DATA(&control.header), fds, size);
	}
	ssize_t n;
	while ((n = sendmsg(socket, &msg, MSG_NOSIGNAL | flags)) < 0 && errno == EINTR)
		;
	return n == (ssize_t)io.iov_len ? 0 : n < 0 ? -errno : -EPIPE;
}

static void close_fds(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

/* With room for @most descriptors, and what its alignment adds: the kernel closes those for which there is none, and says so. */
static int receive_message(int socket, struct tfs_message *m, int *ret_fds, unsigned most, unsigned *ret_n)
{
	struct iovec io = { .iov_base = m, .iov_len = sizeof *m };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(most * sizeof(int))
	};
	const struct cmsghdr *c;
	ssize_t n;

	*ret_n = 0;
	while ((n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*ret_n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(ret_fds, CMSG_DATA(c), *ret_n * sizeof(int));
	}
	if (n <= 0)
		return -EPIPE;
	if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n >= (ssize_t)offsetof(struct tfs_message, data) &&
	    (size_t)n == size_of(m))
		return 0;
	close_fds(ret_fds, *ret_n);
	*ret_n = 0;
	return -EPROTO;
}

int tfs_message_text(struct tfs_message *m, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len > sizeof m->data.text)
		return -ENAMETOOLONG;
	memcpy(m->data.text, text, len);
	m->len = (uint32_t)len;
	return 0;
}

const char *tfs_message_path(const struct tfs_message *m)
{
	return m->len && m->len <= sizeof m->data.text && strnlen(m->data.text, m->len) == m->len - 1 ? m->data.text : NULL;
}

/* What may wait no longer than this for another one's answer, or for the last one: fusermount3 may take a while. */
enum { PATIENCE_SECONDS = 1, LAST_SECONDS = 3 };

static int lock_soon(struct tfs_helper *h)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until); /* not monotonic: ThreadSanitizer doesn't know pthread_mutex_clocklock() */
	until.tv_sec += PATIENCE_SECONDS;
	return pthread_mutex_timedlock(&h->lock, &until);
}

/* *@ret_fd: the descriptor that came with the answer, or -1. @soon: -EAGAIN, if somebody else's answer takes a while. */
static int ask(struct tfs_helper *h, struct tfs_message *m, const int *fds, unsigned n_fds, bool soon, int *ret_fd)
{
	unsigned n = 0;

	*ret_fd = -1;
	if (soon ? lock_soon(h) : pthread_mutex_lock(&h->lock))
		return -EAGAIN;
	int r = h->socket < 0 ? -EPIPE : send_message(h->socket, m, fds, n_fds, 0);
	if (!r)
		r = receive_message(h->socket, m, ret_fd, 1, &n);
	pthread_mutex_unlock(&h->lock);
	return r ? r : m->what;
}

int tfs_helper_ask(struct tfs_helper *h, struct tfs_message *m, int fd, int *ret_fd)
{
	int got, r = ask(h, m, &fd, fd >= 0, false, &got);

	if (ret_fd)
		*ret_fd = got;
	else if (got >= 0)
		close(got);
	return r;
}

int tfs_helper_ask_soon(struct tfs_helper *h, struct tfs_message *m, int fd)
{
	int got, r = ask(h, m, &fd, 1, true, &got);

	if (got >= 0)
		close(got);
	return r;
}

int tfs_helper_ask_last(struct tfs_helper *h, struct tfs_message *m)
{
	int got = -1, ready = 0, r = -EPIPE;
	unsigned n;

	if (!lock_soon(h)) {
		struct pollfd polled = { .fd = h->socket, .events = POLLIN };

		if (h->socket >= 0 && !send_message(h->socket, m, NULL, 0, MSG_DONTWAIT))
			while ((ready = poll(&polled, 1, LAST_SECONDS * 1000)) < 0 && errno == EINTR)
				; /* another signal to end */
		if (ready > 0)
			r = receive_message(h->socket, m, &got, 1, &n);
		pthread_mutex_unlock(&h->lock);
	}
	if (got >= 0)
		close(got);
	if (r)
		tfs_helper_dismiss(h);
	return r ? -EPIPE : m->what;
}

int tfs_helper_ask_with(struct tfs_helper *h, struct tfs_message *m, const int *fds, unsigned n)
{
	int got, r = ask(h, m, fds, n, false, &got);

	if (got >= 0)
		close(got);
	return r;
}

bool tfs_helper_tell(struct tfs_helper *h, const struct tfs_message *m)
{
	return h->socket >= 0 && !send_message(h->socket, m, NULL, 0, MSG_DONTWAIT);
}

bool tfs_helper_next(int socket, struct tfs_message *ret, int ret_fds[TFS_HELPER_FDS], unsigned most, unsigned *ret_n)
{
	return !receive_message(socket, ret, ret_fds, most, ret_n);
}

void tfs_helper_answer(int socket, const struct tfs_message *m, int fd)
{
	send_message(socket, m, &fd, fd >= 0, 0); /* if that fails, nobody waits for it */
}

/* --- The process ------------------------------------------------------------------------------------------------------- */

static struct {
	char *at;
	size_t size;
} arguments;

void tfs_helper_titles(int argc, char **argv)
{
	/* The kernel puts them one after another, and shows what is there. */
	arguments.at = argc ? argv[0] : NULL;
	arguments.size = argc ? (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]) : 0;
}

static void set_title(const char *title)
{
	prctl(PR_SET_NAME, title);
	if (!arguments.size)
		return;
	memset(arguments.at, 0, arguments.size);
	snprintf(arguments.at, arguments.size, "tensorfs: %s", title);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close everything above standard error but @kept, ended by -1, and @socket. */
static void close_others(const int *kept, int socket)
{
	enum { MOST = 8 };
	int fds[MOST], n = 0;

	fds[n++] = 2;
	fds[n++] = socket;
	for (; *kept >= 0 && n < MOST; kept++)
		fds[n++] = *kept;
	qsort(fds, (size_t)n, sizeof *fds, by_number);
	for (int i = 0; i < n; i++)
		if (i == n - 1 || fds[i + 1] > fds[i] + 1)
			close_range((unsigned)fds[i] + 1, i == n - 1 ? UINT_MAX : (unsigned)fds[i + 1] - 1, 0);
}

static _Noreturn void run(int socket, const int *kept, tfs_helper_fn *serve, void *arg)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

	for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	close_others(kept, socket);
	if (chdir("/")) {
		/* it only keeps a directory in use */
	}
	serve(socket, arg);
	_exit(0);
}

void tfs_helper_quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

int tfs_helper_start(struct tfs_helper *h, const char *title, const int *kept, tfs_helper_fn *serve, void *arg)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	fflush(NULL); /* or it writes it too */
	h->pid = fork();
	if (h->pid < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (!h->pid) {
		set_title(title);
		run(fds[1], kept, serve, arg);
	}
	close(fds[1]);
	h->socket = fds[0];
	return 0;
}

void tfs_helper_dismiss(struct tfs_helper *h)
{
	if (h->socket >= 0)
		shutdown(h->socket, SHUT_RDWR);
}

void tfs_helper_stop(struct tfs_helper *h)
{
	const struct timespec pause = { .tv_nsec = 1000000000 / LOOKS_PER_SECOND };

	if (h->socket >= 0)
		close(h->socket);
	h->socket = -1;
	/* It is not ours to kill, and may be in the middle of a request to storage that hangs. */
	for (int i = 0; h->pid > 0 && i < END_SECONDS * LOOKS_PER_SECOND && !waitpid(h->pid, NULL, WNOHANG); i++)
		nanosleep(&pause, NULL);
	h->pid = -1;
}
