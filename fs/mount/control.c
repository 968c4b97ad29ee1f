/* SPDX-License-Identifier: MIT */
#include "mount/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "mount/ending.h"
#include "mount/stats.h"
#include "tree/resolve.h"

struct tfs_control {
	struct tfs_fs *fs;
	uint32_t which;
	/* Guards the line: writes to a file are serialised, but closing a duplicate descriptor may flush at the same time. */
	pthread_mutex_t lock;
	char line[TFS_PATH_SIZE];
	size_t len; /* sizeof line: too long */
};

bool tfs_control_writable(uint32_t which)
{
	return which == TFS_CONTROL_PREFETCH || which == TFS_CONTROL_EVICT || which == TFS_CONTROL_PIN;
}

struct tfs_control *tfs_control_open(struct tfs_fs *fs, uint32_t which)
{
	struct tfs_control *c = calloc(1, sizeof *c);

	if (c) {
		c->fs = fs;
		c->which = which;
		pthread_mutex_init(&c->lock, NULL);
	}
	return c;
}

void tfs_control_close(struct tfs_control *c)
{
	if (c)
		pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Add what @name refers to, except what has nothing to load: tensors without elements. Like tfs_resolve_name(). */
static int find_files(struct tfs_fs *fs, const char *name, struct tfs_files *files)
{
	size_t from = files->n, n = from;
	int r = tfs_resolve_name(fs->tree, name, files);

	for (size_t i = from; i < files->n; i++)
		if (tfs_set_tensor(&fs->model->sets[files->ids[i].set], files->ids[i].tensor)->nbytes)
			files->ids[n++] = files->ids[i];
	files->n = n;
	return r;
}

/* --- What is done with them -------------------------------------------------------------------------------------------- */

static int do_line(struct tfs_fs *fs, uint32_t which, const char *line)
{
	struct tfs_residency *residency = tfs_loader_residency(fs->loader);
	struct tfs_files files = { 0 };
	/* What can't be served isn't loaded; but what is in memory can be evicted in any case. */
	bool possible = which == TFS_CONTROL_EVICT || (residency && fs->passthrough);
	int r = possible ? find_files(fs, line, &files) : -EOPNOTSUPP;

	if (!r && which == TFS_CONTROL_PREFETCH)
		return tfs_loader_prefetch(fs->loader, files.ids, files.n);
	if (r || !residency)
		files.n = 0; /* what was found before the error isn't processed */
	for (size_t i = 0; i < files.n; i++) {
		int one;
		if (which == TFS_CONTROL_PIN) {
			one = tfs_residency_pin(residency, files.ids[i]);
			if (one == -ENOENT)
				one = 0;
		} else {
			tfs_residency_unpin(residency, files.ids[i]);
			one = tfs_residency_evict(residency, files.ids[i]);
			if (one == -ENOENT)
				one = 0; /* it already is where it should be */
		}
		if (one && !r)
			r = one;
	}
	free(files.ids);
	return r;
}

static int end_line(struct tfs_control *c)
{
	size_t len = c->len;

	c->len = 0;
	if (len == sizeof c->line)
		return -ENAMETOOLONG;
	while (len && c->line[len - 1] == '\r')
		len--;
	c->line[len] = 0;
	return len ? do_line(c->fs, c->which, c->line) : 0;
}

int tfs_control_write(struct tfs_control *c, const char *text, size_t len)
{
	int r = 0, one;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' && (one = end_line(c)) && !r)
			r = one;
		else if (text[i] != '\n' && c->len < sizeof c->line)
			c->line[c->len++] = text[i];
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

int tfs_control_flush(struct tfs_control *c)
{
	pthread_mutex_lock(&c->lock);
	int r = end_line(c);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is to be listed; NULL: out of memory. */
static struct tfs_file_id *listed(struct tfs_fs *fs, uint32_t which, size_t *ret_n)
{
	struct tfs_residency *residency = tfs_loader_residency(fs->loader);

	*ret_n = 0;
	if (which == TFS_CONTROL_PREFETCH)
		return tfs_loader_queued(fs->loader, ret_n);
	if (which == TFS_CONTROL_PIN && residency)
		return tfs_residency_pinned(residency, ret_n);
	return calloc(1, sizeof(struct tfs_file_id));
}

char *tfs_control_text(struct tfs_fs *fs, uint32_t which, const struct tfs_caller *caller)
{
	size_t n, shown = 0, len;
	char *text = NULL;

	cleanup_free struct tfs_file_id *ids = listed(fs, which, &n);
	char **paths = calloc(n + 1, sizeof *paths);
	FILE *f = ids && paths ? open_memstream(&text, &len) : NULL;
	bool bad = !f;
	for (size_t i = 0; i < n && !bad; i++) {
		if (caller && !tfs_access_tensor(tfs_tree_access(fs->tree), caller, ids[i].set, ids[i].tensor))
			continue;
		paths[shown] = tfs_resolve_path(fs->tree, ids[i]);
		bad = !paths[shown++];
	}
	if (!bad && which == TFS_CONTROL_PIN) /* the other one is sorted */
		qsort(paths, shown, sizeof *paths, by_path);
	for (size_t i = 0; i < shown; i++) {
		if (!bad)
			fprintf(f, "%s\n", paths[i]);
		free(paths[i]);
	}
	free(paths);
	if (f && (fclose(f) || bad)) {
		free(text);
		text = NULL;
	}
	return text;
}

/* A pipe is waited for, until somebody writes to it or a signal ends the session, which a read() that is about to wait wouldn't notice. */
static FILE *open_list(const struct tfs_fs *fs)
{
	enum { LOOK_EVERY = 100 }; /* milliseconds */
	struct pollfd polled = { .fd = fs->list_fd, .events = POLLIN };

	while (poll(&polled, 1, LOOK_EVERY) <= 0)
		if (tfs_ending_signal()) {
			errno = EINTR;
			return NULL;
		}
	fcntl(fs->list_fd, F_SETFL, O_RDONLY);
	return fdopen(fcntl(fs->list_fd, F_DUPFD_CLOEXEC, 0), "re");
}

int tfs_control_prefetch_list(struct tfs_fs *fs)
{
	cleanup_free char *line = NULL;
	struct tfs_files files = { 0 };
	size_t size = 0;
	const char *path = fs->options->prefetch_list;
	int r = 0;
	FILE *f = open_list(fs);

	if (!f) {
		r = -errno;
		tfs_log_error("--prefetch-list: %s: %s", path, strerror(-r));
		return r;
	}

	for (ssize_t n; !r && (n = getline(&line, &size, f)) >= 0;) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = 0;
		if (!n)
			continue;
		r = find_files(fs, line, &files);
		if (r && r != -ENOMEM) {
			tfs_log_warning("--prefetch-list: %s: nothing is named %.500s", path, line);
			r = 0;
		}
	}
	if (!r && ferror(f))
		r = -EIO;
	fclose(f);
	if (!r)
		r = tfs_loader_prefetch(fs->loader, tfs_steal(files.ids), files.n);
	free(files.ids);
	if (r)
		tfs_log_error("--prefetch-list: %s: %s", path, strerror(-r));
	return r;
}
