/* SPDX-License-Identifier: MIT */
#include "mount/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/control.h"
#include "mount/keeper.h"
#include "mount/pending.h"
#include "mount/stats.h"
#include "mount/texts.h"
#include "tree/listing.h"

/* The kernel's readahead in files that we read: two reads, so one is in flight while the other is being used. */
#define READAHEAD (2 * TFS_STREAM_MAX_READ)

void tfs_reply_error(fuse_req_t req, int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EINVAL:
	case ENOMEM:
	case EINTR:
	case EACCES:
	case EPERM:
	case EROFS:
	case ESTALE:
	case ENODATA:
	case ERANGE:
	case EOPNOTSUPP:
	case EMFILE:
	case ENFILE:
	case ENXIO:
	case ENAMETOOLONG:
		fuse_reply_err(req, -error);
		break;
	case ECANCELED: /* the session ends: as the kernel says to whom it cuts off */
		fuse_reply_err(req, ECONNABORTED);
		break;
	default:
		fuse_reply_err(req, EIO);
	}
}

void tfs_close_opened(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	struct tfs_inode inode = tfs_ino_unpack(o->ino);

	if (o->backing_id && !o->held && req)
		tfs_originals_closed(&fs->originals, inode.node, o->backing_id);
	else if (o->backing_id && !o->kept && req)
		tfs_keeper_unregister(&fs->keeper, o->backing_id);
	if (o->held)
		tfs_residency_drop(tfs_loader_residency(fs->loader), tfs_file_of(inode));
	if (o->stream)
		tfs_stream_close(o->stream);
	if (o->fd >= 0)
		close(o->fd);
	if (!o->for_all)
		tfs_listing_close(o->listing);
	tfs_control_close(o->control);
	if (o->shared)
		tfs_texts_put(fs->texts, o->shared);
	else if (o->serial)
		tfs_snapshots_put(&fs->snapshots, o->serial, 1);
	else
		free((char *)o->text);
	free(o);
}

static void release(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	o = tfs_opened_put(o->mode == TFS_OPEN_TEXT ? &fs->text_opens : &fs->opened, o);
	if (o)
		tfs_close_opened(fs, req, o);
}

void tfs_reply_open(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	struct fuse_file_info fi = {
		.fh = (uintptr_t)o, .noflush = !o->control, /* nothing was written: save a round trip at each close */
	};

	if (o->mode == TFS_OPEN_PASSTHROUGH)
		fi.backing_id = o->backing_id;
	else if (o->mode == TFS_OPEN_TEXT && tfs_ino_unpack(o->ino).kind == TFS_INO_CONTROL)
		fi.direct_io = 1; /* its content is current only now */
	else
		fi.keep_cache = 1; /* what was read stays valid */
	fs->opens[o->mode]++;
	if (o->mode == TFS_OPEN_STREAM)
		fs->streamed[o->reason]++;
	/* Before the answer: the kernel reads the readahead setting of a file when its open has returned. */
	if ((o->mode == TFS_OPEN_STREAM || o->mode == TFS_OPEN_NATIVE) && fs->device && !atomic_exchange(&fs->readahead, true))
		tfs_keeper_readahead(&fs->keeper, READAHEAD >> 10);
	if (fuse_reply_open(req, &fi) == -ENOENT) {
		/* The kernel abandoned the request; there will be no release. The session is ending, and with it the id. */
		release(fs, NULL, o);
	}
}

void tfs_reply_text(struct tfs_fs *fs, fuse_req_t req, struct tfs_opened *o)
{
	tfs_opened_lock(&fs->text_opens, o->ino);
	tfs_opened_add(&fs->text_opens, o);
	tfs_opened_unlock(&fs->text_opens, o->ino);
	tfs_reply_open(fs, req, o);
}

void tfs_reply_open_text(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, char *text, size_t len)
{
	struct tfs_opened *fresh = tfs_opened_create(ino, TFS_OPEN_TEXT);
	/* It is always the same text, so all who have it open have one. */
	struct tfs_opened *o = tfs_opened_lock(&fs->text_opens, ino);

	if (o) {
		o->opens++;
	} else if (fresh) {
		o = tfs_steal(fresh);
		o->text = tfs_steal(text);
		o->text_len = len;
		tfs_opened_add(&fs->text_opens, o);
	}
	tfs_opened_unlock(&fs->text_opens, ino);
	free(fresh);
	free(text);
	if (o)
		tfs_reply_open(fs, req, o);
	else
		tfs_reply_error(req, -ENOMEM);
}

/* The listing for everybody, made when it is first needed; NULL: out of memory. */
static struct tfs_listing *listing_for_all(struct tfs_fs *fs, uint32_t which)
{
	struct tfs_listing *l = fs->listings[which], *other = NULL;

	if (l || !(l = tfs_control_listing(fs, which, NULL)) || atomic_compare_exchange_strong(&fs->listings[which], &other, l))
		return l;
	tfs_listing_close(l);
	return other;
}

void tfs_reply_listing(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, uint32_t which, const struct tfs_caller *caller)
{
	struct tfs_opened *o = tfs_opened_create(ino, TFS_OPEN_TEXT);

	if (o) {
		o->for_all = !caller;
		o->listing = caller ? tfs_control_listing(fs, which, caller) : listing_for_all(fs, which);
	}
	if (o && o->listing) {
		tfs_reply_text(fs, req, o);
		return;
	}
	free(o);
	tfs_reply_error(req, -ENOMEM);
}

void tfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tfs_fs *fs = fuse_req_userdata(req);

	(void)ino;
	tfs_placement_answering(&fs->placement, 0, tfs_came_by_ring(fs, req), false);
	release(fs, req, (struct tfs_opened *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

void tfs_close_all(struct tfs_fs *fs)
{
	struct tfs_opened *o;
	while ((o = tfs_opened_pop(&fs->opened)) || (o = tfs_opened_pop(&fs->text_opens)))
		tfs_close_opened(fs, NULL, o);
	for (unsigned i = 0; i < TFS_CONTROLS; i++) {
		tfs_listing_close(fs->listings[i]);
		fs->listings[i] = NULL;
	}
}
