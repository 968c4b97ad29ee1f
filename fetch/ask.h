/* SPDX-License-Identifier: MIT */
/* A small request, of which the whole answer fits into memory: with retries, and redirects. */
#ifndef TFS_FETCH_ASK_H
#define TFS_FETCH_ASK_H

#include "fetch/exchange.h"
#include "fetch/host.h"

/* Longest answer, but for what says otherwise. */
#define TFS_ASK_MAX_BODY ((size_t)64 << 20)

struct tfs_ask;

struct tfs_ask_spec {
	struct tfs_fetcher *f;
	struct tfs_url url; /* taken over */
	const char *method; /* NULL: GET */
	const char *post;   /* a literal, or copied by nobody: outlives the ask */
	const char *accept; /* NULL: anything */
	bool probe;	    /* ask for the first byte only; the header is what is wanted */
	bool trusted;	    /* TFS_TRUST_THIS, as long as there is no redirect; and not by a proxy */
	bool no_redirects;  /* a redirect is an answer */
	bool impatient;	    /* no second try, and 2 seconds: of what may well not be there */
	size_t max_body;    /* 0: TFS_ASK_MAX_BODY */

	/* Add the headers that a request to x->url needs: credentials, for those that they are for. NULL: none. 0 or -errno. */
	int (*sign)(void *arg, struct tfs_exchange *x, struct tfs_error *err);
	void *sign_arg;

	/* It is over. @a is freed when this returns. */
	void (*done)(struct tfs_ask *a, void *arg);
	void *arg;
};

/* What done() sees. */
struct tfs_ask {
	struct tfs_ask_spec spec;
	int code; /* 0: there is an answer, whatever its status. Else what @err says: -ENETUNREACH, -EBUSY, -EPROTO, -EFBIG, … */
	struct tfs_error err;
	struct tfs_exchange x; /* x.head: of the answer; x.url: who gave it */
	unsigned hops;	       /* redirects that were followed */
	char *body;	       /* followed by a NUL */
	size_t len, room;

	struct tfs_job job;
	struct tfs_timer timer;
	unsigned tries, failures; /* how often it was sent again; and why, but for 429 */
	double give_up;
};

/* 0, and done() is called later, never from here; or -errno, and it isn't. The URL is taken over in any case. */
int tfs_ask(const struct tfs_ask_spec *spec);

#endif
