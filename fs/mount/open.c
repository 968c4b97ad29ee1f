/* SPDX-License-Identifier: MIT */
/*
 * Opening files. A tensor's open doesn't block a thread while its bytes are being loaded:
 *
 *   open ── already open? ── share its mode
 *        └─ hold() ── resident ───────────────────────────► register the backing file, answer: passthrough
 *                  ├─ queued … done() in a loader's thread ─┘
 *                  └─ too large, too slow, no room, no passthrough ──► open a stream, answer: read it from us
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "base/log.h"
#include "mount/caller.h"
#include "mount/control.h"
#include "mount/deferred.h"
#include "mount/fs.h"
#include "mount/keeper.h"
#include "mount/pending.h"
#include "mount/reply.h"
#include "mount/stats.h"
#include "mount/sums.h"
#include "mount/texts.h"
#include "mount/work.h"
#include "tree/meta.h"

/* An open to be answered. */
struct request {
	struct tfs_fs *fs;
	fuse_req_t req;
	uint64_t ino;
	struct tfs_inode inode; /* the decoded @ino */
	bool writing;
};

void tfs_stop_passthrough(struct tfs_fs *fs, const char *why)
{
	const char *none = NULL;

	if (!atomic_compare_exchange_strong(&fs->streamed_because, &none, why))
		return;
	fs->passthrough = false;
	tfs_log_warning("%s; tensors are streamed from now on", why);
	tfs_loader_give_up_residency(fs->loader);
}

/* What registering a backing file gave: its id, or 0 if the kernel refuses. */
static int id_or_none(struct tfs_fs *fs, int id)
{
	/* Without privilege it will never work; other errors are about this file (a stacked file system, say). */
	if (id == -EPERM)
		tfs_stop_passthrough(fs, "the kernel refuses backing files");
	return id > 0 ? id : 0;
}

/* Register file @name of the store: its id, or -errno. *@ret_kept: it stays registered after the last close. */
static int register_named(struct tfs_fs *fs, uint64_t name, bool *ret_kept)
{
	cleanup_fd int fd = tfs_store_path(fs->store, name);
	int id = fd >= 0 ? tfs_keeper_register(&fs->keeper, fd) : -EIO;

	*ret_kept = id > 0 && tfs_kept_add(&fs->kept, name, id);
	return id;
}

/* Have the backing file of @o registered, a tensor's that is held. */
static void register_resident(struct tfs_fs *fs, struct tfs_file_id id, struct tfs_opened *o)
{
	uint64_t name;

	if (tfs_residency_backing(tfs_loader_residency(fs->loader), id, &name))
		return;
	o->backing_id = tfs_kept_find(&fs->kept, name);
	o->kept = o->backing_id;
	if (!o->backing_id)
		o->backing_id = id_or_none(fs, register_named(fs, name, &o->kept));
}

void tfs_register_loaded(void *arg, uint64_t name)
{
	struct tfs_fs *fs = arg;
	bool kept;
	int id = fs->passthrough && !tfs_kept_find(&fs->kept, name) ? register_named(fs, name, &kept) : 0;

	/* Before INIT is answered the kernel refuses all: that says nothing about later ones. */
	if (id > 0 && !kept)
		tfs_keeper_unregister(&fs->keeper, id);
}

/* Count another open of an open file; its stripe is locked. */
static void join(struct tfs_fs *fs, struct tfs_opened *o)
{
	o->opens++;
	fs->joined++;
}

/* If the file is already open, open it again the same way. False: it isn't. */
static bool share(struct tfs_fs *fs, fuse_req_t req, uint64_t ino)
{
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	if (o)
		join(fs, o);
	tfs_opened_unlock(&fs->opened, ino);
	if (o)
		tfs_reply_open(fs, req, o);
	return o;
}

/* How to serve a file according to the loader's @result, if that isn't an error that fails the open. */
static enum tfs_streamed_reason reason_of(int result)
{
	return result == -ETIMEDOUT ? TFS_STREAMED_OPEN_WAIT :
	       result == -EFBIG	    ? TFS_STREAMED_TOO_LARGE :
	       result == -ENOSPC    ? TFS_STREAMED_NO_ROOM :
	       result == -EDQUOT    ? TFS_STREAMED_REFUSED :
	       result		    ? TFS_STREAMED_NO_PASSTHROUGH :
				      TFS_STREAMED_REFUSED;
}

