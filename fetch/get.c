/* SPDX-License-Identifier: MIT */
#include "fetch/get.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "fetch/origin.h"
#include "fetch/retry.h"

/* Progress of so many bytes puts off when a GET gives up. */
#define PROGRESS ((uint64_t)64 << 10)

/* A body that isn't wanted is read to its end, up to so many bytes, as that keeps the connection. */
#define DRAIN ((uint64_t)256 << 10)

/* A hedge is sent when there is no first byte after HEDGE_AFTER seconds and HEDGE_MEDIANS times the median; one in HEDGE_PART requests. */
#define HEDGE_AFTER   0.5
#define HEDGE_MEDIANS 4
#define HEDGE_PART    20

/* How long a URL that a redirect named is used if it doesn't say how long it is good, and what part of that if it does. */
#define KEEP_REDIRECT 3600
#define KEEP_PART     0.9

static struct tfs_attempt *other(struct tfs_attempt *a)
{
	return a == &a->get->attempts[0] ? &a->get->attempts[1] : &a->get->attempts[0];
}

static void stop_attempt(struct tfs_attempt *a)
{
	a->running = false;
	tfs_exchange_fini(&a->x);
	tfs_job_end(&a->job);
}

static void free_get(struct tfs_get *g)
{
	stop_attempt(&g->attempts[0]);
	stop_attempt(&g->attempts[1]);
	tfs_timer_stop(&g->again);
	tfs_timer_stop(&g->hedge);
	tfs_timer_stop(&g->lose);
	tfs_list_remove(&g->all);
	tfs_url_fini(&g->hop);
	tfs_tree_unref(g->file->tree);
	free(g);
}

void tfs_get_destroy(struct tfs_get *g)
{
	tfs_list_each(struct tfs_read, r, &g->reads, link)
		tfs_list_remove(&r->link);
	free_get(g);
}

/* It found out where the file is, or won't. */
static void found(struct tfs_get *g)
{
	if (!g->asks)
		return;
	g->asks = false;
	tfs_range_found(g->file);
}

static void fail(struct tfs_get *g, const struct tfs_error *err)
{
	int code = err->code == -ESTALE || err->code == -EACCES ? err->code : -EIO;

	tfs_list_each(struct tfs_read, r, &g->reads, link)
		tfs_range_done(r, code, err);
	/* Those that waited for it to find the file would only fail after it, one by one. */
	if (g->asks)
		tfs_list_each(struct tfs_read, r, &g->file->waiting, link)
			tfs_range_done(r, code, err);
	found(g);
	free_get(g);
}

/* --- Bytes ---------------------------------------------------------------------------------------------------------- */

static void deliver(struct tfs_get *g, const char *data, size_t len)
{
	struct tfs_read *r;

	while (len && (r = tfs_list_first(&g->reads, struct tfs_read, link))) {
		uint64_t end = r->offset + r->len, stop = g->at < r->offset ? r->offset : end;
		size_t n = len < stop - g->at ? len : (size_t)(stop - g->at);

		if (g->at >= r->offset)
			memcpy(g->f->memory + r->place + (g->at - r->offset), data, n);
		g->at += n;
		data += n;
		len -= n;
		if (g->at == end)
			tfs_range_done(r, 0, NULL);
	}
	g->at += len;
	g->tries = 0;
	g->renewed = false;
	if (g->at - g->counted >= PROGRESS) {
		g->counted = g->at;
		g->give_up = tfs_now() + g->f->options.timeout;
	}
}

static void on_lose(struct tfs_timer *t)
{
	struct tfs_get *g = tfs_container_of(t, struct tfs_get, lose);

	if (g->winner)
		stop_attempt(other(g->winner));
}

