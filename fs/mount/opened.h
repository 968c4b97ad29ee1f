/* SPDX-License-Identifier: MIT */
/*
 * Files that are open. The kernel serves an inode in only one mode at a time, so later opens of an open file share what the first
 * one set up; the mode may change after the last close.
 *
 * The table is locked in stripes by inode number. A stripe stays locked while the first open of a file registers its backing
 * file, which is a short request to another process, so no other open registers it a second time.
 */
#ifndef TFS_FS_OPENED_H
#define TFS_FS_OPENED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/stream.h"

struct tfs_control;
struct tfs_listing;
struct tfs_text;

enum tfs_open_mode {
	TFS_OPEN_PASSTHROUGH, /* the kernel reads the backing file directly */
	TFS_OPEN_STREAM,      /* a tensor, through the loader's streams */
	TFS_OPEN_NATIVE,      /* an original file, read by us */
	TFS_OPEN_TEXT,	      /* a text generated at open, or as it is read, for each open separately: in a table of their own */
	TFS_OPEN_MODES,
};

/* Why an open is answered with a stream. */
enum tfs_streamed_reason {
	TFS_STREAMED_NO_PASSTHROUGH, /* the whole mount is */
	TFS_STREAMED_TOO_LARGE,
	TFS_STREAMED_NO_ROOM,
	TFS_STREAMED_OPEN_WAIT,
	TFS_STREAMED_REFUSED,
	TFS_STREAMED_MADE_UP,
	TFS_STREAMED_REMOTE,
	TFS_STREAMED_REASONS,
};

extern const struct tfs_streamed_info {
	const char *key;  /* for its counter */
	const char *help; /* of that */
	const char *why;  /* NULL: the mount's own reason */
} tfs_streamed[TFS_STREAMED_REASONS];

struct tfs_opened {
	struct tfs_opened *next; /* of the stripe */
	uint64_t ino;
	unsigned opens;
	enum tfs_open_mode mode;
	int backing_id;			 /* PASSTHROUGH: FUSE's name for the backing file */
	bool kept;			 /* … which outlives the last close: see kept.h */
	bool held;			 /* PASSTHROUGH of a tensor: holds it resident */
	struct tfs_stream *stream;	 /* STREAM */
	enum tfs_streamed_reason reason; /* STREAM */
	int fd;				 /* NATIVE */
	const char *text;		 /* TEXT; owned, unless it is that of one of the next two */
	size_t text_len;
	const struct tfs_text *shared; /* of texts.h */
	uint32_t serial;	       /* of a snapshot; 0: none */
	struct tfs_listing *listing;   /* TEXT, instead; owned, unless the mount has it for everybody */
	bool for_all;
	struct tfs_control *control; /* TEXT, open for writing */
};

enum { TFS_OPENED_STRIPES = 64 };

struct tfs_opened_table {
	struct tfs_opened_stripe {
		pthread_mutex_t lock;
		struct tfs_opened *first;
	} stripes[TFS_OPENED_STRIPES];
};

void tfs_opened_init(struct tfs_opened_table *t);
void tfs_opened_fini(struct tfs_opened_table *t);

/* An entry that isn't in a table, with nothing open. NULL: out of memory. */
struct tfs_opened *tfs_opened_create(uint64_t ino, enum tfs_open_mode mode);

/* Lock the stripe of @ino and return its entry, or NULL if the file isn't open. */
struct tfs_opened *tfs_opened_lock(struct tfs_opened_table *t, uint64_t ino);
void tfs_opened_unlock(struct tfs_opened_table *t, uint64_t ino);

/* With the stripe locked. Adding passes the entry, with one open, to the table. */
void tfs_opened_add(struct tfs_opened_table *t, struct tfs_opened *o);

/* Drop one open. Returns the entry if that was the last one, for the caller to destroy. Locks the stripe itself. */
struct tfs_opened *tfs_opened_put(struct tfs_opened_table *t, struct tfs_opened *o);

/* Remove any entry from the table, regardless of its opens, or NULL if it is empty. For the end of the session. */
struct tfs_opened *tfs_opened_pop(struct tfs_opened_table *t);

#endif