/* Set up the first open of a tensor; the stripe is locked. @result 0: it is resident, and held for us. */
static int set_up_tensor(struct tfs_fs *fs, uint64_t ino, struct tfs_file_id id, int result, struct tfs_opened **ret_opened)
{
	bool held = !result;
	struct tfs_opened *o = tfs_opened_create(ino, held ? TFS_OPEN_PASSTHROUGH : TFS_OPEN_STREAM);
	struct tfs_residency *res = tfs_loader_residency(fs->loader);
	int r = o ? 0 : -ENOMEM;

	if (!r && held) {
		register_resident(fs, id, o);
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

/* The loader has decided: @result as passed to tfs_wait.done(). */
static void finish_tensor(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, struct tfs_file_id id, int result)
{
	bool streamed = result == -ETIMEDOUT || result == -EFBIG || result == -ENOSPC || result == -EDQUOT || result == -EOPNOTSUPP;
	if (result && !streamed) {
		tfs_reply_error(req, result);
		return;
	}
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	int r = 0;
	bool spare_hold = !result && o;
	if (o)
		join(fs, o); /* another open was quicker, and set the mode */
	else
		r = set_up_tensor(fs, ino, id, result, &o);
	tfs_opened_unlock(&fs->opened, ino);
	if (spare_hold)
		tfs_residency_drop(tfs_loader_residency(fs->loader), id);
	if (r)
		tfs_reply_error(req, r);
	else
		tfs_reply_open(fs, req, o);
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
	/* Otherwise hold() will refuse it, or done() is about to be called. */
	bool cancelled = tfs_residency_cancel(tfs_loader_residency(p->fs->loader), &w->wait);
	p->fs->interrupted += cancelled;
	return cancelled;
}

static void on_done(struct tfs_wait *wait, int result)
{
	struct waiting *w = tfs_container_of(wait, struct waiting, wait);
	struct tfs_pending *p = &w->pending;
	tfs_pending_disarm(p); /* after this nothing else refers to the pending open */
	finish_tensor(p->fs, p->req, w->ino, w->id, result);
	free(w);
}

static void open_tensor(const struct request *q)
{
	struct tfs_fs *fs = q->fs;
	fuse_req_t req = q->req;
	uint64_t ino = q->ino;
	struct tfs_file_id id = tfs_file_of(q->inode);

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
	tfs_pending_arm(&w->pending, fs, req, give_up);
	int r = tfs_loader_hold(fs->loader, id, &w->wait);
	if (r == TFS_QUEUED)
		return; /* w belongs to the loader, and may be freed */
	tfs_pending_disarm(&w->pending);
	free(w);
	if (r == -ECANCELED) {
		fs->interrupted++;
		r = -EINTR;
	}
	finish_tensor(fs, req, ino, id, r);
}

/* A consolidated file: always streamed, as it would need as much memory again as all its tensors. */
static void finish_consolidated(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, int result)
{
	const struct tfs_consolidated *consolidated = result ? NULL : tfs_tree_consolidated(fs->tree, inode);
	const uint64_t ino = tfs_ino_pack(inode);

	(void)flag;
	if (result) {
		tfs_reply_error(req, result);
		return;
	}
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, ino);
	if (o) {
		join(fs, o);
	} else if (consolidated && (o = tfs_opened_create(ino, TFS_OPEN_STREAM))) {
		struct tfs_layout layout = tfs_consolidated_layout(consolidated);
		o->reason = TFS_STREAMED_MADE_UP;
		o->stream = tfs_stream_open_layout(tfs_loader_streams(fs->loader), &layout);
		if (o->stream) {
			tfs_opened_add(&fs->opened, o);
		} else {
			free(o);
			o = NULL;
		}
	}
	tfs_opened_unlock(&fs->opened, ino);
	if (o)
		tfs_reply_open(fs, req, o);
	else
		tfs_reply_error(req, -ENOMEM);
}

static void open_consolidated(const struct request *q)
{
	if (tfs_is_ready(q->fs, q->inode))
		finish_consolidated(q->fs, q->req, q->inode, false, 0);
	else
		tfs_defer(q->fs, q->req, q->inode, false, finish_consolidated);
}

/* Show @text, taking ownership of it; or if NULL, fail with @r. */
static void answer_text(const struct request *q, char *text, size_t len, int r)
{
	if (text)
		tfs_reply_open_text(q->fs, q->req, q->ino, text, len);
	else
		tfs_reply_error(q->req, r);
}

static void finish_file_meta(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, int result)
{
	const struct tfs_text *text = result ? NULL : tfs_texts_get(fs->texts, inode, false);
	struct tfs_opened *o = text ? tfs_opened_create(tfs_ino_pack(inode), TFS_OPEN_TEXT) : NULL;

	(void)flag;
	if (o) {
		o->shared = text;
		o->text = text->text;
		o->text_len = text->len;
		tfs_reply_text(fs, req, o);
		return;
	}
	if (text)
		tfs_texts_put(fs->texts, text);
	tfs_reply_error(req, result ? result : -ENOMEM);
}

static void open_file_meta(const struct request *q)
{
	const struct tfs_text *text = tfs_texts_get(q->fs->texts, q->inode, true);

	if (!text) {
		tfs_defer(q->fs, q->req, q->inode, false, finish_file_meta);
		return;
	}
	finish_file_meta(q->fs, q->req, q->inode, false, 0);
	tfs_texts_put(q->fs->texts, text);
}

/* A tensor without elements: nothing to load, and only the prefix to show. */
static void open_prefix(const struct request *q)
{
	struct tfs_layout l = tfs_file_layout(q->fs->model, tfs_file_of(q->inode));
	char *text = malloc(TFS_VIEW_PREFIX_MAX);

	if (text)
		tfs_layout_make_prefix(&l, (uint8_t *)text);
	answer_text(q, text, l.prefix, -ENOMEM);
}

static void open_meta(const struct request *q)
{
	size_t len = 0;
	char *text = tfs_meta_text(q->fs->model, q->inode, &len);

	answer_text(q, text, len, -ENOMEM);
}

/* A tensor's file in one of the views. */
static void open_in_view(const struct request *q)
{
	if (!tfs_views[q->inode.view].loaded)
		open_meta(q);
	else if (tfs_set_tensor(&q->fs->model->sets[q->inode.set], q->inode.tensor)->nbytes)
		open_tensor(q);
	else
		open_prefix(q);
}

/* A file of .tensorfs; @s is its snapshot, or NULL if it has none. */
static void open_control_as(const struct request *q, const struct tfs_snapshot *s)
{
	struct tfs_fs *fs = q->fs;
	uint32_t which = q->inode.node;
	const struct tfs_caller *caller = s && !fs->all_open ? &s->caller : NULL;

	if (which == TFS_CONTROL_XXH128SUMS) {
		tfs_open_sums(fs, q->req, q->ino, caller);
		return;
	}
	if (tfs_control_is_fixed(which)) {
		tfs_reply_listing(fs, q->req, q->ino, which, caller);
		return;
	}
	assert(s); /* what is not fixed has snapshots */
	struct tfs_opened *o = tfs_opened_create(q->ino, TFS_OPEN_TEXT);
	if (o && q->writing)
		o->control = tfs_control_open(fs, which);
	if (!o || (q->writing && !o->control)) {
		free(o);
		tfs_reply_error(q->req, -ENOMEM);
		return;
	}
	tfs_snapshots_get(&fs->snapshots, s->serial);
	o->serial = s->serial;
	o->text = s->text;
	o->text_len = s->size;
	tfs_reply_text(fs, q->req, o);
}

static void open_control(const struct request *q)
{
	struct tfs_fs *fs = q->fs;
	uid_t uid = fuse_req_ctx(q->req)->uid;

	if (!tfs_has_snapshots(fs, q->inode)) {
		open_control_as(q, NULL);
		return;
	}
	const struct tfs_snapshot *s = tfs_snapshots_get(&fs->snapshots, q->inode.serial);
	if (!s) {
		tfs_reply_error(q->req, -ESTALE);
		return;
	}
	/* What one caller was shown isn't for another one that got hold of its descriptor. */
	if (!fs->all_open && uid && uid != s->caller.uid)
		tfs_reply_error(q->req, -EACCES);
	else
		open_control_as(q, s);
	tfs_snapshots_put(&fs->snapshots, q->inode.serial, 1);
}

/* The open of an original file, for which it is opened here in any case, to detect a changed file. */
struct original {
	struct tfs_work work; /* first */
	struct tfs_fs *fs;
	uint64_t ino;
	uint32_t node;
	int fd;		/* negative: the file is elsewhere */
	int backing_id; /* 0: none */
};

static void log_original(const struct tfs_model *m, uint32_t node, int code)
{
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];

	tfs_model_error_in(m, node, &err);
	tfs_error_set(&err, code, TFS_NO_OFFSET, "opening: %s", tfs_model_why(m, node, code));
	tfs_log_error("%s", tfs_error_line(&err, line, sizeof line));
}