static int on_body(struct tfs_exchange *x, const char *data, size_t len)
{
	struct tfs_attempt *a = tfs_container_of(x, struct tfs_attempt, x);
	struct tfs_get *g = a->get;

	if (!a->data) {
		size_t n = sizeof a->body - 1 - a->len;

		n = len < n ? len : n;
		memcpy(a->body + a->len, data, n);
		a->len += n;
		a->body[a->len] = 0;
		return x->body_bytes > DRAIN ? -ECANCELED : 0;
	}
	if (!g->winner) {
		g->winner = a;
		if (other(a)->running)
			tfs_timer_set(&g->f->loop, &g->lose, tfs_now()); /* not from within libcurl */
	}
	if (g->winner != a)
		return -ECANCELED;
	a->job.host->alive = tfs_now();
	deliver(g, data, len < g->end - g->at ? len : (size_t)(g->end - g->at));
	return x->body_bytes > a->expected ? -ECANCELED : 0;
}

/* --- The header of an answer ---------------------------------------------------------------------------------------- */

/* The file is at @to, which is taken over. */
static void settle(struct tfs_get *g, struct tfs_url *to)
{
	struct tfs_file *file = g->file;
	double left = tfs_retry_expires(to);

	tfs_url_fini(&file->at);
	file->at = *to;
	file->until = tfs_now() + (left > 0 && left * KEEP_PART < KEEP_REDIRECT ? left * KEEP_PART : KEEP_REDIRECT);
	file->where = TFS_WHERE_ELSEWHERE;
	found(g);
}

/* The file is where the GET that asks has found it. */
static void settle_here(struct tfs_get *g)
{
	struct tfs_url to = g->hop;

	if (!g->asks)
		return;
	g->hop = (struct tfs_url){ 0 };
	if (to.text) {
		settle(g, &to);
	} else {
		g->file->where = TFS_WHERE_DIRECT;
		found(g);
	}
}

static int on_head(struct tfs_exchange *x)
{
	struct tfs_attempt *a = tfs_container_of(x, struct tfs_attempt, x);
	int r;

	if (x->head.status != 200 && x->head.status != 206)
		return x->head.has_length && x->head.length > DRAIN ? -ECANCELED : 0;
	r = tfs_get_check(a->get, x, &a->err);
	a->data = !r;
	if (a->data)
		settle_here(a->get);
	return r;
}

/* --- Attempts ------------------------------------------------------------------------------------------------------- */

static void evaluate(struct tfs_attempt *a, struct tfs_host *h);

static void on_done(struct tfs_exchange *x)
{
	struct tfs_attempt *a = tfs_container_of(x, struct tfs_attempt, x);
	struct tfs_get *g = a->get;
	struct tfs_host *h = a->job.host;

	a->running = false;
	tfs_job_end(&a->job);
	tfs_timer_stop(&g->hedge);
	/* Of two, the other one may still do it. */
	if (g->winner != a && other(a)->running)
		return;
	tfs_timer_stop(&g->lose);
	stop_attempt(other(a));
	evaluate(a, h);
}

static const struct tfs_exchange_ops ops = { .head = on_head, .body = on_body, .done = on_done };

/* Skip what isn't wanted any more. False: nothing is. */
static bool trim(struct tfs_get *g)
{
	struct tfs_read *first = tfs_list_first(&g->reads, struct tfs_read, link);
	struct tfs_read *last = tfs_list_last(&g->reads, struct tfs_read, link);

	if (!first)
		return false;
	if (g->at < first->offset)
		g->at = first->offset;
	g->end = last->offset + last->len;
	return true;
}

/* Where to send it now. */
static int url_of(const struct tfs_get *g, struct tfs_url *ret, struct tfs_error *err)
{
	struct tfs_file *file = g->file;

	if (g->asks && g->hop.text)
		return tfs_url_copy(&g->hop, ret);
	if (!g->asks && file->where == TFS_WHERE_ELSEWHERE)
		return tfs_url_copy(&file->at, ret);
	return g->f->origin->ops->url(g->f->origin, file, ret, err);
}

