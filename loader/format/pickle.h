/* SPDX-License-Identifier: MIT */
/*
 * A reader of Python pickles, which are programs for a small stack machine (CPython, Lib/pickletools.py). It carries out what
 * builds plain data and only notes down the rest: a global is a name, and a call a node with the callee, its arguments and what
 * was put into its result. Nothing is looked up, nothing is called. What the names mean is for whoever reads the values.
 *
 * Values may contain themselves and each other many times over; a walk must count its steps. Memory is a small multiple of the
 * pickle's length (less than 100 bytes for each of its bytes), and within TFS_PICKLE_MAX_VALUES.
 */
#ifndef TFS_FORMAT_PICKLE_H
#define TFS_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* The pickle of a checkpoint takes some 200 bytes a tensor; this is one of a million tensors. */
#define TFS_PICKLE_MAX_SIZE (256u << 20)

/* 16 bytes each, in containers, on the stack and in the memo; a node counts as three. A million tensors take 40 million. */
#define TFS_PICKLE_MAX_VALUES (64u << 20)

enum tfs_pickle_type {
	TFS_PICKLE_ABSENT, /* no value: what a memo or a call lacks */
	TFS_PICKLE_NONE,
	TFS_PICKLE_BOOL,
	TFS_PICKLE_INT,	  /* within 64 bits, signed */
	TFS_PICKLE_LONG,  /* a longer one: its bytes, two's complement, little-endian; or its digits, where it has been written so */
	TFS_PICKLE_FLOAT, /* 8 bytes, big-endian */
	TFS_PICKLE_STR,	  /* as it stands, not known to be UTF-8 */
	TFS_PICKLE_BYTES, /* also Python 2's str */
	/* From here on nodes. */
	TFS_PICKLE_LIST,
	TFS_PICKLE_TUPLE,
	TFS_PICKLE_SET,
	TFS_PICKLE_DICT,   /* keys and values in turn; a key may stand twice: the last one counts */
	TFS_PICKLE_GLOBAL, /* two items: module and name, of type STR */
	TFS_PICKLE_PERSID, /* one item: the persistent id */
	TFS_PICKLE_CALL,   /* as enum tfs_pickle_call has it */
};

/* The items of a CALL, ABSENT where there was none. */
enum tfs_pickle_call {
	TFS_PICKLE_CALLEE,
	TFS_PICKLE_ARGS,  /* a TUPLE */
	TFS_PICKLE_STATE, /* of BUILD; the last one */
	TFS_PICKLE_ITEMS, /* a LIST of what APPEND, APPENDS and ADDITEMS put into it */
	TFS_PICKLE_PAIRS, /* a DICT of what SETITEM and SETITEMS did */
	TFS_PICKLE_CALL_ITEMS,
};

struct tfs_pickle_node;

struct tfs_pickle_value {
	uint8_t type; /* enum tfs_pickle_type */
	uint32_t len; /* of @bytes */
	union {
		int64_t i;	   /* BOOL, INT */
		const char *bytes; /* LONG, FLOAT, STR, BYTES: in the pickle's buffer */
		struct tfs_pickle_node *node;
	};
};

/* Some of a node's items; a tuple's are always in one piece, and so are those of a GLOBAL, PERSID and CALL. */
struct tfs_pickle_span {
	struct tfs_pickle_span *next;
	uint32_t n, room;
	struct tfs_pickle_value items[];
};

struct tfs_pickle_node {
	struct tfs_pickle_span *first, *last; /* NULL where it is empty */
	uint32_t n_items;
	uint32_t at;			     /* place in the pickle of the opcode that made it */
	struct tfs_pickle_node *next_persid; /* PERSID: the one read before it */
	bool entered;			     /* for whoever walks: is on the path to here */
};

struct tfs_pickle {
	/* Set by the caller: */
	const char *buf; /* the pickle begins here and may end before @len, which is at most TFS_PICKLE_MAX_SIZE */
	size_t len;
	bool more; /* the file goes on behind the buffer: a pickle that does not end in it is to be read again with more of it */
	uint64_t offset; /* in the file, for errors: of @buf, */
	bool inflated;	 /* or of the deflated bytes that it was made from */
	struct tfs_error *err;

	/* Filled by tfs_pickle_read(): */
	struct tfs_pickle_value result;
	size_t used; /* bytes up to and with its STOP */
	bool cut;    /* it failed as the buffer ended, and there is more */
	size_t n_values;
	struct tfs_pickle_node *persids; /* the last PERSID; the others by next_persid */
	struct tfs_arena arena;		 /* of the nodes */
};

/*
 * Read the pickle at @p->buf. -EINVAL with the error filled: no pickle, cut short, above a limit, or an opcode that torch has never
 * written. -ENOMEM. The values live until tfs_pickle_fini(), and as long as the buffer.
 */
int tfs_pickle_read(struct tfs_pickle *p);
void tfs_pickle_fini(struct tfs_pickle *p);

/* Fill the error: what is wrong with what stands at byte @at of the pickle. Returns @code. */
int tfs_pickle_error(const struct tfs_pickle *p, int code, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Item @i of a TUPLE, GLOBAL, PERSID or CALL; NULL where @v is of another type or has no such item, or an ABSENT one. */
const struct tfs_pickle_value *tfs_pickle_item(const struct tfs_pickle_value *v, enum tfs_pickle_type type, size_t i);

/* Is it that global? */
bool tfs_pickle_is_global(const struct tfs_pickle_value *v, const char *module, const char *name);

/* STR or BYTES of this text? */
bool tfs_pickle_is_text(const struct tfs_pickle_value *v, const char *text);

#endif
