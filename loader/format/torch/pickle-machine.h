/* SPDX-License-Identifier: MIT */
/*
 * The machine that a pickle runs on: its stack, and the bytes that follow an opcode (pickle-bytes.c). Private to that and pickle.c.
 *
 * All functions are for the current opcode; 0, or -EINVAL with the error filled, or -ENOMEM.
 */
#ifndef TFS_FORMAT_PICKLE_MACHINE_H
#define TFS_FORMAT_PICKLE_MACHINE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/torch/pickle-impl.h"

struct tfs_pickle_machine {
	struct tfs_pickle *p;
	size_t at;     /* next byte */
	size_t opcode; /* position of the current one */
	struct tfs_pickle_value *stack;
	size_t depth, room_stack;
	size_t *marks; /* positions on the stack */
	size_t n_marks, room_marks;
	struct tfs_pickle_value **memo;
	size_t n_pages, n_memo;		     /* n_memo: indices that are set, for MEMOIZE */
	struct tfs_pickle_value empty_tuple; /* once there is one: they are all the same */
	unsigned level;			     /* of pickles in pickles */
	int failed;			     /* why take() couldn't, if that isn't -EINVAL */
};

#define tfs_pickle_refuse(m, ...) tfs_pickle_error((m)->p, -EINVAL, (m)->opcode, __VA_ARGS__)

/* --- The stack --------------------------------------------------------------------------------------------------- */

int tfs_pickle_push(struct tfs_pickle_machine *m, struct tfs_pickle_value v);

/* Refuse if there aren't @n values above the last mark. */
int tfs_pickle_need(struct tfs_pickle_machine *m, size_t n);

/* @i = 0: the topmost one. */
static inline struct tfs_pickle_value *tfs_pickle_top(struct tfs_pickle_machine *m, size_t i)
{
	return &m->stack[m->depth - 1 - i];
}

int tfs_pickle_push_mark(struct tfs_pickle_machine *m);

/* Remove the last mark; @ret_n values were above it. */
int tfs_pickle_pop_mark(struct tfs_pickle_machine *m, size_t *ret_n);

/* --- The bytes --------------------------------------------------------------------------------------------------- */

/* The next @n bytes, or NULL, and an error that says what is missing. */
const char *tfs_pickle_take(struct tfs_pickle_machine *m, uint64_t n);

/* A number of @n bytes, little-endian. */
int tfs_pickle_take_uint(struct tfs_pickle_machine *m, unsigned n, uint64_t *ret);

/* Up to a newline, which is consumed, too. NULL as above. */
const char *tfs_pickle_take_line(struct tfs_pickle_machine *m, size_t *ret_len);

/* The next @len bytes of the file won't be read. */
int tfs_pickle_skip(struct tfs_pickle_machine *m, uint64_t len);

/* Push: the current opcode, where text and long integers are; a FAR of the next @len bytes; */
int tfs_pickle_push_here(struct tfs_pickle_machine *m, enum tfs_pickle_type type);
int tfs_pickle_push_far(struct tfs_pickle_machine *m, bool text, uint64_t len);

/* a string preceded by its length, in @n bytes; a bool; an integer of @n bytes, unsigned, or signed, as BININT's; */
int tfs_pickle_push_string(struct tfs_pickle_machine *m, enum tfs_pickle_type type, unsigned n);
int tfs_pickle_push_bool(struct tfs_pickle_machine *m, bool b);
int tfs_pickle_push_uint(struct tfs_pickle_machine *m, unsigned n, bool is_signed);

/* an integer of any length, given in the @n bytes before it; one in digits; a float. */
int tfs_pickle_push_bytes_long(struct tfs_pickle_machine *m, unsigned n);
int tfs_pickle_push_digits(struct tfs_pickle_machine *m, bool is_long);
int tfs_pickle_push_float(struct tfs_pickle_machine *m);

#endif
