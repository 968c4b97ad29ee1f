/* SPDX-License-Identifier: MIT */
/* Reading what the kernel doesn't read directly: streams, originals if it refuses passthrough, texts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "base/file.h"
#include "mount/pending.h"
#include "mount/reply.h"
#include "mount/work.h"
#include "tree/listing.h"

/* A read of a stream. If the reader is killed, the request is answered and the read continues, its result unused. */
struct reading {
	struct tfs_read read;
	struct tfs_fs *fs;
	fuse_req_t req;
	struct tfs_watched watched;
	_Atomic unsigned users; /* the request that is not answered, the read that is not over */
};

static void reading_unref(struct reading *rd)
{
	if (!--rd->users)
		free(rd);
}

static bool give_up_reading(struct tfs_watched *w)
{
	(void)w;
	return true;
}

static void on_killed(struct tfs_watched *w)
{
	struct reading *rd = tfs_container_of(w, struct reading, watched);
	tfs_reply_error(rd->req, -EINTR);
	reading_unref(rd);
}

static void reply_reading(struct reading *rd, int result)
{
	struct tfs_read *r = &rd->read;

	if (tfs_watch_remove(&rd->fs->watch, &rd->watched)) {
		if (result) {
			tfs_reply_error(rd->req, result);
		} else if (r->fd >= 0) {
			struct fuse_bufvec v = FUSE_BUFVEC_INIT(r->len);
			v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
			v.buf[0].fd = r->fd;
			v.buf[0].pos = r->offset;
			fuse_reply_data(rd->req, &v, 0);
		} else {
			fuse_reply_iov(rd->req, r->iov, r->n_iov);
		}
		reading_unref(rd);
	}
	if (!result)
		tfs_read_release(r);
	reading_unref(rd);
}

static void on_read(struct tfs_read *r, int result)
{
	reply_reading((struct reading *)r, result);
}

static void read_stream(struct tfs_fs *fs, fuse_req_t req, struct tfs_stream *stream, uint64_t offset, size_t len)
{
	struct reading *rd = malloc(sizeof *rd);
	if (!rd) {
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	rd->read.done = on_read;
	rd->read.offset = offset;
	rd->read.len = len;
	rd->fs = fs;
	rd->req = req;
	tfs_came_by_ring(fs, req);
	rd->users = 2;
	rd->watched.tid = fuse_req_ctx(req)->pid;
	rd->watched.killed_only = true;
	rd->watched.give_up = give_up_reading;
	rd->watched.answer = on_killed;
	tfs_watch_add(&fs->watch, &rd->watched);
	int r = tfs_stream_read(stream, &rd->read);
	if (r != TFS_QUEUED)
		reply_reading(rd, r);
}

/* A read of an original file that the kernel doesn't read. */
struct native_read {
	struct tfs_work work; /* first */
	int fd;		      /* its own: whoever is killed meanwhile closes the file */
	uint64_t offset;
	size_t len;
	char *buf;
};

static int read_file(struct tfs_work *w)
{
	struct native_read *n = (struct native_read *)w;

	return tfs_file_read(n->fd, n->buf, n->len, n->offset, NULL) ? -EIO : 0;
}

static void free_native(struct tfs_work *w)
{
	struct native_read *n = (struct native_read *)w;

	if (n->fd >= 0)
		close(n->fd);
	free(n->buf);
	free(n);
}

/* All of the range or an error: the kernel would pad a short answer with zeros. */
static void answer_native(struct tfs_asking *a, struct tfs_work *w, int result)
{
	const struct native_read *n = (struct native_read *)w;

	if (result)
		tfs_reply_error(a->pending.req, result);
	else
		fuse_reply_buf(a->pending.req, n->buf, n->len);
}

static void read_native(struct tfs_fs *fs, fuse_req_t req, int fd, uint64_t offset, size_t len)
{
	struct native_read *n = malloc(sizeof *n);
	struct tfs_asking *a = malloc(sizeof *a);

	if (n)
		*n = (struct native_read){ .work = { .run = read_file, .free = free_native },
					   .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
					   .offset = offset,
					   .len = len,
					   .buf = malloc(len) };
	if (!n || !a || !n->buf || n->fd < 0) {
		if (n)
			free_native(&n->work);
		free(a);
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	tfs_work_init(&n->work);
	a->answer = answer_native;
	tfs_asking_arm(a, fs->storage_works, fs, req, true);
	tfs_work_submit(&n->work, a);
}

/* From a copy: once the kernel has the answer the file may be closed, and its text freed, while we are still in write(2). */
static void read_text(fuse_req_t req, const char *text, size_t len)
{
	cleanup_free char *copy = malloc(len);

	if (copy)
		fuse_reply_buf(req, memcpy(copy, text, len), len);
	else
		tfs_reply_error(req, -ENOMEM);
}

static void read_listing(fuse_req_t req, struct tfs_listing *listing, uint64_t offset, size_t len)
{
	cleanup_free char *buf = malloc(len ? len : 1);
	ssize_t n = buf ? tfs_listing_read(listing, offset, len, buf) : -ENOMEM;

	if (n < 0)
		tfs_reply_error(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void tfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct tfs_opened *o = (struct tfs_opened *)(uintptr_t)fi->fh;
	struct tfs_inode inode = tfs_ino_unpack(ino);
	uint64_t file_size = o->text_len, at = offset;

	if (o->listing) {
		read_listing(req, o->listing, at, size);
		return;
	}
	if (o->mode == TFS_OPEN_STREAM && inode.kind == TFS_INO_CONSOLIDATED)
		file_size = tfs_consolidated_size(tfs_tree_consolidated(fs->tree, inode));
	else if (o->mode == TFS_OPEN_NATIVE ||
		 (o->mode == TFS_OPEN_STREAM && (inode.kind == TFS_INO_NODE || inode.kind == TFS_INO_COPY)))
		file_size = fs->model->nodes[inode.node].id.size;
	else if (o->mode == TFS_OPEN_STREAM)
		file_size = tfs_file_layout(fs->model, tfs_file_of(inode)).size;
	if (at >= file_size)
		size = 0;
	else if (size > file_size - at)
		size = file_size - at;

	if (o->mode == TFS_OPEN_PASSTHROUGH)
		tfs_reply_error(req, -EIO); /* the kernel reads these directly */
	else if (!size)
		fuse_reply_buf(req, NULL, 0);
	else if (o->mode == TFS_OPEN_STREAM)
		read_stream(fs, req, o->stream, at, size);
	else if (o->mode == TFS_OPEN_NATIVE)
		read_native(fs, req, o->fd, at, size);
	else
		read_text(req, o->text + at, size);
}
