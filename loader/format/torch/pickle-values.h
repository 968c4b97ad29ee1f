/* SPDX-License-Identifier: MIT */
/*
 * What a pickle is read into: values that may contain themselves and each other many times; a walk must count its steps.
 */
#ifndef TFS_FORMAT_PICKLE_VALUES_H
#define TFS_FORMAT_PICKLE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* The pickle of a checkpoint has some 200 bytes per tensor; this is for a million tensors. */
#define TFS_PICKLE_MAX_SIZE (256u << 20)

/* Bytes of values, stack and memo. A million tensors with a storage each need 400 MiB. */
#define TFS_PICKLE_MAX_MEMORY (512u << 20)

enum tfs_pickle_type {
	TFS_PICKLE_ABSENT, /* no value: what a memo or a call lacks */
	TFS_PICKLE_NONE,
	TFS_PICKLE_BOOL,
	TFS_PICKLE_INT,
	TFS_PICKLE_LONG,  /* an integer that doesn't fit in 56 bits, signed */
	TFS_PICKLE_FLOAT, /* 8 bytes, big-endian */
	TFS_PICKLE_STR,	  /* as in the file, not known to be UTF-8 */
	TFS_PICKLE_BYTES, /* also Python 2's str */
	/* From here on nodes. First those with a fixed number of items: */
	TFS_PICKLE_TUPLE,
	TFS_PICKLE_GLOBAL, /* two items: module and name, of type STR */
	TFS_PICKLE_PERSID, /* one item: the persistent id */
	TFS_PICKLE_CALL,   /* as in enum tfs_pickle_call */
	TFS_PICKLE_FAR,	   /* a long text or bytes that weren't read; as in enum tfs_pickle_far */
	/* and those that grow: */
	TFS_PICKLE_LIST,
	TFS_PICKLE_SET,
	TFS_PICKLE_DICT, /* keys and values in turn; of duplicate keys the last one is used */
};

#define TFS_PICKLE_FIRST_NODE TFS_PICKLE_TUPLE
#define TFS_PICKLE_FIRST_LIST TFS_PICKLE_LIST

/* The items of a CALL; ABSENT if not present. */
enum tfs_pickle_call {
	TFS_PICKLE_CALLEE,
	TFS_PICKLE_ARGS,  /* a TUPLE */
	TFS_PICKLE_STATE, /* of BUILD; the last one */
	TFS_PICKLE_ITEMS, /* a LIST of what APPEND, APPENDS and ADDITEMS added; or what follow() found, a FAR or any value */
	TFS_PICKLE_PAIRS, /* a DICT of what SETITEM and SETITEMS set */
	TFS_PICKLE_CALL_ITEMS,
};

/* The items of a FAR, all INT. */
enum tfs_pickle_far {
	TFS_PICKLE_FAR_OFFSET, /* in the file */
	TFS_PICKLE_FAR_LENGTH,
	TFS_PICKLE_FAR_TEXT, /* 1: it is text, in UTF-8 */
	TFS_PICKLE_FAR_ITEMS,
};

/*
 * A value is its type in the low 8 bits, and above them a number, or the address of a node, or of the opcode before a text:
 * user-space addresses have at most 56 bits. There are tens of millions of values, so they are small. All zero is ABSENT.
 */
struct tfs_pickle_value {
	uint64_t word;
};

struct tfs_input;
struct tfs_pickle_span;

struct tfs_pickle_node {
	uint32_t at; /* position in the pickle of the opcode that made it */
	uint32_t n_items : 30;
	uint32_t entered : 1;  /* for walks: is on the current path; */
	uint32_t distinct : 1; /* of a dict: keys that occur again later have been made ABSENT */
	/*
	 * With a fixed number: @n_items, followed in a PERSID by the previous PERSID. For those that grow: one, with the address of
	 * the last span. Read them with tfs_pickle_item() and tfs_pickle_iter().
	 */
	struct tfs_pickle_value items[];
};

static inline enum tfs_pickle_type tfs_pickle_type(const struct tfs_pickle_value *v)
{
	return v->word & 0xff;
}

/* Of BOOL and INT. */
static inline int64_t tfs_pickle_int(const struct tfs_pickle_value *v)
{
	return (int64_t)v->word >> 8;
}

static inline bool tfs_pickle_is_node(const struct tfs_pickle_value *v)
{
	return tfs_pickle_type(v) >= TFS_PICKLE_FIRST_NODE;
}

