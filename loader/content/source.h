/* SPDX-License-Identifier: MIT */
/*
 * Source files held open for reading. Loads pin the source they read from; files that nobody pins are kept open, up to a
 * small number, least recently used closed first. Thread-safe.
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
 * Idle sources kept open. A model of 163 shards fits, so opens in any order need no open(2) each; 10,000 .npy files do not,
 * and need not.
 */
#define TFS_SOURCES_IDLE 256

/* Ways to read a file, the fastest first. Where one fails, those that wait are served by the next. */
enum tfs_tier { TFS_TIER_URING, TFS_TIER_THREADS, TFS_TIER_BUFFERED, TFS_TIERS };

struct tfs_source {
	/* Private to source.c. */
	struct tfs_list idle;
	unsigned pins;
	/* Immutable while pinned. */
	uint64_t serial; /* never the same for two, also not one after the other; > 0 */
	uint32_t node;
	uint64_t size;
	struct tfs_input in; /* buffered */
	int direct_fd;	     /* O_DIRECT, or -1 where the file system refuses it: then the tier is BUFFERED */
	/* The first tier that has not failed yet where one below it did not. Relaxed: a late reader only tries once more. */
	_Atomic enum tfs_tier tier;
};

struct tfs_sources;

/* @direct: may O_DIRECT be used at all? */
struct tfs_sources *tfs_sources_create(const struct tfs_model *model, bool direct);
void tfs_sources_destroy(struct tfs_sources *p); /* nothing may be pinned; takes NULL */

/*
 * Pin @node, opened and checked against the snapshot. -ESTALE: it is not the file of the snapshot any more; else what
 * open(2) said. Every pin needs an unpin.
 */
int tfs_source_pin(struct tfs_sources *p, uint32_t node, struct tfs_source **ret_source, struct tfs_error *err);
void tfs_source_unpin(struct tfs_sources *p, struct tfs_source *s);

/* Is a pinned source still the file of the snapshot? 0 or -ESTALE. To be asked after reading and before believing. */
int tfs_source_check(struct tfs_sources *p, struct tfs_source *s, struct tfs_error *err);

/* Name @node as the file that @err is about, where it names none. */
void tfs_source_name(const struct tfs_sources *p, uint32_t node, struct tfs_error *err);

/* How bytes were got: by the engine of that tier, or from the page cache, which had them already. */
enum tfs_read_how {
	TFS_READ_URING = TFS_TIER_URING,
	TFS_READ_DIRECT = TFS_TIER_THREADS,
	TFS_READ_BUFFERED = TFS_TIER_BUFFERED,
	TFS_READ_CACHED,
	TFS_READ_HOWS
};

/* O_DIRECT wants buffer, offset and length aligned; 4096 satisfies every device we know (logical blocks up to 4 KiB). */
#define TFS_IO_ALIGN 4096u

/*
 * Read exactly [offset, offset + len) of the pinned source into @buf, which is aligned to TFS_IO_ALIGN and has room for
 * len + 2 * TFS_IO_ALIGN bytes. *@ret_data points at the first byte asked for, somewhere in @buf. Pages that the page cache
 * has are copied from there; else O_DIRECT; else, also when a direct read fails in mid-flight, a buffered read whose pages are
 * dropped again. 0, or -EIO with @err where the bytes are not to be had: a short file, or a medium's error.
 */
int tfs_source_read(struct tfs_source *s, uint64_t offset, size_t len, void *buf, uint8_t **ret_data, enum tfs_read_how *ret_how,
		    struct tfs_error *err);

/* Does the page cache hold all of the range? Where the kernel can't tell (before 6.5): no. */
bool tfs_source_cached(const struct tfs_source *s, uint64_t offset, uint64_t len);

/* The part of tfs_source_read() that is O_DIRECT. -errno: any reason, which a buffered read may not share. */
int tfs_source_read_direct(struct tfs_source *s, uint64_t offset, size_t len, uint8_t *buf, uint8_t **ret_data);

/* A read by @tier failed with @code, and one further down went well: @tier is not tried again. */
void tfs_source_degrade(struct tfs_source *s, enum tfs_tier tier, int code);

/* The same through the page cache, whose pages stay, into @buf of @len bytes: for many small reads near each other. */
int tfs_source_read_buffered(struct tfs_source *s, uint64_t offset, size_t len, void *buf, struct tfs_error *err);

/* The pages of the range are of no more use to us. */
void tfs_source_drop(struct tfs_source *s, uint64_t offset, size_t len);

/* Bring [offset, offset + len) into the page cache, where it isn't yet, by way of @scratch, @size bytes. */
int tfs_source_warm(struct tfs_source *s, uint64_t offset, uint64_t len, void *scratch, size_t size, struct tfs_error *err);

#endif
