/* SPDX-License-Identifier: MIT */
#include "fetch/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "fetch/get.h"
#include "fetch/origin.h"

/* As many bytes always go into one GET, if they are neighbours: a request of its own costs more than waiting for them. */
#define JOIN_ALWAYS ((uint64_t)1 << 20)

static struct tfs_read *find(struct tfs_fetcher *f, uint64_t id)
{
	tfs_list_each(struct tfs_read, r, &f->reads, all)
		if (r->id == id)
			return r;
	return NULL;
}

static void free_read(struct tfs_read *r)
{
	tfs_job_end(&r->job);
	tfs_list_remove(&r->link);
	tfs_list_remove(&r->all);
	r->f->n_reads--;
	tfs_tree_unref(r->file->tree);
	free(r);
}

void tfs_range_done(struct tfs_read *r, int code, const struct tfs_error *err)
{
	struct tfs_fetcher *f = r->f;
	uint64_t id = r->id;
	uint32_t len = r->len;

	free_read(r);
	tfs_peer_done(f, id, len, code, err);
}

/* --- Queues --------------------------------------------------------------------------------------------------------- */

/* By offset. Most come in that order. */
static void insert(struct tfs_file *file, struct tfs_read *r)
{
	struct tfs_read *before = tfs_list_last(&file->queued, struct tfs_read, link);

	while (before && before->offset > r->offset)
		before = tfs_list_prev(&file->queued, before, link);
	tfs_list_remove(&r->link);
	tfs_list_add_first(before ? &before->link : &file->queued, &r->link);
}

/* The host that is asked for @file now; NULL: no memory, or (with @err filled) there is no URL. */
static struct tfs_host *host_of(struct tfs_fetcher *f, struct tfs_file *file, struct tfs_error *err)
{
	struct tfs_host *h;
	struct tfs_url url;

	if (file->where == TFS_WHERE_ELSEWHERE)
		return tfs_host_of(f, &file->at);
	if (f->origin->ops->url(f->origin, file, &url, err))
		return NULL;
	h = tfs_host_of(f, &url);
	tfs_url_fini(&url);
	return h;
}

static void queue(struct tfs_read *r, bool again)
{
	struct tfs_error err = { .code = -ENOMEM };
	struct tfs_file *file = r->file;
	struct tfs_host *h;

	if (file->where == TFS_WHERE_ELSEWHERE && tfs_now() >= file->until)
		file->where = TFS_WHERE_UNKNOWN;
	if (file->where == TFS_WHERE_ASKING) {
		tfs_list_remove(&r->link);
		tfs_list_add(&file->waiting, &r->link);
		return;
	}
	h = host_of(r->f, file, &err);
	if (!h) {
		tfs_range_done(r, err.code, &err);
		return;
	}
	insert(file, r);
	/* The first one asks; whoever comes until it has its answer waits for that. */
	if (file->where == TFS_WHERE_UNKNOWN) {
		file->where = TFS_WHERE_ASKING;
		file->asker = r;
	}
	tfs_job_queue(&r->job, h, r->priority, again);
}

void tfs_range_found(struct tfs_file *file)
{
	struct tfs_list waiting;

	if (file->where == TFS_WHERE_ASKING)
		file->where = TFS_WHERE_UNKNOWN;
	tfs_list_init(&waiting);
	tfs_list_take(&waiting, &file->waiting);
	tfs_list_each(struct tfs_read, r, &waiting, link) {
		tfs_list_remove(&r->link);
		queue(r, false);
	}
}

/* May @r be sent to @h, as it was when it was queued? Where the file is may have changed since. */
static bool is_still_there(const struct tfs_read *r, const struct tfs_host *h)
{
	const struct tfs_file *file = r->file;

	switch (file->where) {
	case TFS_WHERE_ASKING:
		return file->asker == r;
	case TFS_WHERE_ELSEWHERE:
		return tfs_now() < file->until && !strcmp(h->origin, file->at.origin);
	default:
		return file->where == TFS_WHERE_DIRECT;
	}
}

/* Its turn: with how many bytes that may be joined? */
static void run(struct tfs_job *j)
{
	struct tfs_read *r = tfs_container_of(j, struct tfs_read, job);
	struct tfs_host *h = j->host;
	/* As if all connections were to take the same part of the queue: those that are busy will be back for theirs. */
	uint64_t share = (uint64_t)(h->n_queued + 1) * r->len / h->limit;

	if (!is_still_there(r, h)) {
		queue(r, true);
		return;
	}
	if (share < JOIN_ALWAYS)
		share = JOIN_ALWAYS;
	tfs_get_start(r, share < TFS_GET_MAX ? share : TFS_GET_MAX, r->file->where == TFS_WHERE_ASKING);
}