/* Of a value that is a node. */
static inline struct tfs_pickle_node *tfs_pickle_node(const struct tfs_pickle_value *v)
{
	return (struct tfs_pickle_node *)(uintptr_t)(v->word >> 8);
}

/* From a byte of the buffer on, what is there is not what follows in the file. */
struct tfs_pickle_jump {
	size_t at;
	uint64_t offset; /* in the file, of the byte at @at */
};

struct tfs_pickle {
	/* Set by the caller: */
	const char *buf; /* the pickle begins here and may end before @len, which is at most TFS_PICKLE_MAX_SIZE */
	size_t len;
	bool more; /* the file continues after the buffer: a pickle that doesn't end in it must be read again with more of it */
	uint64_t offset; /* in the file, for errors: of @buf, */
	bool inflated;	 /* or of the deflated bytes that it was made from */
	struct tfs_error *err;
	size_t memory;		 /* bytes used by others of the same file; afterwards also by this one, though not all at once */
	struct tfs_share *share; /* of what parsing may cost, or NULL */

	/*
	 * Not NULL: the pickle is read from here, from byte @offset on, as far as it goes, into @buf, which has room for
	 * TFS_PICKLE_MAX_SIZE bytes; @len is 0. Long texts and bytes aren't read, and become FAR.
	 */
	const struct tfs_input *in;
	/*
	 * With @in, or NULL: called when the state of the CALL @call was set, if data that isn't of the pickle may follow it at byte
	 * @offset of the file. *@ret_before: how many bytes are before it, and *@ret_len: how many of it, 0 if there are none; *@ret_pickle:
	 * there is another pickle instead, whose value is taken. 0, -EINVAL with the error filled, or another error.
	 */
	int (*follow)(struct tfs_pickle *p, const struct tfs_pickle_value *call, uint64_t offset, uint64_t *ret_before,
		      uint64_t *ret_len, bool *ret_pickle);

	/* Filled by tfs_pickle_read(): */
	struct tfs_pickle_value result;
	size_t used;			 /* bytes up to and including its STOP */
	bool cut;			 /* it failed because the buffer ended, but there is more */
	struct tfs_pickle_value persids; /* the last PERSID, or ABSENT; the others by tfs_pickle_next_persid() */
	struct tfs_arena arena;		 /* of the nodes */
	size_t charged;			 /* to @share */
	struct tfs_pickle_jump *jumps;	 /* with @in; in ascending order */
	size_t n_jumps, room_jumps;
};

/* Fill the error: what is wrong at byte @at of the pickle. Returns @code. */
int tfs_pickle_error(const struct tfs_pickle *p, int code, size_t at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Where byte @at of the pickle is in the file; of an inflated one, where its deflated bytes begin. */
uint64_t tfs_pickle_place(const struct tfs_pickle *p, size_t at);

/* Item @i of a TUPLE, GLOBAL, PERSID, CALL or FAR; NULL if @v is of another type, or the item doesn't exist or is ABSENT. */
const struct tfs_pickle_value *tfs_pickle_item(const struct tfs_pickle_value *v, enum tfs_pickle_type type, size_t i);

/* The items of any node, one by one. */
struct tfs_pickle_iter {
	const struct tfs_pickle_value *at, *end;
	const struct tfs_pickle_span *span, *last;
};

struct tfs_pickle_iter tfs_pickle_iter(const struct tfs_pickle_value *v);
const struct tfs_pickle_value *tfs_pickle_next(struct tfs_pickle_iter *it); /* NULL: no more */

struct tfs_pickle_value tfs_pickle_next_persid(struct tfs_pickle_value persid);

/* The bytes of a STR, BYTES, FLOAT or LONG, in the pickle's buffer. A LONG's are two's complement, little-endian, or digits. */
const char *tfs_pickle_text(const struct tfs_pickle_value *v, uint32_t *ret_len);

/* The integer of an INT or LONG; false if it is neither, or has more than 64 bits. */
bool tfs_pickle_number(const struct tfs_pickle_value *v, int64_t *ret);

/* Is it this global? */
bool tfs_pickle_is_global(const struct tfs_pickle_value *v, const char *module, const char *name);

/* A STR or BYTES with this text? */
bool tfs_pickle_is_text(const struct tfs_pickle_value *v, const char *text);

#endif
