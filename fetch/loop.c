/* SPDX-License-Identifier: MIT */
#include "fetch/loop.h"

#include <errno.h>
#include <math.h>

#include "base/clock.h"

enum { MAX_WATCHES = 8 };

int tfs_loop_init(struct tfs_loop *l)
{
	*l = (struct tfs_loop){ .multi = curl_multi_init() };
	tfs_list_init(&l->timers);
	tfs_list_init(&l->watches);
	if (!l->multi)
		return -ENOMEM;
	/* Idle ones are kept for the next request; how many there may be at once host.c says. */
	curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, 256L);
	curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return 0;
}

void tfs_timer_set(struct tfs_loop *l, struct tfs_timer *t, double when)
{
	struct tfs_timer *before;

	tfs_timer_stop(t);
	t->when = when;
	t->set = true;
	/* From the end: most are due after those that were set before. */
	for (before = tfs_list_last(&l->timers, struct tfs_timer, link); before && before->when > when;)
		before = tfs_list_prev(&l->timers, before, link);
	tfs_list_add_first(before ? &before->link : &l->timers, &t->link);
}

void tfs_timer_stop(struct tfs_timer *t)
{
	if (t->set)
		tfs_list_remove(&t->link);
	t->set = false;
}

void tfs_watch_start(struct tfs_loop *l, struct tfs_watch *w)
{
	tfs_list_add(&l->watches, &w->link);
	l->n_watches++;
}

void tfs_watch_stop(struct tfs_loop *l, struct tfs_watch *w)
{
	tfs_list_remove(&w->link);
	l->n_watches--;
}

/* Run what is due; in how many milliseconds the next one is. */
static int run_timers(struct tfs_loop *l)
{
	struct tfs_timer *t;
	double now = tfs_now(), left;

	/* What these set for "now" is due in the next round, so that descriptors get their turn. */
	while ((t = tfs_list_first(&l->timers, struct tfs_timer, link)) && t->when <= now) {
		tfs_timer_stop(t);
		t->run(t);
	}
	if (!t)
		return 10000;
	left = ceil((t->when - tfs_now()) * 1000);
	if (left <= 0)
		return 0;
	return left < 10000 ? (int)left : 10000;
}

static void run_watches(struct tfs_loop *l, const struct curl_waitfd *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		/* One that was stopped meanwhile isn't there any more. */
		tfs_list_each(struct tfs_watch, w, &l->watches, link)
			if (w->fd == fds[i].fd) {
				w->run(w);
				break;
			}
	}
}

static void collect(struct tfs_loop *l, void (*finished)(CURL *easy, CURLcode code))
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left)))
		if (m->msg == CURLMSG_DONE)
			finished(m->easy_handle, m->data.result);
}

int tfs_loop_run(struct tfs_loop *l, void (*finished)(CURL *easy, CURLcode code))
{
	while (!l->stop) {
		struct curl_waitfd fds[MAX_WATCHES] = { 0 };
		unsigned n = 0;
		int running, wait;

		if (curl_multi_perform(l->multi, &running))
			return -EIO;
		collect(l, finished);
		wait = run_timers(l);
		tfs_list_each(struct tfs_watch, w, &l->watches, link) {
			if (n < MAX_WATCHES)
				fds[n++] = (struct curl_waitfd){ .fd = w->fd, .events = CURL_WAIT_POLLIN };
		}
		if (curl_multi_poll(l->multi, fds, n, wait, NULL))
			return -EIO;
		run_watches(l, fds, n);
	}
	return 0;
}