static int send_attempt(struct tfs_attempt *a)
{
	struct tfs_get *g = a->get;
	struct tfs_origin *o = g->f->origin;
	struct tfs_exchange *x = &a->x;
	size_t etag;
	int r;

	tfs_exchange_fini(x);
	*x = (struct tfs_exchange){ .f = g->f, .ops = &ops };
	a->data = false;
	a->len = 0;
	a->expected = g->end - g->at;
	a->err = (struct tfs_error){ 0 };
	a->elsewhere = !g->asks && g->file->where == TFS_WHERE_ELSEWHERE;
	r = url_of(g, &x->url, &a->err);
	if (r)
		return r;
	x->trust = tfs_origin_is_at(o, &x->url) ? TFS_TRUST_ORIGIN : TFS_TRUST_NONE;
	r = tfs_exchange_header(x, "Range: bytes=%llu-%llu", (unsigned long long)g->at, (unsigned long long)g->end - 1);
	/* If-Range would be answered with the whole file when it doesn't match. */
	etag = tfs_get_etag(g, x);
	if (!r && etag)
		r = tfs_exchange_header(x, "If-Match: %.*s", (int)etag, g->file->version);
	if (!r)
		r = o->ops->sign(o, x, &a->err);
	if (!r)
		r = tfs_exchange_start(x);
	a->running = !r;
	return r;
}

static void set_hedge(struct tfs_get *g, const struct tfs_host *h)
{
	double after = HEDGE_MEDIANS * (h->median > 0 ? h->median : HEDGE_AFTER);

	if (!g->asks)
		tfs_timer_set(&g->f->loop, &g->hedge, tfs_now() + (after > HEDGE_AFTER ? after : HEDGE_AFTER));
}

/* The first attempt has a connection. */
static void run(struct tfs_job *j)
{
	struct tfs_attempt *a = tfs_container_of(j, struct tfs_attempt, job);
	struct tfs_get *g = a->get;
	int r;

	if (!trim(g)) {
		found(g);
		free_get(g);
		return;
	}
	g->winner = NULL;
	r = send_attempt(a);
	if (r == -EAGAIN && tfs_now() < g->give_up) {
		tfs_job_end(&a->job);
		tfs_timer_set(&g->f->loop, &g->again, tfs_now() + TFS_SIGN_AGAIN);
	} else if (r) {
		a->err.code = r;
		fail(g, &a->err);
	} else {
		set_hedge(g, a->job.host);
	}
}

/* No byte yet, for longer than usual. */
static void on_hedge(struct tfs_timer *t)
{
	struct tfs_get *g = tfs_container_of(t, struct tfs_get, hedge);
	struct tfs_fetch_counters *c = g->f->counters;
	struct tfs_attempt *a = &g->attempts[1];

	if (g->winner || !g->attempts[0].running || a->running ||
	    atomic_load_explicit(&c->hedges, memory_order_relaxed) * HEDGE_PART >=
		    atomic_load_explicit(&c->requests, memory_order_relaxed) ||
	    !tfs_job_try(&a->job, g->attempts[0].job.host))
		return;
	if (send_attempt(a))
		stop_attempt(a); /* the first one goes on */
	else
		tfs_count(g->f, hedges, 1);
}

/* --- How it goes on ------------------------------------------------------------------------------------------------- */

static void queue(struct tfs_get *g)
{
	struct tfs_error err = { .code = -ENOMEM };
	struct tfs_host *h = NULL;
	struct tfs_url url;

	if (!url_of(g, &url, &err)) {
		h = tfs_host_of(g->f, &url);
		tfs_url_fini(&url);
	}
	if (h)
		tfs_job_queue(&g->attempts[0].job, h, g->priority, true);
	else
		fail(g, &err);
}

static void on_again(struct tfs_timer *t)
{
	queue(tfs_container_of(t, struct tfs_get, again));
}

/* Send what is left after @delay. @err: how it ended this time. */
static void again(struct tfs_get *g, const struct tfs_error *err, double delay)
{
	double when = tfs_now() + delay;

	/* Who reads waits as long as it was told to: a server that starts again, or a network that changes, may need most of that. */
	if (when > g->give_up) {
		fail(g, err);
		return;
	}
	g->tries++;
	tfs_count(g->f, retries, 1);
	tfs_timer_set(&g->f->loop, &g->again, when);
}

