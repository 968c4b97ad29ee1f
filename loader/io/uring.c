/* SPDX-License-Identifier: MIT */
/*
 * The first tier: io_uring with O_DIRECT. One thread has many reads under way and meanwhile does what the finished ones need.
 * Buffers and files are registered where the kernel lets us, so that it need not look them up and pin them for each read.
 */
#include "io/engine.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Sources that are registered at a time: those of one load or two; another one takes the place of the oldest. */
enum { FILES = 32 };

struct tfs_io_context {
	struct io_uring ring;
	bool buffers, files;	 /* registered */
	uint64_t sources[FILES]; /* by serial number; 0: empty */
	unsigned next_file;
};

static int set_up(struct tfs_io_context *c, unsigned depth)
{
	/* Completions only when we ask for them, by the one thread that submits: no interrupts of what it does (Linux 6.1, 5.19). */
	static const unsigned flags[] = {
#if defined(IORING_SETUP_DEFER_TASKRUN) && defined(IORING_SETUP_SINGLE_ISSUER)
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
#ifdef IORING_SETUP_COOP_TASKRUN
		IORING_SETUP_COOP_TASKRUN,
#endif
		0,
	};
	int r = -EINVAL;

	for (unsigned i = 0; r == -EINVAL && i < sizeof flags / sizeof *flags; i++) {
		memset(&c->ring, 0, sizeof c->ring);
		r = io_uring_queue_init(depth, &c->ring, flags[i]);
	}
	return r;
}

static int create(unsigned depth, struct tfs_io_context **ret_context)
{
	struct tfs_io_context *c = calloc(1, sizeof *c);
	int none[FILES], r;

	if (!c)
		return -ENOMEM;
	r = set_up(c, depth);
	if (r) {
		free(c);
		return r;
	}
	memset(none, -1, sizeof none); /* places to be filled: Linux 5.5 */
	c->files = !io_uring_register_files(&c->ring, none, FILES);
	*ret_context = c;
	return 0;
}

static void destroy(struct tfs_io_context *c)
{
	if (!c)
		return;
	io_uring_queue_exit(&c->ring);
	free(c);
}

static void set_buffers(struct tfs_io_context *c, uint8_t *const *buffers, unsigned n, size_t size)
{
	struct iovec *v;

	if (c->buffers)
		io_uring_unregister_buffers(&c->ring);
	c->buffers = false;
	v = buffers ? calloc(n, sizeof *v) : NULL;
	for (unsigned i = 0; v && i < n; i++)
		v[i] = (struct iovec){ buffers[i], size };
	/* Refused where more memory may not be locked (RLIMIT_MEMLOCK): then each read pins its own. */
	c->buffers = v && !io_uring_register_buffers(&c->ring, v, n);
	free(v);
}

/* The place at which the source is registered, or -1. */
static int file_place(struct tfs_io_context *c, const struct tfs_source *s)
{
	int fd = s->direct_fd;

	if (!c->files)
		return -1;
	for (int i = 0; i < FILES; i++)
		if (c->sources[i] == s->serial)
			return i;
	unsigned place = c->next_file++ % FILES;
	/* Reads that are under way keep the file they began with. */
	c->sources[place] = 0;
	if (io_uring_register_files_update(&c->ring, place, &fd, 1) != 1)
		return -1;
	c->sources[place] = s->serial;
	return (int)place;
}

/* Submit what is still to be read of @io. */
static int submit(struct tfs_io_context *c, struct tfs_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);
	int place = file_place(c, io->source), r;

	if (!sqe)
		return -EBUSY;
	if (io->slot >= 0 && c->buffers)
		io_uring_prep_read_fixed(sqe, io->source->direct_fd, io->buf + io->got, io->want - io->got, io->from + io->got,
					 io->slot);
	else
		io_uring_prep_read(sqe, io->source->direct_fd, io->buf + io->got, io->want - io->got, io->from + io->got);
	if (place >= 0) {
		sqe->fd = place;
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	}
	io_uring_sqe_set_data(sqe, io);
	/* Those taken back may stand before it, and the kernel may stop after any of them. */
	do
		r = io_uring_submit(&c->ring);
	while (r == -EINTR || r == -EAGAIN || (r > 0 && io_uring_sq_ready(&c->ring)));
	if (r > 0)
		return 0;
	/* It was not taken. When a later submission takes it along, the memory may be somebody else's: make it nothing. */
	io_uring_prep_nop(sqe);
	sqe->flags = 0;
	io_uring_sqe_set_data(sqe, NULL);
	return r < 0 ? r : -EBUSY;
}

static enum tfs_queued queue(struct tfs_io_context *c, struct tfs_io *io)
{
	io->from = io->offset / TFS_IO_ALIGN * TFS_IO_ALIGN;
	io->want = (io->offset + io->len - io->from + TFS_IO_ALIGN - 1) / TFS_IO_ALIGN * TFS_IO_ALIGN;
	io->got = 0;
	io->data = io->buf + (io->offset - io->from);
	io->code = submit(c, io);
	return io->code ? TFS_IO_DONE : TFS_IO_QUEUED;
}

static struct tfs_io *reap(struct tfs_io_context *c)
{
	for (;;) {
		struct io_uring_cqe *cqe;
		int r = io_uring_wait_cqe(&c->ring, &cqe);

		if (r) {
			/* Interrupted, or out of something for the moment: what is under way will end, whatever we are told here. */
			const struct timespec pause = { .tv_nsec = 1000000 };
			if (r != -EINTR)
				nanosleep(&pause, NULL);
			continue;
		}
		struct tfs_io *io = io_uring_cqe_get_data(cqe);
		int n = cqe->res;
		io_uring_cqe_seen(&c->ring, cqe);
		if (!io)
			continue; /* one that was taken back */
		if (n > 0)
			io->got += n;
		if (io->from + io->got >= io->offset + io->len)
			io->code = 0;
		else if (n == -EINTR || (n > 0 && n % TFS_IO_ALIGN == 0))
			io->code = submit(c, io);
		else
			io->code = n < 0 ? n : -EIO; /* the file ends here, it seems: the tier below decides */
		if (!io->code && io->from + io->got < io->offset + io->len)
			continue;
		return io;
	}
}

const struct tfs_engine tfs_engine_uring = {
	.name = "uring",
	.create = create,
	.destroy = destroy,
	.set_buffers = set_buffers,
	.queue = queue,
	.reap = reap,
};
