/* SPDX-License-Identifier: MIT */
#include "fetch/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "fetch/origin.h"
#include "fetch/retry.h"

static void end(struct tfs_ask *a, int code)
{
	tfs_job_end(&a->job);
	tfs_timer_stop(&a->timer);
	a->code = code;
	a->spec.done(a, a->spec.arg);
	tfs_exchange_fini(&a->x);
	tfs_url_fini(&a->spec.url);
	free(a->body);
	free(a);
}

static int on_head(struct tfs_exchange *x)
{
	struct tfs_ask *a = tfs_container_of(x, struct tfs_ask, x);

	if (x->head.encoded)
		return tfs_error_set(&a->err, -EPROTO, TFS_NO_OFFSET, "the answer is compressed, although it was asked not to be");
	/* The whole of a file, where a byte was asked for: what is wanted is known, and ending it here costs nothing but a connection. */
	return a->spec.probe && x->head.status == 200 && (!x->head.has_length || x->head.length > 4096) ? -ECANCELED : 0;
}

static int on_body(struct tfs_exchange *x, const char *data, size_t len)
{
	struct tfs_ask *a = tfs_container_of(x, struct tfs_ask, x);
	size_t max = a->spec.max_body ? a->spec.max_body : TFS_ASK_MAX_BODY;
	size_t room = a->room;

	if (len > max - a->len)
		return tfs_error_set(&a->err, -EFBIG, TFS_NO_OFFSET, "an answer of more than %zu bytes", max);
	while (a->len + len + 1 > room)
		room = room ? room * 2 : 16384;
	if (room != a->room) {
		char *more = realloc(a->body, room);

		if (!more)
			return -ENOMEM;
		a->body = more;
		a->room = room;
	}
	memcpy(a->body + a->len, data, len);
	a->len += len;
	a->body[a->len] = 0;
	return 0;
}

/* --- Again ---------------------------------------------------------------------------------------------------------- */

static void queue(struct tfs_ask *a, const struct tfs_url *url, bool again)
{
	struct tfs_host *h = tfs_host_of(a->spec.f, url);

	if (!h) {
		end(a, -ENOMEM);
		return;
	}
	tfs_job_queue(&a->job, h, TFS_FETCH_DEMAND, again);
}

static void on_timer(struct tfs_timer *t)
{
	struct tfs_ask *a = tfs_container_of(t, struct tfs_ask, timer);

	queue(a, &a->spec.url, true);
}

/* Try again after @delay, unless that is too late or it was tried often enough. @code, a->err: how it ended. */
static void again(struct tfs_ask *a, int code, double delay)
{
	double when = tfs_now() + delay;

	/* Of 429 it is only the time that counts: somebody is there. */
	if (code != -EBUSY)
		a->failures++;
	if (a->spec.impatient || a->failures > TFS_MAX_RETRIES || when > a->give_up) {
		end(a, code);
		return;
	}
	a->tries++;
	tfs_count(a->spec.f, retries, 1);
	tfs_job_end(&a->job);
	tfs_timer_set(&a->spec.f->loop, &a->timer, when);
}

/* The answer is one that may be another one next time. */
static void on_bad_status(struct tfs_ask *a)
{
	const struct tfs_head *h = &a->x.head;
	double delay = h->retry_after >= 0 ? h->retry_after : tfs_retry_delay(a->tries);
	char shown[TFS_URL_SHOWN];
	int code = h->status == 429 ? -EBUSY : -ENETUNREACH;

	tfs_url_show(&a->x.url, shown);
	if (h->retry_after > 0)
		tfs_error_set(&a->err, code, TFS_NO_OFFSET, "%s: HTTP status %d; it asks to try again in %.0f s", shown, h->status,
			      h->retry_after);
	else
		tfs_error_set(&a->err, code, TFS_NO_OFFSET, "%s: HTTP status %d", shown, h->status);
	if (tfs_retry_is_throttled(h->status))
		tfs_host_throttle(a->job.host, delay);
	/* Who has a table already needn't wait for this one. */
	if (h->status == 429 && a->spec.f->origin && a->spec.f->origin->hasty)
		end(a, code);
	else
		again(a, code, delay);
}

