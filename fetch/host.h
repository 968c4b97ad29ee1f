/* SPDX-License-Identifier: MIT */
/*
 * Who may send when: a queue and a number of connections for each origin (scheme, host, port). One connection in four is for demand
 * alone. An answer 429 or 503 stops the host for all, and halves what it is given; every round of answers without one adds a
 * connection again (additive increase, multiplicative decrease), up to --connections.
 */
#ifndef TFS_FETCH_HOST_H
#define TFS_FETCH_HOST_H

#include <stdbool.h>

#include "fetch/fetcher.h"

enum { TFS_TTFB_SAMPLES = 32 };

struct tfs_host {
	struct tfs_list link;
	struct tfs_fetcher *f;
	char *origin;
	struct tfs_list queue[2]; /* of struct tfs_job, by enum tfs_fetch_priority */
	unsigned n_queued;
	unsigned active, limit;
	unsigned good; /* answers since @limit grew */
	double until;  /* nothing is sent before */
	double halved; /* when @limit was, last */
	double alive;  /* when something good came from it, last */
	struct tfs_timer wake;
	double ttfb[TFS_TTFB_SAMPLES]; /* of ranges, seconds, the last ones */
	unsigned n_ttfb;
	double median; /* 0: not known yet */
};

/* A request to be sent. Embedded in what it is about; all zero at first. */
struct tfs_job {
	struct tfs_list link;
	struct tfs_host *host; /* NULL: neither queued nor running */
	unsigned priority;
	bool queued;
	/* It may be sent: it has a connection until tfs_job_end(). */
	void (*run)(struct tfs_job *j);
};

/* The host of @url, created if need be; NULL: no memory. It lives as long as the fetcher. */
struct tfs_host *tfs_host_of(struct tfs_fetcher *f, const struct tfs_url *url);

/* Have @j->run called when there is a connection: after all that wait with its priority, or (@again) before them. */
void tfs_job_queue(struct tfs_job *j, struct tfs_host *h, unsigned priority, bool again);

/* Give it a connection now, outside the queue, if one is free. */
bool tfs_job_try(struct tfs_job *j, struct tfs_host *h);

/* It isn't to be sent, or what was sent has ended. Does nothing if it is neither. */
void tfs_job_end(struct tfs_job *j);

/* How many connections are free, for what has @priority. */
unsigned tfs_host_free(const struct tfs_host *h, unsigned priority);

/* A good answer. @ttfb: of a range, seconds; else 0. */
void tfs_host_good(struct tfs_host *h, double ttfb);

/* 429 or 503: nothing for @seconds. */
void tfs_host_throttle(struct tfs_host *h, double seconds);

void tfs_hosts_destroy(struct tfs_fetcher *f);

#endif
