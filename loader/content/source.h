/* SPDX-License-Identifier: MIT */
/*
 * Source files held open for reading. Loads pin the source they read from; unpinned files are kept open, up to a small number, and
 * closed least recently used first. Thread-safe.
 */
#ifndef TFS_SOURCE_H
#define TFS_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/list.h"
#include "model/model.h"

/*
 * Idle sources kept open. A model of 163 shards fits, so opens in any order need no open(2) each; 10,000 .npy files don't, and
 * needn't.
 */
#define TFS_SOURCES_IDLE 256

/*
 * Ways to read a local file, the fastest first. If one fails, the next one serves the waiting reads. A remote file has a way of its own,
 * which no other one stands in for.
 */
enum tfs_tier { TFS_TIER_URING, TFS_TIER_THREADS, TFS_TIER_BUFFERED, TFS_TIER_REMOTE, TFS_TIERS };

/* Ways to bring a range into the page cache, the fastest first: faults of huge pages, hints, or reading it. */
enum tfs_fill_way { TFS_FILL_HUGE, TFS_FILL_HINT, TFS_FILL_READ };

struct tfs_source {
	/* Private to source.c. */
	struct tfs_list idle;
	unsigned pins;
	/* Immutable while pinned. */
	uint64_t serial;	       /* unique, even over time; > 0 */
	const struct tfs_model *model; /* borrowed */
	uint32_t node;
	uint64_t size;
	struct tfs_input in; /* as it was opened first; of a remote file it has no descriptor */
	int direct_fd;	     /* that of @in, by O_DIRECT; -1 if the file system refuses it: then the tier is BUFFERED */
	/* Private to source.c: reads through the page cache. That of @in if there is no other, -1 until the first use. */
	_Atomic int buffered_fd;
	/* The first tier that hasn't failed yet where a lower one succeeded. Relaxed: a late reader just tries once more. */
	_Atomic enum tfs_tier tier;
	/* Relaxed, for tfs_source_fill(): how; and bytes that the kernel reads ahead at a time, 0: not asked yet. */
	_Atomic enum tfs_fill_way fill_way;
	_Atomic uint32_t ahead;
};

struct tfs_sources;

/* @direct: may O_DIRECT be used at all? */
struct tfs_sources *tfs_sources_create(const struct tfs_model *model, bool direct);
void tfs_sources_destroy(struct tfs_sources *p); /* nothing may be pinned; accepts NULL */

/*
 * Pin @node, opened and checked against the snapshot. -ESTALE: it is no longer the file of the snapshot; else open(2)'s error.
 * Every pin needs an unpin.
 */
int tfs_source_pin(struct tfs_sources *p, uint32_t node, struct tfs_source **ret_source, struct tfs_error *err);
void tfs_source_unpin(struct tfs_sources *p, struct tfs_source *s);

/* Is a pinned source still the file of the snapshot? 0 or -ESTALE. Call it after reading and before using the bytes. */
int tfs_source_check(struct tfs_sources *p, struct tfs_source *s, struct tfs_error *err);

/* Are all files that @t's bytes are in still those of the snapshot? 0, or as tfs_source_pin(), with the file named. */
int tfs_sources_check(struct tfs_sources *p, const struct tfs_tensor *t, struct tfs_error *err);

/* Set @node as the file that @err is about, if it has none. */
void tfs_source_name(const struct tfs_sources *p, uint32_t node, struct tfs_error *err);

/* How bytes were got: by the engine of that tier, or from the page cache, which already had them. */
enum tfs_read_how {
	TFS_READ_URING = TFS_TIER_URING,
	TFS_READ_DIRECT = TFS_TIER_THREADS,
	TFS_READ_BUFFERED = TFS_TIER_BUFFERED,
	TFS_READ_REMOTE = TFS_TIER_REMOTE, /* or from the cache on disk */
	TFS_READ_CACHED,
	TFS_READ_FILLED,  /* not got, but brought into the page cache */
	TFS_READ_PRESENT, /* the same, and there was nothing to do */
	TFS_READ_HOWS
};