static void on_redirect(struct tfs_ask *a)
{
	struct tfs_url to;
	char shown[TFS_URL_SHOWN];
	int r;

	if (++a->hops > TFS_MAX_REDIRECTS) {
		end(a, tfs_error_set(&a->err, -EPROTO, TFS_NO_OFFSET, "%s: more than %d redirects",
				     tfs_url_show(&a->spec.url, shown), TFS_MAX_REDIRECTS));
		return;
	}
	r = tfs_retry_redirect(&a->x.url, &a->x.head, &to, &a->err);
	if (r) {
		end(a, r);
		return;
	}
	tfs_count(a->spec.f, redirects, 1);
	tfs_url_fini(&a->spec.url);
	a->spec.url = to;
	a->spec.trusted = false;
	queue(a, &a->spec.url, true);
}

static void on_done(struct tfs_exchange *x)
{
	struct tfs_ask *a = tfs_container_of(x, struct tfs_ask, x);
	enum tfs_outcome o = tfs_exchange_outcome(x, &a->err);
	const struct tfs_head *h = &x->head;

	if (o == TFS_REFUSED) {
		end(a, a->err.code);
	} else if (o == TFS_BROKEN) {
		/* Of a LIST that is late the last request has what time was left, which says nothing. */
		if (x->code == CURLE_OPERATION_TIMEDOUT && a->spec.f->origin && a->spec.f->origin->listing)
			tfs_origin_late(a->spec.f->origin, &a->err);
		again(a, a->err.code, tfs_retry_delay(a->tries));
	} else if (x->stopped && x->stopped != -ECANCELED) {
		end(a, x->stopped);
	} else if (!a->spec.no_redirects && tfs_retry_is_redirect(h)) {
		on_redirect(a);
	} else if (tfs_retry_status(h->status) && !a->spec.impatient) {
		on_bad_status(a);
	} else {
		tfs_host_good(a->job.host, 0);
		end(a, 0);
	}
}

static const struct tfs_exchange_ops ops = { .head = on_head, .body = on_body, .done = on_done };

static int prepare(struct tfs_ask *a)
{
	struct tfs_exchange *x = &a->x;
	double left;
	int r;

	tfs_exchange_fini(x);
	*x = (struct tfs_exchange){ .f = a->spec.f, .ops = &ops, .method = a->spec.method, .post = a->spec.post };
	/* All attempts together. */
	left = a->give_up - tfs_now();
	x->limit_ms = a->spec.impatient ? 2000 : left > 0 ? (long)(left * 1000) + 1 : 1;
	x->direct = a->spec.trusted;
	if (a->spec.trusted)
		x->trust = TFS_TRUST_THIS;
	else if (tfs_origin_is_at(a->spec.f->origin, &a->spec.url))
		x->trust = TFS_TRUST_ORIGIN;
	r = tfs_url_copy(&a->spec.url, &x->url);
	if (!r && a->spec.accept)
		r = tfs_exchange_header(x, "Accept: %s", a->spec.accept);
	if (!r && a->spec.probe)
		r = tfs_exchange_header(x, "Range: bytes=0-0");
	if (!r && a->spec.sign)
		r = a->spec.sign(a->spec.sign_arg, x, &a->err);
	return r ? r : tfs_exchange_start(x);
}

static void run(struct tfs_job *j)
{
	struct tfs_ask *a = tfs_container_of(j, struct tfs_ask, job);
	int r;

	a->len = 0;
	if (a->body)
		*a->body = 0;
	r = prepare(a);
	if (r == -EAGAIN && tfs_now() < a->give_up) {
		tfs_job_end(&a->job);
		tfs_timer_set(&a->spec.f->loop, &a->timer, tfs_now() + TFS_SIGN_AGAIN);
	} else if (r) {
		end(a, r);
	}
}

int tfs_ask(const struct tfs_ask_spec *spec)
{
	struct tfs_ask *a = calloc(1, sizeof *a);
	struct tfs_host *h = a ? tfs_host_of(spec->f, &spec->url) : NULL;

	if (!h) {
		struct tfs_url url = spec->url;

		tfs_url_fini(&url);
		free(a);
		return -ENOMEM;
	}
	a->spec = *spec;
	a->job.run = run;
	a->timer.run = on_timer;
	a->give_up = tfs_now() + spec->f->options.timeout;
	/* Of a LIST all requests together. */
	if (spec->f->origin && spec->f->origin->listing && spec->f->origin->late < a->give_up)
		a->give_up = spec->f->origin->late;
	tfs_job_queue(&a->job, h, TFS_FETCH_DEMAND, false);
	return 0;
}
