/* SPDX-License-Identifier: MIT */
/*
 * Opening and reading files. A tensor's open takes no thread while its bytes are on their way:
 *
 *   open ── already open? ── share its mode
 *        └─ hold() ── resident ───────────────────────────► register the backing file, answer: passthrough
 *                  ├─ queued … done() in a loader's thread ─┘
 *                  └─ too large, too slow, no room, no passthrough ──► open a stream, answer: read it from us
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "caller.h"
#include "fs.h"
#include "hashes.h"
#include "keys.h"
#include "control.h"
#include "listing.h"
#include "pending.h"
#include "readahead.h"
#include "text.h"

/* Of the kernel, in streamed files: two reads, so that one is on its way while the other is being used. */
#define READAHEAD (2 * TFS_STREAM_MAX_READ)

/* --- Open ------------------------------------------------------------------------------------------------------------ */

/* Close what an entry that is in no table has open. @req: any request of the session, or NULL when the session has ended. */
static void take_apart(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	struct tfs_inode inode = tfs_ino_unpack(o->ino);

	/* The backing id first: the lease test would find the file in use. */
	if (o->backing_id && req)
		fuse_passthrough_close(req, o->backing_id);
	if (o->held)
		tfs_residency_drop(tfs_loader_residency(fs->loader), tfs_file_of(inode));
	if (o->stream)
		tfs_stream_close(o->stream);
	if (o->fd >= 0)
		close(o->fd);
	tfs_listing_close(o->listing);
	tfs_control_close(o->control);
	free(o->text);
	free(o);
}

static struct tfs_opened *opened_create(uint64_t ino, enum tfs_open_mode mode)
{
	struct tfs_opened *o = calloc(1, sizeof *o);
	if (o) {
		o->ino = ino;
		o->mode = mode;
		o->fd = -1;
	}
	return o;
}

static void release(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	o = tfs_opened_put(o->mode == TFS_OPEN_TEXT ? &fs->texts : &fs->opened, o);
	if (o)
		take_apart(fs, req, o);
}

/* Answer an open with @o, whose count has it already. */
static void reply_open(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	struct fuse_file_info fi = {
		.fh = (uintptr_t)o,
		.noflush = !o->control, /* nothing was written: spare a round trip at each close */
	};

	if (o->mode == TFS_OPEN_PASSTHROUGH)
		fi.backing_id = o->backing_id;
	else if (o->mode == TFS_OPEN_TEXT && tfs_ino_unpack(o->ino).kind == TFS_INO_CONTROL)
		fi.direct_io = 1; /* its content is of the moment */
	else
		fi.keep_cache = 1; /* what was read stays true */
	fs->opens[o->mode]++;
	if (o->mode == TFS_OPEN_STREAM)
		fs->streamed[o->reason]++;
	/* Before the answer: the kernel looks up the readahead of a file when its open has returned. */
	if (o->mode == TFS_OPEN_STREAM && fs->device && !atomic_exchange(&fs->readahead, true))
		tfs_set_readahead(fs->device, READAHEAD >> 10);
	if (fuse_reply_open(req, &fi) == -ENOENT) {
		/* The kernel gave the request up; there will be no release. The session is gone or going, and with it the id. */
		release(fs, NULL, o);
	}
}

/* Register @fd, which stays the caller's, as backing file: its id, or 0 where the kernel does not want it. */
static int register_backing(struct tfs_fs *fs, fuse_req_t req, int fd)
{
	errno = 0;
	int id = fuse_passthrough_open(req, fd);
	/* Without privilege it will never work; other errors are about this file (a stacked file system, say). */
	if (id <= 0 && errno == EPERM && atomic_exchange(&fs->passthrough, false)) {
		tfs_log_warning("the kernel refuses backing files (%s); tensors are streamed from now on", strerror(errno));
		tfs_loader_give_up_residency(fs->loader);
	}
	return id > 0 ? id : 0;
}

/* One open more of what is open; its stripe is locked. */
static void join(struct tfs_fs *fs, struct tfs_opened *o)
{
	o->opens++;
	fs->joined++;
}

/* The file is open already: open it once more the same way. False: it is not. */
static bool share(struct tfs_fs *fs, fuse_req_t req, uint64_t ino)
{
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	if (o)
		join(fs, o);
	tfs_opened_unlock(&fs->opened, ino);
	if (o)
		reply_open(fs, req, o);
	return o;
}

