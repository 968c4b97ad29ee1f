/* SPDX-License-Identifier: MIT */
/*
 * READs, and the GETs that answer them. A READ waits in its file's queue, and for a connection to where the file is. The GET that gets
 * one takes the READs behind it with it, as far as they are neighbours: up to 16 MiB, but no more than leaves the other
 * connections as much. A GET that breaks goes on at the byte where it broke.
 */
#ifndef TFS_FETCH_RANGE_H
#define TFS_FETCH_RANGE_H

#include "fetch/fetcher.h"
#include "fetch/host.h"
#include "fetch/tree.h"

struct tfs_get;

/* A READ that isn't done. */
struct tfs_read {
	struct tfs_list all;  /* f->reads */
	struct tfs_list link; /* of its file: queued, waiting; of its GET: reads */
	struct tfs_job job;
	struct tfs_fetcher *f;
	struct tfs_file *file; /* of a tree that it holds */
	struct tfs_get *get;   /* NULL: not sent yet */
	uint64_t id, offset, place;
	uint32_t len;
	unsigned priority;
	double since; /* tfs_now() when it came */
};

/* A READ, whose range was checked. 0 or -ENOMEM. */
int tfs_range_read(struct tfs_fetcher *f, const struct tfs_fetch_read *m, struct tfs_file *file);
void tfs_range_raise(struct tfs_fetcher *f, uint64_t id);
void tfs_range_cancel(struct tfs_fetcher *f, uint64_t id);

/* Free all, without an answer. */
void tfs_range_destroy(struct tfs_fetcher *f);

/* peer.c: answer a READ. @err may be NULL if @code is 0. */
void tfs_peer_done(struct tfs_fetcher *f, uint64_t id, uint32_t len, int code, const struct tfs_error *err);

#endif
