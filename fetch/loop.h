/* SPDX-License-Identifier: MIT */
/*
 * The one thread of the fetcher waits here: for libcurl's transfers, for descriptors, for timers. Nothing else in the fetcher may
 * block for longer than a read of a small local file takes. There are no locks.
 */
#ifndef TFS_FETCH_LOOP_H
#define TFS_FETCH_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/list.h"

/* A moment at which something is due. Embedded in what it is about; all zero: not set. */
struct tfs_timer {
	struct tfs_list link;
	double when; /* tfs_now() */
	void (*run)(struct tfs_timer *t);
	bool set;
};

/* A descriptor that is watched for input. Only a few. */
struct tfs_watch {
	struct tfs_list link;
	int fd;
	void (*run)(struct tfs_watch *w);
};

struct tfs_loop {
	CURLM *multi;
	struct tfs_list timers; /* by @when */
	struct tfs_list watches;
	unsigned n_watches;
	bool stop;
};

int tfs_loop_init(struct tfs_loop *l);

/* @finished is called for each transfer that ended, with what libcurl says; it may remove and add others. Until @stop. */
int tfs_loop_run(struct tfs_loop *l, void (*finished)(CURL *easy, CURLcode code));

/* Have @t->run called at @when, instead of when it was set for. */
void tfs_timer_set(struct tfs_loop *l, struct tfs_timer *t, double when);
void tfs_timer_stop(struct tfs_timer *t);

void tfs_watch_start(struct tfs_loop *l, struct tfs_watch *w);
void tfs_watch_stop(struct tfs_loop *l, struct tfs_watch *w);

#endif