/* What the loader's @result, where it is none of the errors that an open fails with, says of the way to serve a file. */
static enum tfs_streamed_reason reason_of(int result)
{
	return result == -ETIMEDOUT ? TFS_STREAMED_OPEN_WAIT
	       : result == -EFBIG   ? TFS_STREAMED_TOO_LARGE
	       : result == -ENOSPC  ? TFS_STREAMED_NO_ROOM
	       : result		    ? TFS_STREAMED_NO_PASSTHROUGH
				    : TFS_STREAMED_REFUSED;
}

/* Set up an open of a tensor that nobody else has open; the stripe is locked. @result 0: it is resident, and held for us. */
static int set_up_tensor(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_file_id id, int result,
			 struct tfs_opened **ret_opened)
{
	bool held = !result;
	struct tfs_opened *o = opened_create(ino, held ? TFS_OPEN_PASSTHROUGH : TFS_OPEN_STREAM);
	struct tfs_residency *res = tfs_loader_residency(fs->loader);
	int r = o ? 0 : -ENOMEM;

	if (!r && held) {
		cleanup_fd int fd = tfs_residency_open(res, id);
		o->backing_id = fd >= 0 ? register_backing(fs, req, fd) : 0;
		o->held = o->backing_id;
		if (!o->backing_id)
			o->mode = TFS_OPEN_STREAM;
	}
	if (!r && o->mode == TFS_OPEN_STREAM) {
		o->reason = reason_of(result);
		o->stream = tfs_loader_stream(fs->loader, id);
		if (!o->stream)
			r = -ENOMEM;
	}
	if (held && (r || !o->held))
		tfs_residency_drop(res, id);
	if (r) {
		free(o);
		return r;
	}
	tfs_opened_add(&fs->opened, o);
	*ret_opened = o;
	return 0;
}

/* The loader has decided: @result as tfs_wait.done() gets it. */
static void finish_tensor(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_file_id id, int result)
{
	bool streamed = result == -ETIMEDOUT || result == -EFBIG || result == -ENOSPC || result == -EOPNOTSUPP;
	if (result && !streamed) {
		tfs_reply_error(req, result);
		return;
	}
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	int r = 0;
	bool spare_hold = !result && o;
	if (o)
		join(fs, o); /* somebody was quicker; the mode is theirs */
	else
		r = set_up_tensor(fs, req, ino, id, result, &o);
	tfs_opened_unlock(&fs->opened, ino);
	if (spare_hold)
		tfs_residency_drop(tfs_loader_residency(fs->loader), id);
	if (r)
		tfs_reply_error(req, r);
	else
		reply_open(fs, req, o);
}

/* An open that waits for its tensor. */
struct waiting {
	struct tfs_pending pending; /* first: freed with it */
	struct tfs_wait wait;
	uint64_t ino;
	struct tfs_file_id id;
};

static bool give_up(struct tfs_pending *p)
{
	struct waiting *w = (struct waiting *)p;
	/* Otherwise hold() will refuse it, or done() is on its way. */
	bool cancelled = tfs_residency_cancel(tfs_loader_residency(p->fs->loader), &w->wait);
	p->fs->interrupted += cancelled;
	return cancelled;
}

static void on_done(struct tfs_wait *wait, int result)
{
	struct waiting *w = (struct waiting *)(void *)((char *)wait - offsetof(struct waiting, wait));
	struct tfs_pending *p = &w->pending;
	tfs_pending_ignore(p); /* after this nobody else knows the pending open */
	struct tfs_moved m = tfs_go_there(p->here);
	finish_tensor(p->fs, p->req, w->ino, w->id, result);
	tfs_go_back(&m);
	free(w);
}

static void open_tensor(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_inode inode)
{
	struct tfs_file_id id = tfs_file_of(inode);

	if (share(fs, req, ino))
		return;
	if (!fs->passthrough) {
		finish_tensor(fs, req, ino, id, -EOPNOTSUPP);
		return;
	}
	struct waiting *w = calloc(1, sizeof *w);
	if (!w) {
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	*w = (struct waiting){ .wait.done = on_done, .ino = ino, .id = id };
	tfs_pending_heed(&w->pending, fs, req, give_up);
	int r = tfs_loader_hold(fs->loader, id, &w->wait);
	if (r == TFS_QUEUED)
		return; /* w is the loader's, and may be gone */
	tfs_pending_ignore(&w->pending);
	free(w);
	if (r == -ECANCELED) {
		fs->interrupted++;
		r = -EINTR;
	}
	finish_tensor(fs, req, ino, id, r);
}

/* All of a set in one file: always streamed, as it would take as much memory again as all that is in it. */
static void open_whole(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, uint32_t set)
{
	const struct tfs_whole *whole = tfs_tree_whole(fs->tree, set);
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);

	if (o) {
		join(fs, o);
	} else if (whole && (o = opened_create(ino, TFS_OPEN_STREAM))) {
		o->reason = TFS_STREAMED_MADE_UP;
		o->stream = tfs_stream_open_whole(tfs_loader_streams(fs->loader), set, whole);
		if (o->stream) {
			tfs_opened_add(&fs->opened, o);
		} else {
			free(o);
			o = NULL;
		}
	}
	tfs_opened_unlock(&fs->opened, ino);
	if (o)
		reply_open(fs, req, o);
	else
		tfs_reply_error(req, -ENOMEM);
}

