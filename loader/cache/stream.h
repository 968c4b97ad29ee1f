/* SPDX-License-Identifier: MIT */
/*
 * Streams: reading a virtual file in pieces, for files that are not served from a backing file. A file that is being loaded
 * is read from its backing file as far as that is written; any other one, and one whose load failed, through a small set of shared
 * buffers (slots) that the scheduler fills, with readahead if the reads are sequential. What the kernel caches for the readers
 * isn't kept here.
 *
 * Thread-safe. Callbacks are made without a lock held.
 */
#ifndef TFS_STREAM_H
#define TFS_STREAM_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "cache/residency.h"
#include "io/scheduler.h"
#include "model/model.h"

/* The longest read; FUSE requests at most max_read, which is the same. */
#define TFS_STREAM_MAX_READ ((size_t)1 << 20)

/* A read that doesn't continue the previous one fetches blocks of this size: four times the kernel's own mmap readahead. */
#define TFS_STREAM_RANDOM ((size_t)256 << 10)

/* Pieces that a read may consist of: blocks of a random read, and one extending past each end. */
#define TFS_STREAM_PIECES (TFS_STREAM_MAX_READ / TFS_STREAM_RANDOM + 2)

struct tfs_streams;
struct tfs_stream;
struct tfs_slot;

/* One read. Owned by the caller; must not move until it was released. */
struct tfs_read {
	/* Called unless tfs_stream_read() returned the answer. @result: as returned by that. */
	void (*done)(struct tfs_read *rd, int result);
	uint64_t offset;
	size_t len; /* <= TFS_STREAM_MAX_READ, and inside the file */

	/* The answer, valid until tfs_read_release(): either a descriptor to read @len bytes from at @offset … */
	int fd;
	/* … or, if fd is -1, the bytes. */
	struct iovec iov[TFS_STREAM_PIECES];
	unsigned n_iov;

	/* Private. */
	struct tfs_stream *stream;
	struct tfs_range_wait range;
	struct waiter *waiter; /* of tfs_stream_read_wait() */
	int failure;	       /* starved: why it will never get slots */
	struct tfs_slot *slots[TFS_STREAM_PIECES];
	struct tfs_list link;
};

/*
 * @residency may be NULL: then resident files aren't used, and slots aren't in the budget. @memory: bytes that all slots together
 * may use. @background: all other reads go before these.
 */
struct tfs_streams *tfs_streams_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency,
				       uint64_t memory, bool background);
/* Answer every waiting read with -ECANCELED. The scheduler must be stopped first, and its workers gone. */
void tfs_streams_stop(struct tfs_streams *s);
void tfs_streams_destroy(struct tfs_streams *s); /* after that; no stream may be open; accepts NULL */

/* NULL: out of memory. The file has at least one byte. */
struct tfs_stream *tfs_stream_open(struct tfs_streams *s, struct tfs_file_id id);
/*
 * The same for a file that is never resident: all of a set's tensors as one. What its content refers to must outlive the streams.
 */
struct tfs_stream *tfs_stream_open_layout(struct tfs_streams *s, const struct tfs_layout *layout);
/* The same for the file @node of the model as it is, which has at least one byte. Only if the model is remote. */
struct tfs_stream *tfs_stream_open_node(struct tfs_streams *s, uint32_t node);
/* @next, which has at least one byte, will probably be opened after it: readahead continues there. Call it before any read. */
void tfs_stream_precede(struct tfs_stream *st, struct tfs_file_id next);
/* No new reads may come; those whose answers aren't released yet keep what they need. */
void tfs_stream_close(struct tfs_stream *st);

/*
 * Start a read. 0: the answer is in @rd. TFS_QUEUED: rd->done() will be called. Otherwise -errno, and there is nothing to release:
 * -EIO, -ESTALE as for loads; -EINVAL: outside the file.
 */
int tfs_stream_read(struct tfs_stream *st, struct tfs_read *rd);

/* The answer of a successful read is no longer needed. */
void tfs_read_release(struct tfs_read *rd);

/* Like tfs_stream_read(), but waits for the answer, so never TFS_QUEUED; uses rd->done itself. */
int tfs_stream_read_wait(struct tfs_stream *st, struct tfs_read *rd);

/* Exactly @len bytes at @offset, of any length within the file, copied into @buf. Waits. 0 or -errno, like tfs_stream_read(). */
int tfs_stream_pread(struct tfs_stream *st, void *buf, size_t len, uint64_t offset);

/*
 * Free the memory of slots if no stream is open. Not done immediately when the last one is closed: a reader that goes tensor by
 * tensor opens the next one right away, and fresh memory costs more than reusing what is there.
 * True: some slots still have memory.
 */
bool tfs_streams_trim(struct tfs_streams *s);

struct tfs_stream_stats {
	uint64_t reads, bytes, waits, readahead; /* readahead: slots filled before they were requested */
	uint64_t open;				 /* streams, now */
	char last_error[TFS_ERROR_LINE];	 /* "" if nothing ever failed */
	uint64_t failures;
};
void tfs_streams_stats(struct tfs_streams *s, struct tfs_stream_stats *ret_stats);

#endif
