/* SPDX-License-Identifier: MIT */
/*
 * slow SOURCE MOUNTPOINT LATENCY_MS MB_PER_S READAHEAD_KIB: the directory SOURCE again, read-only, on storage that is slow to answer,
 * as network file systems and object stores are. Each request is answered after LATENCY_MS, and all of them share a link of MB_PER_S.
 * Runs in the background until it is unmounted.
 *
 * The file .slow at its top, which no listing shows, has what was requested so far: "reads N", "bytes N" and "waiting N", a line each.
 *
 * To look for .hold there has it stop answering, as a network file system does whose server is gone: whoever has asked for anything that
 * the kernel doesn't have waits, and not even SIGKILL ends that. To look for .hold-close has it answer everything, but who closes a file
 * that he opens from then on waits in the same way. To look for .go ends both.
 */
#define FUSE_USE_VERSION 317
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { REPLIERS = 4, BACKGROUND = 64, MOST_CLOSING = 256 };

static const char counters_name[] = ".slow";

/* A file or directory that was looked up; never freed. Its address is its inode number, but for the root. */
struct node {
	struct node *next;
	char *path; /* NULL: the counters */
};

/*
 * A request on its way. Requests arrive at the end of the link in the order in which they were sent, so a queue is enough.
 */
struct request {
	struct request *next;
	fuse_req_t req;
	struct timespec due;
	int fd; /* a read; -1: @answer */
	size_t len;
	off_t offset;
	void (*answer)(fuse_req_t req, struct node *node);
	struct node *node;
};

static struct node root, counters;
static double latency, bytes_per_second, link_free_at;
static unsigned readahead_kib;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct request *first, **last = &first;
static _Atomic uint64_t reads, bytes, waiting;
static _Atomic bool held, held_closes;

/* Closes that wait; requests come one at a time. */
static fuse_req_t closing[MOST_CLOSING];
static unsigned n_closing;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- The link -------------------------------------------------------------------------------------------------------- */

static void send_off(struct request r)
{
	struct request *q = malloc(sizeof *q);
	double t = now();

	if (!q) {
		fuse_reply_err(r.req, ENOMEM);
		return;
	}
	*q = r;
	pthread_mutex_lock(&lock);
	link_free_at = (link_free_at > t ? link_free_at : t) + (double)r.len / bytes_per_second;
	double due = link_free_at > t + latency ? link_free_at : t + latency;
	q->due = (struct timespec){ (time_t)due, (long)((due - (double)(time_t)due) * 1e9) };
	*last = q;
	last = &q->next;
	waiting++;
	pthread_cond_signal(&arrived);
	pthread_mutex_unlock(&lock);
}

static void answer_read(const struct request *q)
{
	char *buf = malloc(q->len);
	ssize_t n = buf ? pread(q->fd, buf, q->len, q->offset) : -1;

	if (n < 0) {
		fuse_reply_err(q->req, EIO);
	} else {
		reads++;
		bytes += (uint64_t)n;
		fuse_reply_buf(q->req, buf, (size_t)n);
	}
	free(buf);
}

static void *reply(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!first)
			pthread_cond_wait(&arrived, &lock);
		struct request *q = first;
		first = q->next;
		if (!first)
			last = &first;
		pthread_mutex_unlock(&lock);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &q->due, NULL);
		while (held)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		waiting--;
		if (q->fd >= 0)
			answer_read(q);
		else
			q->answer(q->req, q->node);
		free(q);
	}
	return arg;
}

/* --- Operations ------------------------------------------------------------------------------------------------------ */

static bool attributes_of(struct node *n, struct stat *st)
{
	if (!n->path)
		*st = (struct stat){ .st_mode = S_IFREG | 0444, .st_nlink = 1 };
	else if (stat(n->path, st))
		return false;
	st->st_ino = n == &root ? FUSE_ROOT_ID : (uintptr_t)n;
	return true;
}

static void answer_entry(fuse_req_t req, struct node *n)
{
	struct fuse_entry_param e = { .attr_timeout = 3600, .entry_timeout = 3600 };

	if (!attributes_of(n, &e.attr)) {
		fuse_reply_err(req, errno);
		return;
	}
	e.ino = e.attr.st_ino;
	fuse_reply_entry(req, &e);
}

static struct node *find(const char *path)
{
	static struct node *all; /* requests come one at a time */
	struct node *n = all;

	while (n && strcmp(n->path, path))
		n = n->next;
	if (!n && (n = calloc(1, sizeof *n)) && (n->path = strdup(path))) {
		n->next = all;
		all = n;
	}
	return n;
}

