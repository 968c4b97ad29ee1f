/* SPDX-License-Identifier: MIT */
#include "fetch/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"

static void dispatch(struct tfs_timer *t);

struct tfs_host *tfs_host_of(struct tfs_fetcher *f, const struct tfs_url *url)
{
	struct tfs_host *h;

	tfs_list_each(struct tfs_host, known, &f->hosts, link)
		if (!strcmp(known->origin, url->origin))
			return known;
	h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->f = f;
	h->origin = strdup(url->origin);
	h->limit = f->options.connections;
	h->wake.run = dispatch;
	tfs_list_init(&h->queue[TFS_FETCH_DEMAND]);
	tfs_list_init(&h->queue[TFS_FETCH_PREFETCH]);
	if (!h->origin) {
		free(h);
		return NULL;
	}
	tfs_list_add(&f->hosts, &h->link);
	tfs_gauge(f, limit_connections, h->limit);
	return h;
}

void tfs_hosts_destroy(struct tfs_fetcher *f)
{
	tfs_list_each(struct tfs_host, h, &f->hosts, link) {
		tfs_timer_stop(&h->wake);
		free(h->origin);
		free(h);
	}
	tfs_list_init(&f->hosts);
}

unsigned tfs_host_free(const struct tfs_host *h, unsigned priority)
{
	unsigned limit = priority == TFS_FETCH_DEMAND ? h->limit : h->limit - h->limit / 4;

	return h->active < limit ? limit - h->active : 0;
}

static void wake(struct tfs_host *h)
{
	double now = tfs_now();

	if (h->n_queued)
		tfs_timer_set(&h->f->loop, &h->wake, h->until > now ? h->until : now);
}

static void start(struct tfs_host *h, struct tfs_job *j)
{
	tfs_list_remove(&j->link);
	j->queued = false;
	h->n_queued--;
	h->active++;
	j->run(j);
}

static void dispatch(struct tfs_timer *t)
{
	struct tfs_host *h = tfs_container_of(t, struct tfs_host, wake);
	struct tfs_job *j;

	for (unsigned priority = TFS_FETCH_DEMAND; priority <= TFS_FETCH_PREFETCH; priority++)
		while (tfs_host_free(h, priority) && (j = tfs_list_first(&h->queue[priority], struct tfs_job, link)))
			start(h, j);
}

void tfs_job_queue(struct tfs_job *j, struct tfs_host *h, unsigned priority, bool again)
{
	tfs_job_end(j);
	j->host = h;
	j->priority = priority;
	j->queued = true;
	if (again)
		tfs_list_add_first(&h->queue[priority], &j->link);
	else
		tfs_list_add(&h->queue[priority], &j->link);
	h->n_queued++;
	wake(h);
}

bool tfs_job_try(struct tfs_job *j, struct tfs_host *h)
{
	if (!tfs_host_free(h, TFS_FETCH_DEMAND) || h->until > tfs_now())
		return false;
	j->host = h;
	j->queued = false;
	h->active++;
	return true;
}

void tfs_job_end(struct tfs_job *j)
{
	struct tfs_host *h = j->host;

	if (!h)
		return;
	j->host = NULL;
	if (j->queued) {
		tfs_list_remove(&j->link);
		j->queued = false;
		h->n_queued--;
	} else {
		h->active--;
		wake(h);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void add_ttfb(struct tfs_host *h, double seconds)
{
	double sorted[TFS_TTFB_SAMPLES];
	unsigned n;

	h->ttfb[h->n_ttfb++ % TFS_TTFB_SAMPLES] = seconds;
	n = h->n_ttfb < TFS_TTFB_SAMPLES ? h->n_ttfb : TFS_TTFB_SAMPLES;
	memcpy(sorted, h->ttfb, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, compare);
	h->median = sorted[n / 2];
	tfs_gauge(h->f, ttfb_median_us, (uint64_t)(h->median * 1e6));
}

void tfs_host_good(struct tfs_host *h, double ttfb)
{
	h->alive = tfs_now();
	if (ttfb > 0)
		add_ttfb(h, ttfb);
	if (h->limit < h->f->options.connections && ++h->good >= h->limit) {
		h->good = 0;
		h->limit++;
		wake(h);
	}
	tfs_gauge(h->f, limit_connections, h->limit);
}

void tfs_host_throttle(struct tfs_host *h, double seconds)
{
	double now = tfs_now();

	tfs_count(h->f, throttled, 1);
	/* All that were on their way get the same answer: that is one reason to halve, not many. */
	if (now > h->halved + 1) {
		h->halved = now;
		h->good = 0;
		h->limit = h->limit > 1 ? h->limit / 2 : 1;
		tfs_gauge(h->f, limit_connections, h->limit);
	}
	if (now + seconds > h->until)
		h->until = now + seconds;
}
