/* SPDX-License-Identifier: MIT */
/*
 * MessagePack (github.com/msgpack/msgpack, spec.md), read from a file value by value: only the first bytes of each, and what is asked
 * for. Nothing is allocated. Not thread-safe.
 */
#ifndef TFS_FORMAT_MSGPACK_H
#define TFS_FORMAT_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/window.h"

/* Python's reader stops at 512 or 1024, by its version (msgpack/unpack_template.h); and readers use their own stack. */
#define TFS_MSGPACK_MAX_DEPTH 512

enum tfs_msgpack_kind {
	TFS_MSGPACK_OTHER, /* nil, a bool, a float */
	TFS_MSGPACK_INT,
	TFS_MSGPACK_STR,
	TFS_MSGPACK_BIN,
	TFS_MSGPACK_ARRAY,
	TFS_MSGPACK_MAP,
	TFS_MSGPACK_EXT,
};

/* A value's first bytes. */
struct tfs_msgpack_item {
	enum tfs_msgpack_kind kind;
	int8_t type;   /* EXT */
	bool negative; /* INT: then its value isn't used */
	uint64_t at;   /* in the file */
	uint64_t
		value; /* INT: the number; STR, BIN, EXT: bytes, which are in the file; ARRAY, MAP: elements, or pairs, which may be */
};

/* Embedded; large. */
struct tfs_msgpack {
	const struct tfs_input *in;
	struct tfs_error *err;
	uint64_t at;	/* the next byte */
	unsigned depth; /* values around it, as far as the caller counts them */
	struct tfs_window window;
};

void tfs_msgpack_init(struct tfs_msgpack *m, const struct tfs_input *in, struct tfs_error *err);

/*
 * Read the next value, which ends before byte @end, as far as its first bytes: what it contains is next. 0, or -errno with the error
 * filled; -EINVAL: not MessagePack.
 */
int tfs_msgpack_next(struct tfs_msgpack *m, uint64_t end, struct tfs_msgpack_item *ret);

/* Pass over what @it contains, which is next. The same; -EINVAL also if it is nested too deeply. */
int tfs_msgpack_skip(struct tfs_msgpack *m, const struct tfs_msgpack_item *it);

/* Is the string @it, whose content is next, @text? Moves past it. */
int tfs_msgpack_is(struct tfs_msgpack *m, const struct tfs_msgpack_item *it, const char *text, bool *ret);

/* Of a value in memory that begins with the @len bytes at @p: as tfs_msgpack_next(); the number of its first bytes, 0: not enough, or none. */
size_t tfs_msgpack_first(const uint8_t *p, size_t len, struct tfs_msgpack_item *ret);

#endif
