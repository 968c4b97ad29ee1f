/* SPDX-License-Identifier: MIT */
#include "mount/sums.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/container.h"
#include "hash/hash.h"
#include "mount/pending.h"
#include "mount/reply.h"

/* A request that waits for one hash, or for all. */
struct asking {
	struct tfs_pending pending; /* first: freed with it */
	struct tfs_hash_wait wait;
	/* Of XXH128SUMS: */
	uint64_t ino;
	bool some; /* only for this caller */
	struct tfs_caller caller;
	uint32_t set, place; /* whose hash is waited for, if only some are needed: in the order of the files */
	uint32_t checked;    /* the source that was last found unchanged; UINT32_MAX: none yet */
};

static bool give_up(struct tfs_pending *p)
{
	struct asking *a = (struct asking *)p;
	/* Otherwise it will be refused when it is submitted, or done() is about to be called. */
	bool cancelled = tfs_hash_cancel(tfs_loader_hashes(p->fs->loader), &a->wait);
	if (cancelled) /* and @a is freed next */
		tfs_caller_fini(&a->caller);
	return cancelled;
}

static bool give_up_open(struct tfs_pending *p)
{
	bool cancelled = give_up(p);

	p->fs->interrupted += cancelled;
	return cancelled;
}

static struct asking *asking_of(struct tfs_hash_wait *w)
{
	return tfs_container_of(w, struct asking, wait);
}

/* --- user.tensorfs.xxh128 -------------------------------------------------------------------------------------------- */

static void reply_hash(struct asking *a, int result)
{
	char text[TFS_HASH_TEXT];

	if (result) {
		tfs_reply_error(a->pending.req, result);
	} else {
		tfs_hash_text(&a->wait.hash, text);
		fuse_reply_buf(a->pending.req, text, TFS_HASH_TEXT - 1);
	}
	free(a);
}

static void on_hash(struct tfs_hash_wait *w, int result)
{
	struct asking *a = asking_of(w);
	tfs_pending_disarm(&a->pending);
	reply_hash(a, result);
}

void tfs_getxattr_hash(struct tfs_fs *fs, fuse_req_t req, struct tfs_inode inode, size_t size)
{
	/* A request for just the length needn't wait for it. */
	if (size < TFS_HASH_TEXT - 1) {
		if (size)
			tfs_reply_error(req, -ERANGE);
		else
			fuse_reply_xattr(req, TFS_HASH_TEXT - 1);
		return;
	}
	struct asking *a = calloc(1, sizeof *a);
	if (!a) {
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	a->wait.done = on_hash;
	tfs_pending_arm(&a->pending, fs, req, give_up);
	int r = tfs_hash_get(tfs_loader_hashes(fs->loader), inode.set, inode.tensor, &a->wait);
	if (r == TFS_QUEUED)
		return; /* a belongs to the loader, and may be freed */
	tfs_pending_disarm(&a->pending);
	reply_hash(a, r == -ECANCELED ? -EINTR : r);
}

/* --- XXH128SUMS ------------------------------------------------------------------------------------------------------ */

static void reply_sums(struct asking *a, int result)
{
	struct tfs_fs *fs = a->pending.fs;

	fs->interrupted += result == -EINTR;
	if (result)
		/* ESTALE would make the kernel retry, and read all of it a second time. */
		tfs_reply_error(a->pending.req, result == -ENOMEM || result == -EINTR ? result : -EIO);
	else
		tfs_reply_listing(fs, a->pending.req, a->ino, TFS_CONTROL_XXH128SUMS, a->some ? &a->caller : NULL);
	tfs_caller_fini(&a->caller);
	free(a);
}

static void on_all(struct tfs_hash_wait *w, int result)
{
	struct asking *a = asking_of(w);
	tfs_pending_disarm(&a->pending);
	reply_sums(a, result);
}

static void on_one(struct tfs_hash_wait *w, int result);

/* Is the hash of @tensor, of the current set, to be asked for? Not if it is known, and its source was just found unchanged. */
static bool is_needed(const struct asking *a, uint32_t tensor)
{
	struct tfs_fs *fs = a->pending.fs;
	struct tfs_hash hash;

	return tfs_access_tensor(tfs_tree_access(fs->tree), &a->caller, a->set, tensor) &&
	       (fs->model->sets[a->set].tensors[tensor].source != a->checked ||
		!tfs_hash_peek(tfs_loader_hashes(fs->loader), a->set, tensor, &hash));
}

/*
 * Request the hash of each tensor from the current one on that the caller may read, one after the other. 0: all are known;
 * TFS_QUEUED: on_one() continues, and @a may be freed; otherwise the error.
 */
static int ask_for_some(struct asking *a)
{
	struct tfs_fs *fs = a->pending.fs;

	for (; a->set < fs->model->n_sets; a->set++, a->place = 0)
		for (; a->place < fs->model->sets[a->set].n_tensors; a->place++) {
			const uint32_t tensor = fs->model->sets[a->set].by_offset[a->place];
			if (!is_needed(a, tensor))
				continue;
			a->wait = (struct tfs_hash_wait){ .done = on_one };
			tfs_pending_heed_filled(&a->pending);
			int r = tfs_hash_get(tfs_loader_hashes(fs->loader), a->set, tensor, &a->wait);
			if (r == TFS_QUEUED)
				return r;
			tfs_pending_disarm(&a->pending);
			if (r)
				return r == -ECANCELED ? -EINTR : r;
		}
	return 0;
}

static void on_one(struct tfs_hash_wait *w, int result)
{
	struct asking *a = asking_of(w);
	struct tfs_fs *fs = a->pending.fs;
	const struct tfs_set *set = &fs->model->sets[a->set];

	tfs_pending_disarm(&a->pending);
	if (w->checked)
		a->checked = set->tensors[set->by_offset[a->place]].source;
	a->place++;
	int r = result ? result : ask_for_some(a);
	if (r != TFS_QUEUED)
		reply_sums(a, r);
}

static int ask_for_all(struct asking *a)
{
	a->wait.done = on_all;
	tfs_pending_heed_filled(&a->pending);
	int r = tfs_hash_all(tfs_loader_hashes(a->pending.fs->loader), &a->wait);
	if (r != TFS_QUEUED)
		tfs_pending_disarm(&a->pending);
	return r == -ECANCELED ? -EINTR : r;
}

void tfs_open_sums(struct tfs_fs *fs, fuse_req_t req, uint64_t ino, const struct tfs_caller *caller)
{
	struct asking *a = calloc(1, sizeof *a);

	if (!a || (caller && tfs_caller_copy(&a->caller, caller))) {
		free(a);
		tfs_reply_error(req, -ENOMEM);
		return;
	}
	a->ino = ino;
	a->some = caller;
	a->checked = UINT32_MAX;
	tfs_pending_fill(&a->pending, fs, req, give_up_open);
	int r = caller ? ask_for_some(a) : ask_for_all(a);
	if (r != TFS_QUEUED) /* otherwise a belongs to the loader, and may be freed */
		reply_sums(a, r);
}
