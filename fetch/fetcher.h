/* SPDX-License-Identifier: MIT */
/* What the parts of the fetcher share. One of each in the process, used by one thread. */
#ifndef TFS_FETCH_FETCHER_H
#define TFS_FETCH_FETCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/guard.h"
#include "fetch/loop.h"
#include "fetch/url.h"
#include "remote/protocol.h"

struct tfs_origin;
struct tfs_tree;

struct tfs_fetch_options {
	char *url; /* as the user gave it: it may have a secret in its query */
	unsigned connections;
	double timeout; /* seconds */
	char *cacert;
	bool anonymous, netrc;
};

struct tfs_fetcher {
	struct tfs_loop loop;
	struct tfs_fetch_options options;
	struct tfs_fetch_counters *counters;
	uint8_t *memory; /* the shared memory, the page of counters included */
	uint64_t memory_size;

	void *ca; /* PEM, malloc()ed; NULL: libcurl's own */
	size_t ca_len;

	struct tfs_guard guard;
	struct tfs_list hosts; /* host.c */
	struct tfs_list gets;  /* range.c: those that aren't done */
	struct tfs_list reads; /* range.c: all that aren't done */
	unsigned n_reads;
	struct tfs_timer expire; /* range.c */
	struct tfs_origin *origin;
	struct tfs_tree *tree; /* NULL: none yet */
};

#define tfs_count(f, counter, n) atomic_fetch_add_explicit(&(f)->counters->counter, (n), memory_order_relaxed)
#define tfs_gauge(f, counter, n) atomic_store_explicit(&(f)->counters->counter, (n), memory_order_relaxed)

/* peer.c: a line for the daemon's log, without a secret. */
void tfs_fetch_warn(struct tfs_fetcher *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