static int open_node(struct tfs_work *w)
{
	struct original *f = (struct original *)w;

	f->fd = tfs_model_open_node(f->fs->model, f->node, 0);
	if (f->fd == -ENOENT && tfs_model_is_remote(f->fs->model))
		return 0;
	if (f->fd < 0) {
		/* That he may not, who opens it can find out as well as we can. */
		if (tfs_model_is_remote(f->fs->model) || f->fd != -EACCES)
			log_original(f->fs->model, f->node, f->fd);
		tfs_originals_changed(&f->fs->originals, f->node);
		return f->fd;
	}
	const bool is_open = tfs_opened_lock(&f->fs->opened, f->ino);
	tfs_opened_unlock(&f->fs->opened, f->ino);
	/* Here, where it may wait, and no lock is held. */
	int id = is_open || !f->fs->passthrough ? -EALREADY : tfs_originals_register(&f->fs->originals, f->node, f->fd);
	f->backing_id = id_or_none(f->fs, id);
	return 0;
}

static void free_original(struct tfs_work *w)
{
	struct original *f = (struct original *)w;

	if (f->backing_id)
		tfs_originals_closed(&f->fs->originals, f->node, f->backing_id);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

/* Set up an original file that has no descriptor here, as it is elsewhere, to be streamed. False: out of memory. */
static bool set_up_remote(struct tfs_fs *fs, uint32_t node, struct tfs_opened *o)
{
	o->mode = TFS_OPEN_STREAM;
	o->reason = TFS_STREAMED_REMOTE;
	/* Of an empty one nothing is ever read. */
	o->stream = fs->model->nodes[node].id.size ? tfs_stream_open_node(tfs_loader_streams(fs->loader), node) : NULL;
	return o->stream || !fs->model->nodes[node].id.size;
}

/* Passthrough to the file itself, or read by us if the kernel can't, or if it is elsewhere. */
static void answer_original(struct tfs_asking *a, struct tfs_work *w, int result)
{
	struct tfs_fs *fs = a->pending.fs;
	struct original *f = (struct original *)w;
	fuse_req_t req = a->pending.req;

	if (result) {
		tfs_reply_error(req, result);
		return;
	}
	struct tfs_opened *fresh = tfs_opened_create(f->ino, TFS_OPEN_NATIVE);
	struct tfs_opened *o = tfs_opened_lock(&fs->opened, f->ino);
	if (o) {
		join(fs, o);
	} else if (f->fd < 0) {
		if (fresh && set_up_remote(fs, f->node, fresh)) {
			o = tfs_steal(fresh);
			tfs_opened_add(&fs->opened, o);
		}
	} else if (fresh) {
		o = tfs_steal(fresh);
		o->backing_id = f->backing_id;
		f->backing_id = 0;
		if (o->backing_id)
			o->mode = TFS_OPEN_PASSTHROUGH;
		else
			o->fd = tfs_steal_fd(&f->fd);
		tfs_opened_add(&fs->opened, o);
	}
	tfs_opened_unlock(&fs->opened, f->ino);
	free(fresh);
	if (o) {
		/* Before the answer, so that it isn't behind the reader from the start. */
		tfs_loader_original(fs->loader, f->node, fuse_req_ctx(req)->pid);
		tfs_reply_open(fs, req, o);
	} else {
		tfs_reply_error(req, -ENOMEM);
	}
}

static void open_original(const struct request *q)
{
	struct original *f = calloc(1, sizeof *f);
	struct tfs_asking *a = calloc(1, sizeof *a);

	if (!f || !a) {
		free(f);
		free(a);
		tfs_reply_error(q->req, -ENOMEM);
		return;
	}
	*f = (struct original){
		.work = { .run = open_node, .free = free_original }, .fs = q->fs, .ino = q->ino, .node = q->inode.node, .fd = -1
	};
	tfs_work_init(&f->work);
	a->answer = answer_original;
	tfs_asking_arm(a, q->fs->storage_works, q->fs, q->req, false);
	tfs_work_submit(&f->work, a);
}

/* How each kind of file is opened; NULL: directories. */
static void (*const openers[TFS_INO_KINDS])(const struct request *q) = {
	[TFS_INO_NODE] = open_original,
	[TFS_INO_TENSOR] = open_in_view,
	[TFS_INO_CONTROL] = open_control,
	[TFS_INO_KEYS] = open_file_meta,
	[TFS_INO_CONSOLIDATED] = open_consolidated,
	[TFS_INO_COPY] = open_original,
};

void tfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fuse_req_userdata(req);
	struct request q = { .fs = fs, .req = req, .ino = ino, .writing = (fi->flags & O_ACCMODE) != O_RDONLY };
	int r = tfs_inode_of(fs, ino, &q.inode);

	tfs_placement_answering(&fs->placement, fuse_req_ctx(req)->pid, tfs_came_by_ring(fs, req), true);
	if (!r && q.writing && !(q.inode.kind == TFS_INO_CONTROL && tfs_control_writable(q.inode.node)))
		r = -EROFS;
	if (!r && q.inode.kind == TFS_INO_NODE && !S_ISREG(fs->model->nodes[q.inode.node].mode))
		r = -ENXIO;
	if (!r)
		r = tfs_check_access(fs, req, q.inode);
	if (!r && !openers[q.inode.kind])
		r = -EISDIR;
	if (r)
		tfs_reply_error(req, r);
	else
		openers[q.inode.kind](&q);
}
