/* SPDX-License-Identifier: MIT */
/*
 * A model that is elsewhere: the files that its origin lists, and their bytes, from the cache (remote/object.h) or by the fetcher
 * (remote/fetcher.h).
 *
 *   read ──► what the object has ─────────────────────────────────────────► copied
 *        └─► what it lacks: claimed by somebody else? ──► wait for them ──► again
 *                        └─► claimed, fetched, kept, copied
 *
 * Thread-safe, except opening and closing.
 */
#ifndef TFS_REMOTE_REMOTE_H
#define TFS_REMOTE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "remote/protocol.h"
#include "remote/table.h"

struct tfs_remote;

/*
 * Open @url, with the options of the environment (remote/options.h): the table of its files is fetched, or the last one used if there is
 * no network and the cache has one. As tfs_fetcher_list(); -EINVAL: an option is wrong.
 */
int tfs_remote_open(const char *url, struct tfs_remote **ret_remote, struct tfs_error *err);

/* All reads that wait, or come later, get -ECANCELED; until it is resumed, when none waits any more. */
void tfs_remote_stop(struct tfs_remote *r);
void tfs_remote_resume(struct tfs_remote *r);
void tfs_remote_close(struct tfs_remote *r); /* nothing may be in progress; accepts NULL */

/* What its origin lists. Nodes are positions in it. */
const struct tfs_remote_table *tfs_remote_files(const struct tfs_remote *r);

/*
 * Read exactly @len bytes at @offset of the file @node, within its size. @ahead: nobody waits for them yet. Waits. 0; -ESTALE: the file
 * has changed at its origin, which is noticed once and for all; -EACCES; -EIO; -ECANCELED; @err filled.
 */
int tfs_remote_read(struct tfs_remote *r, uint32_t node, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err);

/*
 * The same, but the bytes stay where they have arrived: *@ret_data has them until *@ret_loan is repaid. The fetcher could still change
 * them. -EAGAIN: they can't, as some are here already or are to be kept; then they are to be read.
 */
int tfs_remote_lend(struct tfs_remote *r, uint32_t node, size_t len, uint64_t offset, bool ahead, const uint8_t **ret_data,
		    unsigned *ret_loan, struct tfs_error *err);
void tfs_remote_repay(struct tfs_remote *r, unsigned loan);

/* Reads of the file @node are cheapest if they begin and end at multiples of this, or at its end: a power of two, at most TFS_GRAIN. */
size_t tfs_remote_step(struct tfs_remote *r, uint32_t node);

/* Why the file is of no use any more, such as that it has changed, until @r is closed; NULL: that isn't known of it. */
const char *tfs_remote_stale(const struct tfs_remote *r, uint32_t node);

struct tfs_remote_range {
	uint32_t node;
	uint64_t offset, len; /* what is beyond the file's end is left out */
};

/*
 * These are about to be read, or (@ahead) will be some day: fetch all that isn't here, at once, and wait for that. Nothing here fails:
 * who reads them finds out. Of use while the model is scanned, or with a cache.
 */
void tfs_remote_want(struct tfs_remote *r, const struct tfs_remote_range *ranges, size_t n, bool ahead);

/* Headers have been read: from now on nothing is read beyond what is wanted, nor kept in memory. */
void tfs_remote_scanned(struct tfs_remote *r);

/*
 * A descriptor of all of the file @node, which the caller closes, if each of its bytes is here and known to be right; else -1.
 */
int tfs_remote_whole(struct tfs_remote *r, uint32_t node);

/* Would the bytes of @node that are fetched be kept on disk? */
bool tfs_remote_keeps(struct tfs_remote *r, uint32_t node);

/* Give back memory that isn't used now. */
void tfs_remote_trim(struct tfs_remote *r);

/* A descriptor of the directory of the cache, or -1. */
int tfs_remote_cache_dir(const struct tfs_remote *r);

struct tfs_remote_stats {
	const char *cache; /* its path, or NULL */
	uint64_t network_bytes, requests, resolves, connections, retries, hedges, throttled, redirects;
	uint64_t open_connections, limit_connections;
	uint64_t ttfb_median_us;
	uint64_t cache_hit_bytes; /* read from the cache */
	uint64_t cache_bad;	  /* grains of it that didn't fit their hash */
	uint64_t present_bytes;	  /* of all files that were opened: bytes known to be in the cache */
	uint64_t total_bytes;	  /* of all files */
	uint64_t starts;	  /* of fetchers */
	uint64_t stale;		  /* files that have changed */
	bool offline;
};
void tfs_remote_stats(struct tfs_remote *r, struct tfs_remote_stats *ret_stats);

/*
 * The key of the object of node @i of @t in a cache, of TFS_CACHE_NAME bytes, and what it is of, of TFS_CACHE_IDENTITY bytes. False: it
 * isn't kept.
 */
bool tfs_remote_key(const struct tfs_remote_table *t, uint32_t i, char *key, char *identity);

#endif
