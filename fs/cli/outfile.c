/* SPDX-License-Identifier: MIT */
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"

int tfs_outfiles_init(struct tfs_outfiles *o)
{
	sigset_t signals;

	*o = (struct tfs_outfiles){ .fd = -1, .over = -1 };
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error like others */
	o->signals = signalfd(-1, &signals, SFD_CLOEXEC);
	return o->signals < 0 ? -errno : 0;
}

static int complain(const char *path, int r)
{
	tfs_log_error("%s: %s", path, r == -EINTR ? "interrupted" : strerror(-r));
	return r;
}

/* --- Signals -------------------------------------------------------------------------------------------------------------- */

static bool is_told(const struct tfs_outfiles *o)
{
	struct pollfd told = { .fd = o->signals, .events = POLLIN };

	return poll(&told, 1, 0) > 0;
}

/* Who writes looks for signals itself, but not while it waits for a network. */
static void *watch(void *arg)
{
	struct tfs_outfiles *o = arg;
	struct pollfd fds[] = { { .fd = o->over, .events = POLLIN }, { .fd = o->signals, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		tfs_loader_cancel(o->loader);
	return NULL;
}

int tfs_outfiles_watch(struct tfs_outfiles *o, struct tfs_loader *l)
{
	int r;

	o->loader = l;
	o->over = eventfd(0, EFD_CLOEXEC);
	r = o->over < 0 ? -errno : tfs_thread_start(&o->watcher, "tfs-signals", watch, o);
	if (r && o->over >= 0) {
		close(o->over);
		o->over = -1;
	}
	return r;
}

static void end_watch(struct tfs_outfiles *o)
{
	if (o->over < 0)
		return;
	eventfd_write(o->over, 1);
	pthread_join(o->watcher, NULL);
	close(o->over);
}

int tfs_outfiles_unread(const struct tfs_outfiles *o, const char *path, int r)
{
	return complain(path, is_told(o) ? -EINTR : r);
}

/* --- Writing -------------------------------------------------------------------------------------------------------------- */

static const struct tfs_outfile *last(const struct tfs_outfiles *o)
{
	return &o->files[o->n - 1];
}

/* For mkstemp(3): hidden, and in the same directory, so that it can be renamed. */
static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const int dir = slash ? (int)(slash + 1 - path) : 0;
	char *temp = NULL;

	/* mkostemp() wants six X, of which \130 is one: three in a row look like a marker for unfinished work. */
	if (asprintf(&temp, "%.*s.%.200s.X\130X\130X\130", dir, path, path + dir) < 0)
		return NULL;
	return temp;
}

/* As open(2) would have created it. There is no way to ask for the mask. */
static mode_t usual_mode(void)
{
	const mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

bool tfs_outfiles_is_source(const struct tfs_outfiles *o, const char *path)
{
	const struct tfs_model *m = o->source;
	struct stat st;

	if (!m || stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	for (size_t i = 0; i < m->n_nodes; i++)
		if (m->nodes[i].id.ino == st.st_ino && m->nodes[i].id.dev == st.st_dev)
			return true;
	return false;
}

int tfs_outfile_begin(struct tfs_outfiles *o, const char *path)
{
	if (tfs_outfiles_is_source(o, path)) {
		tfs_log_error("%s: is a file of the model that is read", path);
		return -EINVAL;
	}
	struct tfs_outfile f = { .path = strdup(path), .temp = temporary_name(path), .fd = -1 };

	if (!f.path || !f.temp || tfs_array_room(o->files, o->n, o->room)) {
		free(f.path);
		free(f.temp);
		return complain(path, -ENOMEM);
	}
	o->fd = mkostemp(f.temp, O_CLOEXEC);
	if (o->fd < 0) {
		const int r = -errno;
		free(f.path);
		free(f.temp);
		return complain(path, r);
	}
	o->files[o->n++] = f;
	o->at = 0;
	return fchmod(o->fd, usual_mode()) ? complain(path, -errno) : 0;
}

static int put(struct tfs_outfiles *o, uint64_t at, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		const bool told = is_told(o);
		const ssize_t n = told ? -1 : pwrite(o->fd, p, len, (off_t)at);

		if (told)
			return complain(last(o)->path, -EINTR);
		if (n < 0 && errno != EINTR)
			return complain(last(o)->path, -errno);
		if (n < 0)
			continue;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int tfs_outfile_write(struct tfs_outfiles *o, const void *data, size_t len)
{
	const int r = put(o, o->at, data, len);

	o->at += len;
	return r;
}

int tfs_outfile_patch(struct tfs_outfiles *o, uint64_t at, const void *data, size_t len)
{
	return put(o, at, data, len);
}

/* --- Flushing ------------------------------------------------------------------------------------------------------------- */

/*
 * One at a time, each of many small files would wait for a commit of the journal and for the disk's cache; together they share
 * these. A file is still flushed through the descriptor that wrote it, which is told of any error.
 */
enum { TOGETHER = 128, THREADS = 32 };
#define TOGETHER_BYTES ((uint64_t)64 << 20)

struct flush {
	struct tfs_outfiles *o;
	_Atomic size_t next;
};

static void *flush_some(void *arg)
{
	struct flush *f = arg;

	for (size_t i; (i = f->next++) < f->o->n;) {
		struct tfs_outfile *file = &f->o->files[i];

		file->error = fsync(file->fd) ? -errno : 0;
		if (close(file->fd) && !file->error)
			file->error = -errno;
		file->fd = -1;
	}
	return NULL;
}

/* All files that have ended. */
static int flush(struct tfs_outfiles *o)
{
	const size_t from = o->n_flushed;
	struct flush f = { .o = o, .next = from };
	pthread_t threads[THREADS];
	size_t n = 0;
	int r = 0;

	while (n < THREADS && n + 1 < o->n - from && !tfs_thread_start(&threads[n], "tfs-flush", flush_some, &f))
		n++;
	flush_some(&f);
	while (n)
		pthread_join(threads[--n], NULL);
	for (size_t i = from; i < o->n && !r; i++)
		if (o->files[i].error)
			r = complain(o->files[i].path, o->files[i].error);
	o->n_flushed = o->n;
	o->unflushed = 0;
	return r;
}

/* Most of the descriptors that a process may have are for others. */
static size_t most_together(void)
{
	struct rlimit l;

	return !getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur / 4 < TOGETHER ? l.rlim_cur / 4 : TOGETHER;
}

int tfs_outfile_end(struct tfs_outfiles *o)
{
	o->files[o->n - 1].fd = o->fd;
	o->fd = -1;
	o->unflushed += o->at;
	return o->n - o->n_flushed >= most_together() || o->unflushed >= TOGETHER_BYTES ? flush(o) : 0;
}

/* --- Names ---------------------------------------------------------------------------------------------------------------- */

/* The names in the directory of @path. Some file systems can't do that for directories, and don't need it. */
static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	cleanup_fd int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0)
		(void)fsync(fd);
}

/* Give @f its name. What had it has the temporary one then, where the file system can do that: so it can be given back. */
static int place(struct tfs_outfile *f)
{
	struct stat st;
	const bool is_new = lstat(f->path, &st) != 0;

	/* rename() would refuse that, too, but they can be swapped. */
	if (!is_new && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!is_new && !renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->path, RENAME_EXCHANGE)) {
		f->state = TFS_OUTFILE_SWAPPED;
		return 0;
	}
	if (rename(f->temp, f->path))
		return -errno;
	f->state = is_new ? TFS_OUTFILE_NEW : TFS_OUTFILE_REPLACED;
	return 0;
}

static void take_back(struct tfs_outfile *f)
{
	if (f->state == TFS_OUTFILE_NEW)
		unlink(f->path);
	else if (f->state == TFS_OUTFILE_SWAPPED && !renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->path, RENAME_EXCHANGE))
		f->state = TFS_OUTFILE_TEMPORARY;
}

int tfs_outfiles_publish(struct tfs_outfiles *o)
{
	const int flushed = flush(o);

	if (flushed)
		return flushed;
	for (size_t i = 0; i < o->n; i++) {
		const int r = place(&o->files[i]);

		if (!r)
			continue;
		complain(o->files[i].path, r);
		while (i--)
			take_back(&o->files[i]);
		return r;
	}
	if (o->n)
		sync_directory(o->files[0].path); /* all are in one */
	return 0;
}

void tfs_outfiles_fini(struct tfs_outfiles *o)
{
	end_watch(o);
	if (o->fd >= 0)
		close(o->fd);
	for (size_t i = 0; i < o->n; i++) {
		if (o->files[i].fd >= 0)
			close(o->files[i].fd);
		if (o->files[i].state == TFS_OUTFILE_TEMPORARY || o->files[i].state == TFS_OUTFILE_SWAPPED)
			unlink(o->files[i].temp);
		free(o->files[i].temp);
		free(o->files[i].path);
	}
	free(o->files);
	if (o->signals >= 0)
		close(o->signals);
}
