/* SPDX-License-Identifier: MIT */
/*
 * An IO engine: one way to read a range of a source file into memory. One engine is one .c file and one row of the table in
 * engine.c; workers choose among them, and if one fails continue with the next lower tier (workers.c).
 *
 *   queue ──► DONE                 code, data
 *        └──► QUEUED ──► reap ──►  code, data
 */
#ifndef TFS_IO_ENGINE_H
#define TFS_IO_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "content/source.h"

/* One read. Must not move until it is done. */
struct tfs_io {
	/* The caller's. */
	struct tfs_source *source; /* pinned */
	uint64_t offset;
	size_t len;   /* > 0, inside the file as it was at mount time */
	uint8_t *buf; /* aligned to TFS_IO_ALIGN, room for len + 2 * TFS_IO_ALIGN bytes */
	int slot;     /* its index among the context's buffers, or -1 */
	bool ahead;   /* nobody waits for it yet; for storage where that matters */
	bool roomy;   /* buf has room for len + TFS_IO_ROOM bytes, and data may be elsewhere */

	/* The answer. */
	uint8_t *data; /* the first byte requested, somewhere in buf; all bytes are valid if code is 0 */
	int64_t loan;  /* not -1: data is elsewhere, only to be read, until tfs_source_repay(); -1 at first */
	int code;
	struct tfs_error err; /* filled by the last engine of the table, whose error is final; others may leave it unchanged */

	/* Private to the engine while it is queued. */
	uint64_t from; /* what is actually read: [from, from + want) … */
	size_t want;
	size_t got; /* … of which this much has arrived */
};

enum tfs_queued { TFS_IO_DONE, TFS_IO_QUEUED };

/* An engine's state for one thread. */
struct tfs_io_context;

struct tfs_engine {
	const char *name; /* "uring": for --engine and .tensorfs/stats */

	/*
	 * Required if queue() ever returns QUEUED, else NULL: make a context for the calling thread, which alone uses it, for up to
	 * @depth reads at once. -errno: this engine isn't available here.
	 */
	int (*create)(unsigned depth, struct tfs_io_context **ret_context);
	/* Destroys it. Nothing may be queued. */
	void (*destroy)(struct tfs_io_context *c);

	/*
	 * Optional: prepares the @n buffers of @size bytes each that most reads will use; NULL: they are about to be freed. Nothing
	 * may be queued. An engine that can't do this just reads more slowly.
	 */
	void (*set_buffers)(struct tfs_io_context *c, uint8_t *const *buffers, unsigned n, size_t size);

	/* Required. @c: NULL without create(). At most depth reads are queued. */
	enum tfs_queued (*queue)(struct tfs_io_context *c, struct tfs_io *io);

	/* Required if queue() ever returns QUEUED: wait for any queued read to be done, in any order. */
	struct tfs_io *(*reap)(struct tfs_io_context *c);
};

/* One engine for each tier. */
typedef const struct tfs_engine *const tfs_engines[TFS_TIERS];

extern const struct tfs_engine tfs_engine_uring, tfs_engine_threads, tfs_engine_buffered, tfs_engine_remote;
extern tfs_engines tfs_all_engines;

/* Is the engine of @tier available here? 0, or -errno that says why not. */
int tfs_engine_probe(tfs_engines engines, enum tfs_tier tier);

#endif