static void on_redirect(struct tfs_attempt *a)
{
	struct tfs_get *g = a->get;
	struct tfs_file *file = g->file;
	struct tfs_error err = { 0 };
	struct tfs_url to;

	if (++g->hops > TFS_MAX_REDIRECTS) {
		tfs_error_set(&err, -EPROTO, TFS_NO_OFFSET, "%s: more than %d redirects", file->path, TFS_MAX_REDIRECTS);
		fail(g, &err);
		return;
	}
	err.code = tfs_retry_redirect(&a->x.url, &a->x.head, &to, &err);
	if (err.code) {
		fail(g, &err);
		return;
	}
	tfs_count(g->f, redirects, 1);
	if (g->asks)
		tfs_count(g->f, resolves, 1);
	/* On the origin itself it is only another name of the file, of which the next answer may lead elsewhere. */
	if (g->asks && tfs_origin_is_at(g->f->origin, &to)) {
		tfs_url_fini(&g->hop);
		g->hop = to;
	} else {
		settle(g, &to);
	}
	queue(g);
}

/* The place that a redirect named doesn't have it any more: ask again where it is, once without a byte in between. */
static bool ask_again(struct tfs_attempt *a)
{
	struct tfs_get *g = a->get;
	struct tfs_file *file = g->file;
	int status = a->x.head.status;

	if (!a->elsewhere || g->renewed || !(status == 400 || status == 401 || status == 403 || status == 404 || status == 410))
		return false;
	g->renewed = true;
	g->hops = 0;
	tfs_url_fini(&g->hop);
	if (file->where == TFS_WHERE_ELSEWHERE && !strcmp(file->at.text, a->x.url.text)) {
		file->where = TFS_WHERE_ASKING;
		file->asker = NULL;
		g->asks = true;
	} else if (file->where == TFS_WHERE_ASKING || file->where == TFS_WHERE_UNKNOWN) {
		g->asks = true; /* somebody else is at it; two may */
	}
	queue(g);
	return true;
}

/* The origin refuses, perhaps for a reason that it can do something about. */
static bool renew(struct tfs_attempt *a)
{
	struct tfs_get *g = a->get;
	struct tfs_origin *o = g->f->origin;
	int status = a->x.head.status;

	if (g->renewed || !o->ops->renew || a->elsewhere || status < 300)
		return false;
	if (!o->ops->renew(o, &a->x, a->body, a->len))
		return false;
	g->renewed = true;
	queue(g);
	return true;
}

static void on_bad_status(struct tfs_attempt *a, struct tfs_host *h)
{
	const struct tfs_head *head = &a->x.head;
	double delay = head->retry_after >= 0 ? head->retry_after : tfs_retry_delay(a->get->tries);
	char host[TFS_URL_SHOWN];
	struct tfs_error err = { 0 };

	tfs_url_show_host(&a->x.url, host);
	if (head->retry_after > 0)
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: HTTP status %d; it asks to try again in %.0f s", host, head->status,
			      head->retry_after);
	else
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: HTTP status %d", host, head->status);
	if (tfs_retry_is_throttled(head->status))
		tfs_host_throttle(h, delay);
	again(a->get, &err, delay);
}

static void on_status(struct tfs_attempt *a, struct tfs_host *h)
{
	struct tfs_get *g = a->get;
	struct tfs_origin *o = g->f->origin;
	struct tfs_error err = { 0 };
	char host[TFS_URL_SHOWN];
	int status = a->x.head.status;

	if (renew(a))
		return;
	if (tfs_retry_is_redirect(&a->x.head)) {
		on_redirect(a);
		return;
	}
	if (ask_again(a))
		return;
	if (tfs_retry_status(status)) {
		on_bad_status(a, h);
		return;
	}
	o->ops->explain(o, &a->x, a->body, a->len, &err);
	tfs_url_show_host(&a->x.url, host);
	if (status == 416 && a->x.head.has_total && a->x.head.total != g->file->size)
		tfs_get_other_size(g->file, a->x.head.total, host, &err);
	else if (status == 404 || status == 410 || status == 412 || status == 416)
		tfs_error_set(&err, -ESTALE, TFS_NO_OFFSET,
			      "%s: %s has changed since it was listed, or is gone: HTTP status %d. Mount again", host,
			      g->file->path, status);
	fail(g, &err);
}

