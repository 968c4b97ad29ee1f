/* SPDX-License-Identifier: MIT */
/*
 * A process of ours that has rights which the daemon gives up, and does what it is asked for over a socket, one request at a time.
 * It ends when the daemon does, however that ends, as nobody has the other end of the socket then.
 */
#ifndef TFS_FS_HELPER_H
#define TFS_FS_HELPER_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* As many descriptors can go with a request; with an answer one. */
enum { TFS_HELPER_FDS = 32 };

/* A request, and an answer to one. What is in @data is said by who defines the requests. */
struct tfs_message {
	int32_t what;  /* request: which; answer: the result, 0 or more, or -errno */
	int32_t flags; /* request: see there */
	uint32_t len;  /* of @data */
	uint32_t none; /* 0, where there would be bytes of nobody's */
	union {
		char text[PATH_MAX]; /* in a request: ends with a NUL */
		struct stat st;
		struct {
			uint64_t offset;
			uint32_t n;
		} pages;
		int32_t ids[TFS_HELPER_FDS];
		uint8_t map[512];
	} data;
};

struct tfs_helper {
	pthread_mutex_t lock; /* one request at a time */
	int socket;	      /* -1: it doesn't run */
	pid_t pid;
};

#define TFS_HELPER_NONE ((struct tfs_helper){ .lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1, .pid = -1 })

/* Where the program's arguments are, to be overwritten by the titles of helpers. For main(). */
void tfs_helper_titles(int argc, char **argv);

/*
 * Start one that runs @serve, which returns when tfs_helper_next() says so; the process ends then. It keeps open standard input,
 * output and error, its end of the socket, and @kept (ended by -1), and ignores SIGINT, SIGTERM and SIGHUP, which are for the daemon.
 * @title: what ps(1) shows. Call it before there are threads. 0 or -errno.
 */
typedef void tfs_helper_fn(int socket, void *arg);
int tfs_helper_start(struct tfs_helper *h, const char *title, const int *kept, tfs_helper_fn *serve, void *arg);

/* Have it end once it has done what it was asked for; who asks later gets -EPIPE. Any thread, at any time. */
void tfs_helper_dismiss(struct tfs_helper *h);

/* Close the socket, upon which it ends, and wait for that. Also if it doesn't run. */
void tfs_helper_stop(struct tfs_helper *h);

/*
 * Ask for @m with the descriptor @fd (-1: none), and replace it by the answer, with *@ret_fd, which is the caller's (-1: none; NULL:
 * not expected). Returns the answer's result; -EPIPE: the helper is gone. Thread-safe.
 */
int tfs_helper_ask(struct tfs_helper *h, struct tfs_message *m, int fd, int *ret_fd);

/* The same with @fd; none is expected. -EAGAIN: it answers somebody else, and that takes a while: perhaps it waits for storage that hangs. */
int tfs_helper_ask_soon(struct tfs_helper *h, struct tfs_message *m, int fd);

/* The same without one, and without patience: if there is no answer soon it is dismissed, and that is -EPIPE. */
int tfs_helper_ask_last(struct tfs_helper *h, struct tfs_message *m);

/* The same with the @n descriptors @fds; none is expected. */
int tfs_helper_ask_with(struct tfs_helper *h, struct tfs_message *m, const int *fds, unsigned n);

/*
 * Send @m, which has no answer. Waits for nothing: false if it isn't sent, as too many that were haven't been dealt with, or the helper is
 * gone. Thread-safe.
 */
bool tfs_helper_tell(struct tfs_helper *h, const struct tfs_message *m);

/* Set the text of a request. -ENAMETOOLONG. */
int tfs_message_text(struct tfs_message *m, const char *text);

/* --- In the helper ----------------------------------------------------------------------------------------------------- */

/* Standard input, output and error become /dev/null: nobody's pipe or terminal is kept open by it. */
void tfs_helper_quiet(void);

/*
 * Wait for the next request. With it came the *@ret_n descriptors @ret_fds, up to @most, which are the caller's. False: there will be none.
 * A request whose length is wrong, or that came with more descriptors, ends it too: it isn't one of ours.
 */
bool tfs_helper_next(int socket, struct tfs_message *ret, int ret_fds[TFS_HELPER_FDS], unsigned most, unsigned *ret_n);

/* The text of a request, or NULL: it isn't one that ends within it. */
const char *tfs_message_path(const struct tfs_message *m);

/* Answer with @m, with the descriptor @fd or -1. */
void tfs_helper_answer(int socket, const struct tfs_message *m, int fd);

#endif
