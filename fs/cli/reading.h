/* SPDX-License-Identifier: MIT */
/*
 * Reading tensors of a model through the loader, without a mount: bytes, or values as float32. For speed, several threads read at once,
 * each its own ranges (tfs_parallel_for()).
 */
#ifndef TFS_CLI_READING_H
#define TFS_CLI_READING_H

#include <stddef.h>
#include <stdint.h>

#include "cli/progress.h"
#include "loader.h"

/* Threads that use what was read; the loader has its own to read it. One per CPU, within limits. */
unsigned tfs_readers(void);

/*
 * A loader that streams, for a model whose @npy_align is 64. Starts threads. 0, or -errno after printing an error. To be closed by
 * tfs_reading_close().
 */
int tfs_reading_open(const struct tfs_model *model, struct tfs_loader **ret_loader);
void tfs_reading_close(struct tfs_loader *l); /* takes NULL */

/* Bytes of a tensor's file in a view without its header: of its bytes, or of its values as float32. 0 if it has no such file. */
uint64_t tfs_body_size(const struct tfs_model *model, struct tfs_file_id id);

/* A range of the body of a file, read from its beginning to its end, without a copy. */
struct tfs_reading {
	/* Private. */
	struct tfs_stream *stream;
	struct tfs_read rd;
	uint64_t at, end; /* in the file: what hasn't been requested yet */
	unsigned piece;	  /* of the current answer */
	size_t used;	  /* bytes of it */
	bool have;	  /* an answer */
};

/* Bytes [at, at + len) of the body of @id. -ENOMEM. */
int tfs_reading_begin(struct tfs_reading *r, const struct tfs_model *model, struct tfs_loader *l, struct tfs_file_id id,
		      uint64_t at, uint64_t len);

/*
 * The next bytes, valid until tfs_reading_take(); *@ret_len is 0 at the end. They begin and end between two elements of a type of plain
 * numbers, but aren't aligned in memory. 0, or as tfs_stream_read(): the reason was printed.
 */
int tfs_reading_peek(struct tfs_reading *r, const uint8_t **ret_data, size_t *ret_len);

/* @len of them have been used. */
void tfs_reading_take(struct tfs_reading *r, size_t len);

void tfs_reading_end(struct tfs_reading *r);

/* One range of one of many tensors, to be read by one thread. */
struct tfs_range {
	size_t item; /* as the caller numbers them */
	uint64_t at, len;
};

struct tfs_ranges {
	struct tfs_range *ranges; /* malloc()ed */
	size_t n, room;
};

/*
 * Ranges that are together the body of @id. One if it can't be read in parallel, or is small, or empty. -ENOMEM.
 */
int tfs_ranges_add(struct tfs_ranges *ranges, const struct tfs_model *model, struct tfs_file_id id, size_t item);

/* Reading many ranges, on several threads. Embedded. */
struct tfs_scan {
	const struct tfs_model *model;
	struct tfs_loader *loader;
	const struct tfs_file_id *files; /* by item */
	const struct tfs_ranges *ranges;
	struct tfs_progress *progress; /* counts the bytes; or NULL */
	/* Bytes of range number @range, in order; ranges are read at the same time. 0, or an error that ends the range. */
	int (*visit)(void *arg, size_t range, const uint8_t *data, size_t len);
	void *arg;
	int *codes; /* for each range, the result; or NULL: the first error ends all */

	/* Private. */
	_Atomic int error;
};

/* 0, or the first error if @codes is NULL. */
int tfs_scan_run(struct tfs_scan *s);

#endif