/* O_DIRECT requires buffer, offset and length to be aligned; 4096 satisfies every device we know (logical blocks up to 4 KiB). */
#define TFS_IO_ALIGN 4096u

/*
 * Read exactly [offset, offset + len) of the pinned source into @buf, which is aligned to TFS_IO_ALIGN and has room for
 * len + 2 * TFS_IO_ALIGN bytes. *@ret_data points at the first byte requested, somewhere in @buf. Pages in the page cache are
 * copied from there; else O_DIRECT; else, even if a direct read fails midway, a buffered read whose pages are dropped again. 0, or
 * -errno with @err if the bytes are not available: -EIO for a short file or a medium error, or as tfs_source_pin().
 */
int tfs_source_read(struct tfs_source *s, uint64_t offset, size_t len, void *buf, uint8_t **ret_data, enum tfs_read_how *ret_how,
		    struct tfs_error *err);

/* Does the page cache hold all of the range? If the kernel doesn't tell: no. */
bool tfs_source_cached(struct tfs_source *s, uint64_t offset, uint64_t len);

/* The part of tfs_source_read() that is O_DIRECT. -errno: any reason, which may not affect a buffered read. */
int tfs_source_read_direct(struct tfs_source *s, uint64_t offset, size_t len, uint8_t *buf, uint8_t **ret_data);

/* A read by @tier failed with @code, and a lower tier succeeded: @tier isn't tried again. */
void tfs_source_degrade(struct tfs_source *s, enum tfs_tier tier, int code);

/* Is it remote? Then it is only read by tfs_source_read_remote(), and by what calls that. */
static inline bool tfs_source_is_remote(const struct tfs_source *s)
{
	return s->in.fd < 0;
}

/* Like tfs_source_read(), of a remote source, into @buf of @len bytes. @ahead: nobody waits for it yet. Also -ESTALE, -ECANCELED. */
int tfs_source_read_remote(struct tfs_source *s, uint64_t offset, size_t len, void *buf, bool ahead, struct tfs_error *err);

/* What a buffer should have room for beyond the bytes that are read from a remote source, in all. */
#define TFS_IO_ROOM (2 * TFS_INPUT_STEP)

/*
 * The same into @buf, which is aligned to TFS_IO_ALIGN and has room for @len + TFS_IO_ROOM bytes, or anywhere else: *@ret_data is where the
 * first of them is, until *@ret_loan is repaid, unless that is -1. All may be written by somebody else if it is lent.
 */
int tfs_source_take_remote(struct tfs_source *s, uint64_t offset, size_t len, uint8_t *buf, bool ahead, const uint8_t **ret_data,
			   int64_t *ret_loan, struct tfs_error *err);
void tfs_source_repay(struct tfs_source *s, int64_t loan); /* accepts -1 */

/* The same through the page cache, whose pages stay, into @buf of @len bytes: for many small reads near each other. */
int tfs_source_read_buffered(struct tfs_source *s, uint64_t offset, size_t len, void *buf, struct tfs_error *err);

/* We no longer need the pages of the range. */
void tfs_source_drop(struct tfs_source *s, uint64_t offset, size_t len);

/*
 * Bring [offset, offset + len) into the page cache for others, without a copy. It may bring more, up to the next multiple of 2 MiB,
 * but nothing before @offset. 0; -EIO; -EOPNOTSUPP: that isn't possible here; read it instead (tfs_source_read_buffered()).
 */
int tfs_source_fill(struct tfs_source *s, uint64_t offset, size_t len, struct tfs_error *err);

/* Load [offset, offset + len) into the page cache, unless it is there already, by way of @scratch, of @size bytes. */
int tfs_source_warm(struct tfs_source *s, uint64_t offset, uint64_t len, void *scratch, size_t size, struct tfs_error *err);

#endif
