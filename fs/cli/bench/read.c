/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "cli/bench/impl.h"

/* One read(2). Large enough that the call costs nothing, small enough to stay in a CPU's cache; as much as one FUSE read. */
enum { READ_SIZE = 1 << 20 };

struct pass {
	const struct tfs_bench_reading *reading;
	const struct tfs_bench_work *work;
	int *dir_fds; /* of the mount's, as work->dirs; NULL: not reading there */
	int mount_fd;
	int done_fd; /* eventfd: a thread has ended */
	/* Each is independent; what threads leave behind is read after joining them. */
	_Atomic size_t next;   /* item */
	_Atomic uint64_t done; /* bytes */
	_Atomic bool stop;
	_Atomic int error; /* the first */
};

struct reader {
	struct pass *pass;
	pthread_t thread;
	bool weights, others; /* which it reads */
	uint64_t *buf;	      /* READ_SIZE bytes */
	uint64_t sum;
	double end;
	/* Native: the currently open source. */
	uint32_t source;
	int source_fd; /* -1: none */
};

static int fail(struct pass *p, int error, const char *what)
{
	int none = 0;

	/* One line, for the first: the others fail for the same reason, or because of it. */
	if (!p->stop && atomic_compare_exchange_strong(&p->error, &none, error))
		tfs_log_error("reading %s: %s", what, strerror(-error));
	p->stop = true;
	return error;
}

/* Checksum of the words of @len bytes, which begin at a word; a partial last word is padded with zeros. */
static uint64_t xor_of(const uint64_t *words, size_t len)
{
	uint64_t a = 0, b = 0, c = 0, d = 0, last = 0;
	size_t n = len / 8, i = 0;

	for (; i + 4 <= n; i += 4) {
		a ^= words[i];
		b ^= words[i + 1];
		c ^= words[i + 2];
		d ^= words[i + 3];
	}
	for (; i < n; i++)
		a ^= words[i];
	memcpy(&last, words + n, len % 8);
	return a ^ b ^ c ^ d ^ last;
}

/* --- Where a tensor's bytes come from: each reads the piece at @at into rd->buf --------------------------------------- */

static int read_file(struct reader *rd, void *from, uint64_t at, size_t len)
{
	return tfs_file_read(*(int *)from, rd->buf, len, at, NULL);
}

static int read_stream(struct reader *rd, void *from, uint64_t at, size_t len)
{
	return tfs_stream_pread(from, rd->buf, len, at);
}

static int read_all(struct reader *rd, int (*read_at)(struct reader *rd, void *from, uint64_t at, size_t len), void *from,
		    uint64_t begin, uint64_t size, uint64_t *sum)
{
	struct pass *p = rd->pass;

	for (uint64_t at = 0; at < size && !p->stop;) {
		size_t len = size - at < READ_SIZE ? size - at : READ_SIZE;
		int r = read_at(rd, from, begin + at, len);
		if (r)
			return r;
		*sum ^= xor_of(rd->buf, len);
		at += len;
		p->done += len;
	}
	return 0;
}

/* --- Tensors, one by one --------------------------------------------------------------------------------------------- */

static int read_native(struct reader *rd, const struct tfs_tensor *t, uint64_t *sum)
{
	if (rd->source_fd < 0 || rd->source != t->source) {
		if (rd->source_fd >= 0)
			close(rd->source_fd);
		rd->source = t->source;
		rd->source_fd = tfs_model_open_node(rd->pass->work->model, t->source, 0);
		if (rd->source_fd < 0)
			return rd->source_fd;
	}
	return read_all(rd, read_file, &rd->source_fd, t->offset, tfs_bench_source_bytes(t), sum);
}

static int map(struct reader *rd, int fd, uint64_t size)
{
	if (!size)
		return 0;
	const volatile uint8_t *first = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (first == MAP_FAILED)
		return -errno;
	(void)*first;
	munmap((void *)(uintptr_t)first, size);
	rd->pass->done++;
	return 0;
}

