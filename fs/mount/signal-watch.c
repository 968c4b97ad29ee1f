/* SPDX-License-Identifier: MIT */
#include "mount/signal-watch.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/thread.h"

/* Often enough for a Ctrl-C to feel prompt; each check costs a few microseconds per waiting open. */
#define LOOK_EVERY 0.05 /* seconds */

/* What these do if nobody catches them: nothing (signal(7)). The kernel may say that a thread was interrupted by one all the same. */
static const uint64_t harmless = 1ull << (SIGCHLD - 1) | 1ull << (SIGCONT - 1) | 1ull << (SIGURG - 1) | 1ull << (SIGWINCH - 1);

/*
 * Who catches one of these may want to end, or not to wait so long; the others are caught by profilers, runtimes and shells, whose calls a
 * file on a disk wouldn't fail either.
 */
static const uint64_t ending = 1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1) | 1ull << (SIGHUP - 1) | 1ull << (SIGQUIT - 1) |
			       1ull << (SIGALRM - 1);

/* For a thread that waits in the kernel, the signal that interrupts it stays pending. See proc_pid_status(5). */
enum tfs_signalled tfs_signalled(pid_t tid, bool killed_only)
{
	char path[64], line[256];
	uint64_t own = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;

	snprintf(path, sizeof path, "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return TFS_SIGNALLED_UNKNOWN;
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "SigPnd: %" SCNx64, &own);
		sscanf(line, "ShdPnd: %" SCNx64, &shared);
		sscanf(line, "SigBlk: %" SCNx64, &blocked);
		sscanf(line, "SigIgn: %" SCNx64, &ignored);
		sscanf(line, "SigCgt: %" SCNx64, &caught);
	}
	fclose(f);
	const uint64_t counts = killed_only ? 1ull << (SIGKILL - 1) : ~blocked & ~ignored & (ending | ~(harmless | caught));
	return (own | shared) & counts ? TFS_SIGNALLED : TFS_NOT_SIGNALLED;
}

static void *look(void *arg)
{
	struct tfs_watch *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stopping) {
		if (tfs_list_is_empty(&w->list) && !w->busy) {
			w->asleep = true;
			pthread_cond_wait(&w->changed, &w->lock);
			w->asleep = false;
			continue;
		}
		w->busy = false;
		tfs_cond_wait_until(&w->changed, &w->lock, tfs_now() + LOOK_EVERY);
		struct tfs_list given_up;
		tfs_list_init(&given_up);
		tfs_list_each(struct tfs_watched, e, &w->list, link) {
			/* Most reads are answered before the second check: don't check them. */
			if (e->killed_only && !e->seen) {
				e->seen = true;
				continue;
			}
			if (tfs_signalled(e->tid, e->killed_only) != TFS_SIGNALLED || !e->give_up(e))
				continue;
			e->given_up = true;
			tfs_list_remove(&e->link);
			tfs_list_add_first(&given_up, &e->link);
		}
		if (tfs_list_is_empty(&given_up))
			continue;
		w->answering = true;
		pthread_mutex_unlock(&w->lock);
		tfs_list_each(struct tfs_watched, e, &given_up, link)
			e->answer(e);
		pthread_mutex_lock(&w->lock);
		w->answering = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void tfs_watch_init(struct tfs_watch *w)
{
	pthread_mutex_init(&w->lock, NULL);
	tfs_cond_init(&w->changed);
	tfs_list_init(&w->list);
	w->running = w->stopping = w->answering = w->busy = w->asleep = false;
}

void tfs_watch_fini(struct tfs_watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (w->running)
		pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}

void tfs_watch_add(struct tfs_watch *w, struct tfs_watched *e)
{
	pthread_mutex_lock(&w->lock);
	if (!w->running)
		w->running = !tfs_thread_start(&w->thread, "tfs-signals", look, w);
	e->seen = e->given_up = false;
	tfs_list_add(&w->list, &e->link);
	w->busy = true;
	if (w->asleep) {
		w->asleep = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
}

bool tfs_watch_remove(struct tfs_watch *w, struct tfs_watched *e)
{
	pthread_mutex_lock(&w->lock);
	bool there = !e->given_up;
	if (there)
		tfs_list_remove(&e->link);
	pthread_mutex_unlock(&w->lock);
	return there;
}

void tfs_watch_drain(struct tfs_watch *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->answering)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}