/* --- Time ----------------------------------------------------------------------------------------------------------- */

/*
 * Of a READ that isn't sent: has nothing come from its host for too long, or will nothing be sent there for too long? Then it is done,
 * and 0; else when that is.
 */
static double check_age(struct tfs_read *r, double now)
{
	struct tfs_fetcher *f = r->f;
	struct tfs_file *file = r->file;
	struct tfs_host *h = r->job.host;
	struct tfs_error err = { 0 };
	double give_up = r->since + f->options.timeout;
	bool asked = file->where == TFS_WHERE_ASKING && file->asker == r;

	if (r->get)
		return now + f->options.timeout; /* that has its own time */
	if (h && h->alive + f->options.timeout > give_up)
		give_up = h->alive + f->options.timeout;
	if (now < give_up && !(h && h->until > give_up))
		return give_up;
	if (h && h->until > now)
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: too many requests; it asks to try again in %.0f s", h->origin,
			      h->until - now);
	else
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "no answer within %.0f s (--remote-timeout)", f->options.timeout);
	tfs_tree_ref(file->tree);
	tfs_range_done(r, -EIO, &err);
	if (asked)
		tfs_range_found(file);
	tfs_tree_unref(file->tree);
	return 0;
}

/* The earlier one of two times, of which @b may be 0: none. */
static double earlier(double a, double b)
{
	return b > 0 && b < a ? b : a;
}

/* Every second, as hosts may say that they want to be left alone; and when the first one is due. */
static void on_expire(struct tfs_timer *t)
{
	struct tfs_fetcher *f = tfs_container_of(t, struct tfs_fetcher, expire);
	double now = tfs_now(), next = now + 1;

	tfs_list_each(struct tfs_read, r, &f->reads, all)
		next = earlier(next, check_age(r, now));
	tfs_list_each(struct tfs_get, g, &f->gets, all)
		next = earlier(next, tfs_get_check_age(g, now));
	if (f->n_reads)
		tfs_timer_set(&f->loop, &f->expire, next);
}

/* --- Messages ------------------------------------------------------------------------------------------------------- */

int tfs_range_read(struct tfs_fetcher *f, const struct tfs_fetch_read *m, struct tfs_file *file)
{
	struct tfs_read *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->f = f;
	r->file = file;
	tfs_tree_ref(file->tree);
	r->id = m->h.id;
	r->offset = m->offset;
	r->place = m->place;
	r->len = m->len;
	r->priority = m->priority == TFS_FETCH_DEMAND ? TFS_FETCH_DEMAND : TFS_FETCH_PREFETCH;
	r->job.run = run;
	tfs_list_init(&r->link);
	r->since = tfs_now();
	tfs_list_add(&f->reads, &r->all);
	f->n_reads++;
	f->expire.run = on_expire;
	if (!f->expire.set)
		tfs_timer_set(&f->loop, &f->expire, r->since + 1);
	queue(r, false);
	return 0;
}

void tfs_range_raise(struct tfs_fetcher *f, uint64_t id)
{
	struct tfs_read *r = find(f, id);

	if (!r || r->priority == TFS_FETCH_DEMAND)
		return;
	r->priority = TFS_FETCH_DEMAND;
	if (r->get)
		r->get->priority = TFS_FETCH_DEMAND; /* of its retries */
	else if (r->job.queued)
		tfs_job_queue(&r->job, r->job.host, TFS_FETCH_DEMAND, false);
}

void tfs_range_cancel(struct tfs_fetcher *f, uint64_t id)
{
	struct tfs_read *r = find(f, id);
	struct tfs_error err = { .code = -ECANCELED };
	struct tfs_file *file;
	bool asked;

	if (!r)
		return;
	file = r->file;
	tfs_tree_ref(file->tree);
	/* It was to find out where the file is, and isn't sent: the next one does. */
	asked = !r->get && file->where == TFS_WHERE_ASKING && file->asker == r;
	if (r->get)
		tfs_get_forget(r->get, r);
	tfs_range_done(r, -ECANCELED, &err);
	if (asked)
		tfs_range_found(file);
	tfs_tree_unref(file->tree);
}

void tfs_range_destroy(struct tfs_fetcher *f)
{
	tfs_list_each(struct tfs_get, g, &f->gets, all)
		tfs_get_destroy(g);
	tfs_list_each(struct tfs_read, r, &f->reads, all)
		free_read(r);
}
