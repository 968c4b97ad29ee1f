/* SPDX-License-Identifier: MIT */
/* One GET of a range of a file, for READs that are neighbours: attempts, retries, redirects, a hedge. */
#ifndef TFS_FETCH_GET_H
#define TFS_FETCH_GET_H

#include "fetch/exchange.h"
#include "fetch/range.h"

/* Most bytes of one GET. */
#define TFS_GET_MAX ((uint64_t)16 << 20)

/* One request of a GET: the first, and perhaps one that races it. */
struct tfs_attempt {
	struct tfs_exchange x;
	struct tfs_get *get;
	struct tfs_job job;
	bool running;
	bool data;	   /* the body is the range; else it is an error's or a redirect's, of which the beginning is kept */
	bool elsewhere;	   /* it isn't sent to the file's own URL */
	uint64_t expected; /* bytes, at most */
	char body[4096];   /* followed by a NUL */
	size_t len;
	struct tfs_error err; /* why head() ended it */
};

struct tfs_get {
	struct tfs_list all; /* f->gets */
	struct tfs_fetcher *f;
	struct tfs_file *file; /* of a tree that it holds */
	struct tfs_list reads; /* struct tfs_read that aren't done, by offset; those that were cancelled are gaps */
	uint64_t at, end;      /* what is still to come */
	bool asks;	       /* it finds out where the file is */
	struct tfs_url hop;    /* while it asks: where on the origin a redirect has led it; empty: nowhere yet */
	unsigned priority;
	struct tfs_attempt attempts[2];
	struct tfs_attempt *winner; /* whose bytes are taken; NULL: there were none yet */
	unsigned tries, hops;
	bool renewed; /* a signed URL, or credentials, were renewed once without a byte of progress */
	double give_up;
	uint64_t counted; /* @at when @give_up was set */
	struct tfs_timer again, hedge, lose;
};

/*
 * Begin with @read, which has a connection by its job (that ends here), and those behind it, which are taken from their queue.
 * @max: how many bytes, at most, but for @read's own. If that fails, all of them are answered.
 */
void tfs_get_start(struct tfs_read *read, uint64_t max, bool asks);

/* One of its READs was answered, and must not be written any more. */
void tfs_get_forget(struct tfs_get *g, struct tfs_read *read);

/* Give up if it is too late, or will be: 0; else when that is. */
double tfs_get_check_age(struct tfs_get *g, double now);

/* End it without answering its READs, which are freed. */
void tfs_get_destroy(struct tfs_get *g);

/* get-check.c: the length of the ETag that @x's answer must have, at the beginning of the file's version; 0: it may have any. */
size_t tfs_get_etag(const struct tfs_get *g, const struct tfs_exchange *x);

/*
 * get-check.c: a status 200 or 206 has come. Is it the range that is still to come, or a part from its beginning, of the version that
 * the table says? 0; or -EPROTO, -EOPNOTSUPP, -ESTALE, with @err filled.
 */
int tfs_get_check(const struct tfs_get *g, const struct tfs_exchange *x, struct tfs_error *err);

/* get-check.c: -ESTALE, with @err filled: @host says that @file has @size bytes, and not those that were listed. */
int tfs_get_other_size(const struct tfs_file *file, uint64_t size, const char *host, struct tfs_error *err);

/* range.c, for get.c: a READ is done, and freed. */
void tfs_range_done(struct tfs_read *read, int code, const struct tfs_error *err);

/* range.c, for get.c: it is known where @file is, or that it must be asked again: those that wait for it go on. */
void tfs_range_found(struct tfs_file *file);

#endif
