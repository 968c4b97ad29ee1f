/* SPDX-License-Identifier: MIT */
#include "mount/pending.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/container.h"
#include "config.h"
#include "mount/reply.h"

bool tfs_came_by_ring(struct tfs_fs *fs, fuse_req_t req)
{
#ifdef HAVE_FUSE_URING
	if (fuse_req_is_uring(req)) {
		fs->uring = true;
		/*
		 * When the session ends, libfuse ends this thread, and then frees the ring and its requests, whether they were
		 * answered or not. So the thread must not exit before they are (tfs_fs_stop() in the key's destructor), nor be
		 * cancelled midway: it is also woken, which is enough.
		 */
		if (!pthread_getspecific(fs->ring_thread)) {
			pthread_setspecific(fs->ring_thread, fs);
			pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		}
		return true;
	}
#else
	(void)fs, (void)req;
#endif
	return false;
}

static void answer_interrupted(struct tfs_pending *p)
{
	tfs_reply_error(p->req, -EINTR);
	free(p);
}

static struct tfs_pending *pending_of(struct tfs_watched *w)
{
	return tfs_container_of(w, struct tfs_pending, watched);
}

static bool on_signal(struct tfs_watched *w)
{
	struct tfs_pending *p = pending_of(w);
	return p->give_up(p);
}

static void on_given_up(struct tfs_watched *w)
{
	answer_interrupted(pending_of(w));
}

static void watch(struct tfs_pending *p)
{
	p->is_watched = true;
	p->watched.tid = fuse_req_ctx(p->req)->pid;
	p->watched.killed_only = p->killed_only;
	p->watched.give_up = on_signal;
	p->watched.answer = on_given_up;
	tfs_watch_add(&p->fs->watch, &p->watched);
}

/* The kernel tells it once. libfuse has the request locked. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct tfs_pending *p = data;

	if (p->is_watched)
		return;
	if (tfs_signalled(fuse_req_ctx(req)->pid, false) == TFS_NOT_SIGNALLED)
		watch(p);
	else if (p->give_up(p))
		answer_interrupted(p);
}

void tfs_pending_fill(struct tfs_pending *p, struct tfs_fs *fs, fuse_req_t req, bool (*give_up)(struct tfs_pending *p))
{
	p->fs = fs;
	p->req = req;
	tfs_came_by_ring(fs, req);
	p->give_up = give_up;
	p->killed_only = p->is_watched = false;
}

void tfs_pending_heed_filled(struct tfs_pending *p)
{
	if (p->fs->watches || p->killed_only)
		watch(p);
	else
		fuse_req_interrupt_func(p->req, on_interrupt, p);
}

void tfs_pending_arm(struct tfs_pending *p, struct tfs_fs *fs, fuse_req_t req, bool (*give_up)(struct tfs_pending *p))
{
	tfs_pending_fill(p, fs, req, give_up);
	tfs_pending_heed_filled(p);
}

void tfs_pending_disarm(struct tfs_pending *p)
{
	if (!p->fs->watches && !p->killed_only)
		fuse_req_interrupt_func(p->req, NULL, NULL);
	if (p->is_watched)
		tfs_watch_remove(&p->fs->watch, &p->watched);
	p->is_watched = false;
}