static void reply_text(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	tfs_opened_lock(&fs->texts, o->ino);
	tfs_opened_add(&fs->texts, o);
	tfs_opened_unlock(&fs->texts, o->ino);
	reply_open(fs, req, o);
}

void tfs_reply_open_text(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, char *text, size_t len)
{
	struct tfs_opened *o = opened_create(ino, TFS_OPEN_TEXT);
	if (!o) {
		free(text);
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	o->text = text;
	o->text_len = len;
	reply_text(fs, req, o);
}

/* A file of meta/, or a tensor without elements: there is nothing to load, and nothing but the prefix to show. */
static void open_text(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_inode inode)
{
	char *text = NULL;
	size_t len = 0;
	int r = 0;

	if (inode.kind == TFS_INO_KEYS) {
		r = tfs_keys_text(fs, inode, &text, &len);
	} else if (tfs_views[inode.view].loaded) {
		struct tfs_layout l = tfs_file_layout(fs->model, tfs_file_of(inode));
		text = malloc(TFS_VIEW_PREFIX_MAX);
		if (text)
			tfs_layout_make_prefix(&l, (uint8_t *)text);
		len = l.prefix;
	} else {
		text = tfs_meta_text(fs, inode, &len);
	}
	if (text)
		tfs_reply_open_text(fs, req, ino, text, len);
	else
		tfs_reply_error(req, r ? r : -ENOMEM);
}

/* The file of .tensorfs that @inode is, of which @s is the snapshot, or NULL for one that has none. */
static void open_control_as(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_inode inode, const struct tfs_snapshot *s,
			    bool writing)
{
	const struct tfs_caller *caller = s && !fs->all_open ? &s->caller : NULL;

	if (inode.node == TFS_CONTROL_XXH128SUMS) {
		tfs_open_sums(fs, req, ino, caller);
		return;
	}
	struct tfs_opened *o = opened_create(ino, TFS_OPEN_TEXT);
	if (o && tfs_control_is_fixed(inode.node)) {
		o->listing = tfs_listing_open(fs->model, fs->tree, inode.node == TFS_CONTROL_INDEX_JSON, caller);
	} else if (o) {
		o->text = malloc(s->size + 1);
		o->text_len = s->size;
		if (o->text)
			memcpy(o->text, s->text, s->size);
	}
	if (o && writing)
		o->control = tfs_control_open(fs, inode.node);
	if (o && (o->text || o->listing) && (!writing || o->control)) {
		reply_text(fs, req, o);
		return;
	}
	if (o)
		take_apart(fs, req, o);
	tfs_reply_error(req, -ENOMEM);
}

static void open_control(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_inode inode, bool writing)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	if (!tfs_has_snapshots(fs, inode)) {
		open_control_as(fs, req, ino, inode, NULL, writing);
		return;
	}
	const struct tfs_snapshot *s = tfs_snapshots_get(&fs->snapshots, inode.serial);
	if (!s) {
		tfs_reply_error(req, -ESTALE);
		return;
	}
	/* What one was shown is not another's, who got hold of his descriptor. */
	if (!fs->all_open && uid && uid != s->caller.uid)
		tfs_reply_error(req, -EACCES);
	else
		open_control_as(fs, req, ino, inode, s, writing);
	tfs_snapshots_put(&fs->snapshots, inode.serial, 1);
}

/* An original file: passthrough to the file itself, or read by us where the kernel can't. */
static void open_original(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, uint32_t node)
{
	/* Opened here in any case: that is how a changed file is noticed. */
	cleanup_fd int fd = tfs_model_open_node(fs->model, node, 0);
	if (fd < 0) {
		tfs_reply_error(req, fd);
		return;
	}
	struct tfs_opened *fresh = opened_create(ino, TFS_OPEN_NATIVE);
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	if (o) {
		join(fs, o);
	} else if (fresh) {
		o = tfs_steal(fresh);
		if (fs->passthrough)
			o->backing_id = register_backing(fs, req, fd);
		if (o->backing_id)
			o->mode = TFS_OPEN_PASSTHROUGH;
		else
			o->fd = tfs_steal_fd(&fd);
		tfs_opened_add(&fs->opened, o);
	}
	tfs_opened_unlock(&fs->opened, ino);
	free(fresh);
	if (o)
		reply_open(fs, req, o);
	else
		tfs_reply_error(req, -ENOMEM);
}

void tfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct tfs_inode inode;
	int r = tfs_inode_of(fs, ino, &inode);

	bool writing = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (!r && writing && !(inode.kind == TFS_INO_CONTROL && tfs_control_writable(inode.node)))
		r = -EROFS;
	if (!r && inode.kind == TFS_INO_NODE && !S_ISREG(fs->model->nodes[inode.node].mode))
		r = -ENXIO;
	if (!r)
		r = tfs_check_access(fs, req, inode);
	if (r)
		tfs_reply_error(req, r);
	else if (inode.kind == TFS_INO_NODE)
		open_original(fs, req, ino, inode.node);
	else if (inode.kind == TFS_INO_TENSOR && tfs_views[inode.view].loaded &&
		 fs->model->sets[inode.set].tensors[inode.tensor].nbytes)
		open_tensor(fs, req, ino, inode);
	else if (inode.kind == TFS_INO_WHOLE)
		open_whole(fs, req, ino, inode.set);
	else if (inode.kind == TFS_INO_CONTROL)
		open_control(fs, req, ino, inode, writing);
	else if (inode.kind == TFS_INO_TENSOR || inode.kind == TFS_INO_KEYS)
		open_text(fs, req, ino, inode);
	else
		tfs_reply_error(req, -EISDIR);
}

void tfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	release(fuse_req_userdata(req), req, (struct tfs_opened *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

void tfs_close_all(struct tfs_fs *fs)
{
	struct tfs_opened *o;
	while ((o = tfs_opened_pop(&fs->opened)) || (o = tfs_opened_pop(&fs->texts)))
		take_apart(fs, NULL, o);
}

/* --- Read ------------------------------------------------------------------------------------------------------------ */

/* A read of a stream. Where the reader is killed, the request is answered and the read goes on, for nobody. */
struct reading {
	struct tfs_read read;
	struct tfs_fs *fs;
	fuse_req_t req;
	struct tfs_here here;
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
	struct reading *rd = (struct reading *)(void *)((char *)w - offsetof(struct reading, watched));
	struct tfs_moved m = tfs_go_there(rd->here);
	tfs_reply_error(rd->req, -EINTR);
	tfs_go_back(&m);
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
	struct reading *rd = (struct reading *)r;
	struct tfs_moved m = tfs_go_there(rd->here);
	reply_reading(rd, result);
	tfs_go_back(&m);
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
	rd->here = tfs_here_of(fs, req);
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

/* All of the range or an error: the kernel would fill a short answer up with zeros. */
static void read_native(fuse_req_t req, int fd, uint64_t offset, size_t len)
{
	cleanup_free char *buf = malloc(len ? len : 1);
	size_t got = 0;

	while (buf && got < len) {
		ssize_t n = pread(fd, buf + got, len - got, offset + got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += n;
	}
	if (!buf || got < len)
		tfs_reply_error(req, buf ? -EIO : -ENOMEM);
	else
		fuse_reply_buf(req, buf, len);
}

/* From a copy: once the kernel has the answer the file may be closed, and its text freed while we are still in write(2). */
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
	if (o->mode == TFS_OPEN_STREAM && inode.kind == TFS_INO_WHOLE)
		file_size = tfs_whole_size(tfs_tree_whole(fs->tree, inode.set));
	else if (o->mode == TFS_OPEN_STREAM)
		file_size = tfs_file_layout(fs->model, tfs_file_of(inode)).size;
	else if (o->mode == TFS_OPEN_NATIVE)
		file_size = fs->model->nodes[inode.node].size;
	if (at >= file_size)
		size = 0;
	else if (size > file_size - at)
		size = file_size - at;

	if (o->mode == TFS_OPEN_PASSTHROUGH)
		tfs_reply_error(req, -EIO); /* the kernel reads these by itself */
	else if (!size)
		fuse_reply_buf(req, NULL, 0);
	else if (o->mode == TFS_OPEN_STREAM)
		read_stream(fs, req, o->stream, at, size);
	else if (o->mode == TFS_OPEN_NATIVE)
		read_native(req, o->fd, at, size);
	else
		read_text(req, o->text + at, size);
}
