/* SPDX-License-Identifier: MIT */
/*
 * Where models come from: a row of origin.c each. An origin lists its files, says where each is, and adds the credentials that a
 * request needs; everything else about requests it leaves to ask.c and range.c.
 */
#ifndef TFS_FETCH_ORIGIN_H
#define TFS_FETCH_ORIGIN_H

#include "fetch/exchange.h"
#include "fetch/fetcher.h"
#include "fetch/tree.h"
#include "remote/listing.h"

struct tfs_origin {
	const struct tfs_origin_ops *ops;
	struct tfs_fetcher *f;
	struct tfs_url base;  /* on the origin that is trusted, and that credentials are for */
	enum tfs_where where; /* what is known about a file at first */
	bool own_etags;	      /* ETags are what the origin itself says: whoever it redirects to may have others */
	bool runs_programs;   /* for its credentials */
	bool stays;   /* who it is: credentials that end are in files, which others mayn't read, or need a program of this user's */
	bool hasty;   /* the LIST that is running may fail: the daemon has a table */
	bool listing; /* a LIST is running */
	double late;  /* tfs_now() when it is to have ended */
};

/* Every function is required, but where it is said. */
struct tfs_origin_ops {
	/* Does it take @url, as the user gave it? */
	bool (*takes)(const char *url);

	/*
	 * Understand f->options.url; read credentials from files, as afterwards the process may not be who it is now. No requests.
	 * 0, or -EINVAL with @err filled.
	 */
	int (*create)(struct tfs_fetcher *f, struct tfs_origin **ret, struct tfs_error *err);
	void (*destroy)(struct tfs_origin *o);

	/* Begin to list. In the end, also from here, tfs_origin_listed() is called once. @known: the revision that the daemon has, or "". */
	void (*list)(struct tfs_origin *o, const char *known);

	/* A table was given instead. 0, or -EINVAL with @err filled. May be NULL. */
	int (*adopt)(struct tfs_origin *o, const struct tfs_tree *t, struct tfs_error *err);

	/* The URL of a file. */
	int (*url)(struct tfs_origin *o, const struct tfs_file *file, struct tfs_url *ret, struct tfs_error *err);

	/*
	 * Add the headers, credentials above all, of a request to x->url. Nothing secret if that isn't on base's origin. A request for
	 * a range has its Range and If-Match already. 0; -EAGAIN: credentials are being renewed, and it
	 * is to be called again in a moment.
	 */
	int (*sign)(struct tfs_origin *o, struct tfs_exchange *x, struct tfs_error *err);

	/* The origin said no to @x (300 and above): may it be sent again, as something was learnt from that? May be NULL. */
	bool (*renew)(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len);

	/* What a status of 400 and above means, and what to do about it: fill @err with a code of DONE or LISTED. */
	void (*explain)(struct tfs_origin *o, const struct tfs_exchange *x, const char *body, size_t len, struct tfs_error *err);
};

extern const struct tfs_origin_ops tfs_origin_hf, tfs_origin_http, tfs_origin_s3;

/* The origin of f->options.url becomes f->origin. 0, or -EINVAL with @err filled. */
int tfs_origin_create(struct tfs_fetcher *f, struct tfs_error *err);
void tfs_origin_destroy(struct tfs_fetcher *f);

/* Is @url on the origin that the user named? */
bool tfs_origin_is_at(const struct tfs_origin *o, const struct tfs_url *url);

/* What struct tfs_ask_spec.sign expects. @arg: the struct tfs_origin. */
int tfs_origin_sign(void *arg, struct tfs_exchange *x, struct tfs_error *err);

/* Answer a LIST (peer.c): with what was listed; or, if @code isn't 0, with @err. @l is freed, and may be NULL if @code isn't 0. */
void tfs_origin_listed(struct tfs_origin *o, int code, const struct tfs_error *err, struct tfs_remote_listing *l);

/* The same, if the revision is the one that the daemon has. */
void tfs_origin_unchanged(struct tfs_origin *o);

/* Is it time for the LIST that is running to have ended? 0, or -ENETUNREACH with @err filled. */
int tfs_origin_late(const struct tfs_origin *o, struct tfs_error *err);

/* 401, 403, 404, 410, other: a code and a text that has the status. For explain(). */
void tfs_origin_explain_status(const struct tfs_exchange *x, struct tfs_error *err);

/* What to add to the message that there is no directory @path: it may be the name of a file, but not of weights. "": it isn't that. */
const char *tfs_origin_no_weights(const char *path);

#endif