static int read_item(struct reader *rd, size_t i)
{
	struct pass *p = rd->pass;
	const struct tfs_bench_item *item = &p->work->items[i];
	const struct tfs_tensor *t = &p->work->model->sets[item->set].tensors[item->tensor];
	uint64_t sum = 0;
	int r = 0;

	if (p->dir_fds) {
		cleanup_fd int fd = openat(p->dir_fds[item->dir], item->name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = -errno;
		else if (p->reading->map)
			r = map(rd, fd, t->nbytes);
		else
			r = read_all(rd, read_file, &fd, 0, t->nbytes, &sum);
	} else if (p->reading->loader && t->nbytes) {
		struct tfs_streams *streams = tfs_loader_streams(p->reading->loader);
		struct tfs_stream *st = tfs_stream_open(streams, (struct tfs_file_id){ item->set, item->tensor, TFS_RAW });
		r = st ? read_all(rd, read_stream, st, 0, t->nbytes, &sum) : -ENOMEM;
		if (st)
			tfs_stream_close(st);
	} else if (t->nbytes) {
		r = read_native(rd, t, &sum);
	}
	if (r)
		return fail(p, r, item->name);
	/* A native read doesn't see an encoded tensor's decoded bytes. The index is part of the sum, so swapped tensors are
	 * detected. */
	if (!t->encoding)
		rd->sum += sum * (2 * (uint64_t)i + 1);
	return 0;
}

/* A file of the model, through the mount if there is one; @path is filled. -errno: the pass has failed. */
static int open_file(struct pass *p, uint32_t node, char path[static PATH_MAX])
{
	int fd = tfs_model_path(p->work->model, node, path, PATH_MAX);

	if (fd)
		return fail(p, fd, "a file of the model");
	fd = p->dir_fds ? openat(p->mount_fd, path, O_RDONLY | O_CLOEXEC) : tfs_model_open_node(p->work->model, node, 0);
	return fd < 0 ? fail(p, p->dir_fds ? -errno : fd, path) : fd;
}

static int read_other(struct reader *rd, uint32_t node)
{
	struct pass *p = rd->pass;
	char path[PATH_MAX];
	uint64_t sum = 0;

	cleanup_fd int fd = open_file(p, node, path);
	if (fd < 0)
		return fd;
	int r = read_all(rd, read_file, &fd, 0, p->work->model->nodes[node].id.size, &sum);
	return r ? fail(p, r, path) : 0;
}

/* A weight file, mapped, as programs do it that know nothing of us. */
static int read_whole(struct reader *rd, size_t i)
{
	struct pass *p = rd->pass;
	const uint32_t node = p->work->sources[i];
	const uint64_t size = p->work->model->nodes[node].id.size;
	char path[PATH_MAX];
	uint64_t sum = 0;

	cleanup_fd int fd = open_file(p, node, path);
	if (fd < 0)
		return fd;
	const uint8_t *map = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	if (map == MAP_FAILED)
		return fail(p, -errno, path);
	for (uint64_t at = 0; at < size && !p->stop; at += READ_SIZE) {
		size_t len = size - at < READ_SIZE ? size - at : READ_SIZE;
		sum ^= xor_of((const uint64_t *)(const void *)(map + at), len);
		p->done += len;
	}
	if (map)
		munmap((void *)(uintptr_t)map, size);
	rd->sum += sum * (2 * (uint64_t)i + 1);
	return 0;
}

static void *reader_main(void *arg)
{
	struct reader *rd = arg;
	struct pass *p = rd->pass;
	const uint64_t one = 1;

	const bool whole = p->reading->whole;
	for (size_t i; rd->weights && !p->stop && (i = p->next++) < (whole ? p->work->n_sources : p->work->n_items);)
		whole ? read_whole(rd, i) : read_item(rd, i);
	for (size_t i = 0; rd->others && !p->stop && i < p->work->n_others; i++)
		read_other(rd, p->work->others[i]);
	rd->end = tfs_now();
	if (rd->source_fd >= 0)
		close(rd->source_fd);
	if (write(p->done_fd, &one, sizeof one) != sizeof one)
		tfs_log_error("eventfd: %s", strerror(errno));
	return NULL;
}

/* --- The pass -------------------------------------------------------------------------------------------------------- */

/* Until all @n threads have ended; -EINTR once the user wanted to stop. */
static int wait_for_readers(struct pass *p, unsigned n)
{
	const struct tfs_bench_reading *reading = p->reading;
	struct pollfd polled[] = { { .fd = p->done_fd, .events = POLLIN }, { .fd = reading->signal_fd, .events = POLLIN } };
	uint64_t ended = 0, more;
	int r = 0;

	while (ended < n) {
		int ready = poll(polled, r ? 1 : 2, 50);
		if (ready > 0 && polled[0].revents && read(p->done_fd, &more, sizeof more) == sizeof more)
			ended += more;
		if (!r && ready > 0 && polled[1].revents) {
			r = -EINTR;
			p->stop = true;
			/* A thread may be waiting in an open or a read that only ends with the daemon; what is mapped needs it. */
			if (reading->mount && !reading->whole)
				tfs_bench_mount_stop(reading->mount);
		}
		tfs_progress_show(reading->progress, p->done);
	}
	return r;
}

static int open_mount(struct pass *p, const char *dir)
{
	p->mount_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->mount_fd < 0)
		return -errno;
	p->dir_fds = malloc(p->work->n_dirs * sizeof *p->dir_fds);
	if (!p->dir_fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->work->n_dirs; i++)
		p->dir_fds[i] = -1;
	for (uint32_t i = 0; i < p->work->n_dirs; i++) {
		p->dir_fds[i] = openat(p->mount_fd, p->work->dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (p->dir_fds[i] < 0)
			return -errno;
	}
	return 0;
}

static void close_mount(struct pass *p)
{
	for (uint32_t i = 0; p->dir_fds && i < p->work->n_dirs; i++)
		if (p->dir_fds[i] >= 0)
			close(p->dir_fds[i]);
	free(p->dir_fds);
	if (p->mount_fd >= 0)
		close(p->mount_fd);
}

static void init_reader(struct reader *rd, struct pass *p)
{
	*rd = (struct reader){ .pass = p, .source_fd = -1, .buf = malloc(READ_SIZE) };
	if (rd->buf)
		memset(rd->buf, 0, READ_SIZE); /* its pages aren't part of the measurement */
}

int tfs_bench_read(const struct tfs_bench_reading *reading, double *ret_seconds, uint64_t *ret_sum)
{
	/* An ordinary reader does one thing after the other; ours has another thread for configuration and tokenizer. */
	bool native = !reading->mount && !reading->loader, others = !reading->map && !reading->whole && reading->work->n_others;
	bool apart = !native && others;
	unsigned n = reading->readers + apart, started = 0;
	struct pass p = { .reading = reading, .work = reading->work, .mount_fd = -1, .done_fd = eventfd(0, EFD_CLOEXEC) };
	struct reader *readers = calloc(n, sizeof *readers);
	double begin = tfs_now(), end = begin;

	int r = p.done_fd < 0 ? -errno : readers ? 0 : -ENOMEM;
	for (unsigned i = 0; !r && i < n; i++) {
		init_reader(&readers[i], &p);
		readers[i].weights = i < reading->readers;
		readers[i].others = apart ? !readers[i].weights : others && !i;
		if (!readers[i].buf)
			r = -ENOMEM;
	}
	begin = tfs_now();
	if (!r && reading->mount)
		r = open_mount(&p, reading->mount->dir);
	while (!r && started < n) {
		r = tfs_thread_start(&readers[started].thread, "tfs-bench", reader_main, &readers[started]);
		started += !r;
	}
	if (r) {
		p.stop = true;
		tfs_log_error("reading: %s", strerror(-r));
	}
	int waited = wait_for_readers(&p, started);
	*ret_sum = 0;
	for (unsigned i = 0; i < started; i++) {
		pthread_join(readers[i].thread, NULL);
		*ret_sum += readers[i].sum;
		end = readers[i].end > end ? readers[i].end : end;
	}
	for (unsigned i = 0; readers && i < n; i++)
		free(readers[i].buf);
	free(readers);
	close_mount(&p);
	if (p.done_fd >= 0)
		close(p.done_fd);
	*ret_seconds = end - begin;
	return waited ? waited : r ? r : p.error;
}