/* Is it one of the names that say what to hold? Done then. */
static bool is_order(const char *name)
{
	bool go = !strcmp(name, ".go"), hold = !strcmp(name, ".hold"), hold_close = !strcmp(name, ".hold-close");

	if (hold || go)
		held = hold;
	if (hold_close || go)
		held_closes = hold_close;
	while (go && n_closing)
		fuse_reply_err(closing[--n_closing], 0);
	return hold || go || hold_close;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	char path[4096];
	struct node *dir = node_of(parent), *n = &counters;

	if (dir == &root && is_order(name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	snprintf(path, sizeof path, "%s/%s", dir->path, name);
	if (dir != &root || strcmp(name, counters_name))
		n = find(path);
	if (!n)
		fuse_reply_err(req, ENOMEM);
	else if (!n->path)
		answer_entry(req, n);
	else
		send_off((struct request){ .req = req, .fd = -1, .answer = answer_entry, .node = n });
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (attributes_of(node_of(ino), &st))
		fuse_reply_attr(req, &st, 3600);
	else
		fuse_reply_err(req, errno);
}

static void answer_open(fuse_req_t req, struct node *n)
{
	struct fuse_file_info fi = { .keep_cache = 1, .noflush = !held_closes };
	int fd = open(n->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	fi.fh = (uint64_t)fd;
	if (fuse_reply_open(req, &fi))
		close(fd);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
	} else if (n->path) {
		send_off((struct request){ .req = req, .fd = -1, .answer = answer_open, .node = n });
	} else {
		fi->direct_io = 1;
		fuse_reply_open(req, fi);
	}
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	if (held_closes && n_closing < MOST_CLOSING)
		closing[n_closing++] = req;
	else
		fuse_reply_err(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (node_of(ino)->path)
		close((int)fi->fh);
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	char text[128];

	if (node_of(ino)->path) {
		send_off((struct request){ .req = req, .fd = (int)fi->fh, .len = size, .offset = offset });
		return;
	}
	int n = snprintf(text, sizeof text, "reads %llu\nbytes %llu\nwaiting %llu\n", (unsigned long long)reads,
			 (unsigned long long)bytes, (unsigned long long)waiting);
	fuse_reply_buf(req, text + (offset < n ? offset : n), offset < n ? (size_t)(n - offset) : 0);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	char *buf = malloc(size);
	size_t used = 0;
	off_t at = 0;
	DIR *d = opendir(node_of(ino)->path);

	(void)fi;
	for (struct dirent *e; buf && d && (e = readdir(d));) {
		struct stat st = { .st_ino = e->d_ino, .st_mode = (mode_t)e->d_type << 12 };

		if (at++ < offset)
			continue;
		size_t need = fuse_add_direntry(req, buf + used, size - used, e->d_name, &st, at);
		if (need > size - used)
			break;
		used += need;
	}
	if (d)
		closedir(d);
	fuse_reply_buf(req, buf, used);
	free(buf);
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->max_readahead = readahead_kib << 10;
	conn->max_background = conn->congestion_threshold = BACKGROUND;
}

/*
 * What is told in INIT can only lower the kernel's readahead; more than its 128 KiB takes a write to sysfs, which is what an
 * administrator would do, too. Once it is mounted, and looked at from outside.
 */
static void *set_readahead(void *mountpoint)
{
	struct stat st;
	char path[64];

	if (stat(mountpoint, &st))
		return NULL;
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
	FILE *f = fopen(path, "we");
	if (f) {
		fprintf(f, "%u", readahead_kib);
		fclose(f);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct fuse_lowlevel_ops ops = {
		.init = op_init,
		.lookup = op_lookup,
		.getattr = op_getattr,
		.open = op_open,
		.read = op_read,
		.flush = op_flush,
		.release = op_release,
		.readdir = op_readdir,
	};
	char *mount_args[] = { argv[0], (char[]){ "-oro,allow_other,default_permissions,fsname=slow" } };
	struct fuse_args args = FUSE_ARGS_INIT(2, mount_args);
	pthread_t thread;

	root.path = argc == 6 ? realpath(argv[1], NULL) : NULL;
	char *mountpoint = argc == 6 ? realpath(argv[2], NULL) : NULL;
	if (!root.path || !mountpoint) {
		fprintf(stderr, "usage: slow SOURCE MOUNTPOINT LATENCY_MS MB_PER_S READAHEAD_KIB\n");
		return 2;
	}
	latency = atof(argv[3]) * 1e-3;
	bytes_per_second = atof(argv[4]) * 1e6;
	readahead_kib = (unsigned)atoi(argv[5]);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
	if (!session || fuse_session_mount(session, mountpoint) || fuse_daemonize(0))
		return 1;
	for (int i = 0; i < REPLIERS; i++)
		if (pthread_create(&thread, NULL, reply, NULL))
			return 1;
	if (readahead_kib > 128)
		pthread_create(&thread, NULL, set_readahead, mountpoint);
	int r = fuse_session_loop(session);
	fuse_session_unmount(session);
	_exit(r != 0); /* threads may still be answering: nothing of theirs is freed */
}
