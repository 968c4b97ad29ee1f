/* SPDX-License-Identifier: MIT */
/* One HTTP request and its answer: no retries, no redirects, no credentials of its own. Who uses it decides about all of those. */
#ifndef TFS_FETCH_EXCHANGE_H
#define TFS_FETCH_EXCHANGE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/fetcher.h"
#include "fetch/head.h"
#include "fetch/url.h"

struct tfs_exchange;

struct tfs_exchange_ops {
	/* The header is complete, x->head: 0 to go on; -errno ends the exchange before a byte of the body. */
	int (*head)(struct tfs_exchange *x);
	/* Bytes of the body: 0 or -errno, as head(). */
	int (*body)(struct tfs_exchange *x, const char *data, size_t len);
	/* It is over, and may be freed by tfs_exchange_fini(). What happened: x->code, x->stopped, x->head. */
	void (*done)(struct tfs_exchange *x);
};

/* Embedded. Filled by the caller: the first group; the rest is 0. */
struct tfs_exchange {
	struct tfs_fetcher *f;
	const struct tfs_exchange_ops *ops;
	struct tfs_url url; /* owned */
	enum tfs_trust trust;
	bool direct;		    /* not by a proxy */
	const char *method;	    /* NULL: GET */
	const char *post;	    /* the body of a POST, or NULL; outlives the exchange */
	const char *user;	    /* "user:password" for Basic, or NULL; outlives the exchange */
	long limit_ms;		    /* of all of it; 0: none */
	uint64_t signed_with;	    /* for the origin: which of its credentials, or what else it may have learnt since */
	struct curl_slist *headers; /* owned */

	CURL *easy; /* NULL: not running */
	struct tfs_head head;
	int stopped;	/* what head() or body() returned, or 0 */
	CURLcode code;	/* how it ended */
	bool forbidden; /* the guard refused the address */
	enum tfs_reach reach;
	double began, first_byte; /* tfs_now(); 0: not yet */
	uint64_t body_bytes;
	struct tfs_timer stall; /* when to look whether it gets on */
	double last_byte, marked;
	uint64_t marked_bytes;
	char text[CURL_ERROR_SIZE];
};

/* Add a header line, "Name: value". 0 or -ENOMEM. */
int tfs_exchange_header(struct tfs_exchange *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Send it. 0, and ops->done is called later, never from here; or -errno, and it isn't. */
int tfs_exchange_start(struct tfs_exchange *x);

/* End it, without done() if it is still running, and free what it owns. Not from head() or body(). */
void tfs_exchange_fini(struct tfs_exchange *x);

/* For tfs_loop_run(). */
void tfs_exchange_finished(CURL *easy, CURLcode code);

/* Seconds without bytes after which it is broken: so that within --remote-timeout it can be tried again. */
double tfs_exchange_patience(const struct tfs_fetcher *f);

/* How an exchange went, so far as it isn't about the status of the answer. */
enum tfs_outcome {
	TFS_ANSWERED, /* with x->head; the body is complete, or ended by head() or body() */
	TFS_BROKEN,   /* the network's fault: to be tried again */
	TFS_REFUSED,  /* no use to try again: TLS, the guard, not HTTP */
};

/* @err is filled for all but TFS_ANSWERED: with -ENETUNREACH or -EPROTO, and a text that names the host. */
enum tfs_outcome tfs_exchange_outcome(const struct tfs_exchange *x, struct tfs_error *err);

/* Free what is kept for the next exchange. */
void tfs_exchange_free_idle(void);

#endif