static void evaluate(struct tfs_attempt *a, struct tfs_host *h)
{
	struct tfs_get *g = a->get;
	struct tfs_error err = { 0 };
	enum tfs_outcome o = tfs_exchange_outcome(&a->x, &err);
	bool moved = a->data && a->x.body_bytes;
	char host[TFS_URL_SHOWN];

	if (moved)
		tfs_host_good(h, a->x.first_byte - a->x.began);
	if (!trim(g)) {
		found(g);
		free_get(g);
	} else if (o == TFS_REFUSED) {
		fail(g, &err);
	} else if (o == TFS_BROKEN) {
		again(g, &err, moved ? 0 : tfs_retry_delay(g->tries));
	} else if (a->err.code) {
		fail(g, &a->err);
	} else if (a->data) { /* fewer bytes than were asked for */
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: an answer without bytes", tfs_url_show_host(&a->x.url, host));
		again(g, &err, moved ? 0 : tfs_retry_delay(g->tries));
	} else {
		on_status(a, h);
	}
}

double tfs_get_check_age(struct tfs_get *g, double now)
{
	const struct tfs_host *h = g->attempts[0].job.host;
	bool running = g->attempts[0].running || g->attempts[1].running;
	struct tfs_error err = { 0 };

	if (now < g->give_up && (running || !h || h->until <= g->give_up))
		return g->give_up;
	if (running)
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: less than %llu KiB within %.0f s (--remote-timeout)", h->origin,
			      (unsigned long long)(PROGRESS >> 10), g->f->options.timeout);
	else if (h && h->until > now)
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "%s: too many requests; it asks to try again in %.0f s", h->origin,
			      h->until - now);
	else
		tfs_error_set(&err, -EIO, TFS_NO_OFFSET, "no answer within %.0f s (--remote-timeout)", g->f->options.timeout);
	fail(g, &err);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------- */

void tfs_get_forget(struct tfs_get *g, struct tfs_read *read)
{
	tfs_list_remove(&read->link);
	read->get = NULL;
	if (!tfs_list_is_empty(&g->reads))
		return;
	/* The connection is worth as much. */
	if ((g->attempts[0].running || g->attempts[1].running) && g->end - g->at <= DRAIN)
		return;
	found(g);
	free_get(g);
}

static void take(struct tfs_get *g, struct tfs_read *r)
{
	tfs_job_end(&r->job);
	tfs_list_remove(&r->link);
	tfs_list_add(&g->reads, &r->link);
	r->get = g;
	g->end = r->offset + r->len;
}

void tfs_get_start(struct tfs_read *read, uint64_t max, bool asks)
{
	struct tfs_host *h = read->job.host;
	struct tfs_file *file = read->file;
	struct tfs_get *g = calloc(1, sizeof *g);
	struct tfs_read *next;

	if (!g) {
		struct tfs_error err = { .code = -ENOMEM };

		tfs_range_done(read, -EIO, &err);
		if (asks)
			tfs_range_found(file);
		return;
	}
	g->f = read->f;
	g->file = file;
	tfs_tree_ref(file->tree);
	g->at = g->counted = read->offset;
	g->asks = asks;
	g->priority = read->priority;
	/* In all, with the time that it waited for a connection, or for where the file is, unless others had bytes meanwhile. */
	g->give_up = (h->alive > read->since ? h->alive : read->since) + g->f->options.timeout;
	g->again.run = on_again;
	g->hedge.run = on_hedge;
	g->lose.run = on_lose;
	for (unsigned i = 0; i < 2; i++) {
		g->attempts[i].get = g;
		g->attempts[i].job.run = run;
	}
	tfs_list_init(&g->reads);
	tfs_list_add(&g->f->gets, &g->all);
	do {
		next = tfs_list_next(&file->queued, read, link);
		take(g, read);
		read = next;
	} while (next && next->offset == g->end && next->priority == g->priority && next->offset + next->len - g->at <= max);
	/* Before all others: the connection that the first one had is free again. */
	tfs_job_queue(&g->attempts[0].job, h, g->priority, true);
}
