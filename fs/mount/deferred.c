/* SPDX-License-Identifier: MIT */
#include "mount/deferred.h"

#include <errno.h>
#include <stdlib.h>

#include "base/container.h"
#include "mount/caller.h"
#include "mount/reply.h"
#include "mount/stats.h"
#include "mount/texts.h"
#include "tree/listing.h"

struct deferred {
	struct tfs_asking asking; /* first */
	struct tfs_inode inode;
	bool flag;
	tfs_again_fn *again;
};

/* What is made for one request. */
struct preparing {
	struct tfs_work work;
	struct tfs_fs *fs;
	struct tfs_inode inode;
	struct tfs_snapshot *snapshot; /* to be added, with its caller, once it has its text; NULL: it was, or none is */
};

static bool is_sized(struct tfs_fs *fs, uint32_t serial)
{
	const struct tfs_snapshot *s = tfs_snapshots_get(&fs->snapshots, serial);
	const bool sized = !s || s->size != TFS_SNAPSHOT_UNSIZED; /* none: an error, and no wait */

	if (s)
		tfs_snapshots_put(&fs->snapshots, serial, 1);
	return sized;
}

bool tfs_is_ready(struct tfs_fs *fs, struct tfs_inode inode)
{
	uint64_t size;

	switch (inode.kind) {
	case TFS_INO_KEYS:
		return tfs_texts_size(fs->texts, inode, &size);
	case TFS_INO_CONSOLIDATED:
		return tfs_tree_consolidated_there(fs->tree, inode);
	case TFS_INO_CONTROL:
		if (inode.serial)
			return is_sized(fs, inode.serial);
		return !tfs_has_snapshots(fs, inode) && fs->fixed_size[inode.node];
	default:
		return true;
	}
}

/* --- In the background ----------------------------------------------------------------------------------------------- */

/* The text of a snapshot. */
static int make_snapshot(struct preparing *p)
{
	struct tfs_snapshot *s = p->snapshot;
	size_t len = 0;

	s->text = tfs_control_now(p->fs, p->inode.node, p->fs->all_open ? NULL : &s->caller, &len);
	s->size = len;
	return s->text ? 0 : -ENOMEM;
}

/* The size of a text that is generated as it is read, for everybody or for whose snapshot it is. */
static int size_control(struct tfs_fs *fs, struct tfs_inode inode)
{
	struct tfs_snapshot *s = (struct tfs_snapshot *)tfs_snapshots_get(&fs->snapshots, inode.serial);
	uint64_t size = 0;
	int r = 0;

	if (inode.serial && !s)
		return -ESTALE;
	if (s ? s->size == TFS_SNAPSHOT_UNSIZED : !fs->fixed_size[inode.node])
		r = tfs_control_size(fs, inode.node, s && !fs->all_open ? &s->caller : NULL, &size);
	if (!r && size && s)
		s->size = size;
	else if (!r && size)
		fs->fixed_size[inode.node] = size;
	if (s)
		tfs_snapshots_put(&fs->snapshots, inode.serial, 1);
	return r;
}

static int prepare(struct tfs_work *w)
{
	struct preparing *p = tfs_container_of(w, struct preparing, work);

	if (p->inode.kind == TFS_INO_CONSOLIDATED)
		return tfs_tree_consolidated(p->fs->tree, p->inode) ? 0 : -ENOMEM;
	return p->snapshot ? make_snapshot(p) : size_control(p->fs, p->inode);
}

static void free_preparing(struct tfs_work *w)
{
	struct preparing *p = tfs_container_of(w, struct preparing, work);

	tfs_snapshot_free(p->snapshot);
	free(p);
}

static void answer(struct tfs_asking *a, struct tfs_work *w, int result)
{
	struct deferred *d = (struct deferred *)a;
	struct tfs_fs *fs = a->pending.fs;

	/* Texts are made for several at once, and have no struct preparing. */
	if (!result && d->inode.kind == TFS_INO_CONTROL && tfs_container_of(w, struct preparing, work)->snapshot) {
		struct preparing *p = tfs_container_of(w, struct preparing, work);

		result = tfs_snapshots_add(&fs->snapshots, p->snapshot, &d->inode.serial);
		if (!result)
			p->snapshot = NULL;
	}
	d->again(fs, a->pending.req, d->inode, d->flag, result);
}

/* --- Asking ---------------------------------------------------------------------------------------------------------- */

int tfs_begin_snapshot(struct tfs_fs *fs, fuse_req_t req, struct tfs_snapshot **ret)
{
	struct tfs_snapshot *s = calloc(1, sizeof *s);

	*ret = s;
	if (!s)
		return -ENOMEM;
	s->size = TFS_SNAPSHOT_UNSIZED;
	if (!fs->all_open)
		return tfs_caller_of(req, &s->caller);
	s->caller = (struct tfs_caller){ .uid = fuse_req_ctx(req)->uid };
	return 0;
}

void tfs_defer(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, bool flag, tfs_again_fn *again)
{
	struct deferred *d = calloc(1, sizeof *d);
	struct preparing *p = calloc(1, sizeof *p);
	int r = d && p ? 0 : -ENOMEM;

	if (!r && tfs_has_snapshots(fs, inode) && !inode.serial)
		r = tfs_begin_snapshot(fs, req, &p->snapshot);
	if (r) {
		if (p)
			tfs_snapshot_free(p->snapshot);
		free(p);
		free(d);
		tfs_reply_error(req, r);
		return;
	}
	d->inode = inode;
	d->flag = flag;
	d->again = again;
	d->asking.answer = answer;
	const bool storage = inode.kind == TFS_INO_KEYS;
	tfs_asking_arm(&d->asking, storage ? fs->storage_works : fs->cpu_works, fs, req, true);
	if (storage) {
		free(p);
		tfs_texts_make(fs->texts, inode, &d->asking);
		return;
	}
	p->work = (struct tfs_work){ .run = prepare, .free = free_preparing };
	p->fs = fs;
	p->inode = inode;
	tfs_work_init(&p->work);
	tfs_work_submit(&p->work, &d->asking);
}
