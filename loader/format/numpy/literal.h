/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a Python literal, in the header of an npy file. White space before a token is skipped. Anything unexpected is
 * refused with -EINVAL, with the error's offset relative to @start.
 */
#ifndef TFS_FORMAT_NPY_LITERAL_H
#define TFS_FORMAT_NPY_LITERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_literal {
	const uint8_t *start, *at, *end; /* the next byte is at @at */
	bool utf8;			 /* the text is UTF-8; else Latin-1 */
	struct tfs_error *err;
};

int tfs_literal_refuse(struct tfs_literal *l, const uint8_t *at, const char *fmt, ...) __attribute__((cold, format(printf, 3, 4)));

/* Refuse what is here instead of @what. */
int tfs_literal_expected(struct tfs_literal *l, const char *what) __attribute__((cold));

void tfs_literal_space(struct tfs_literal *l);

/* Is @c next? Then skip it. */
bool tfs_literal_take(struct tfs_literal *l, char c);

/* The same for a word of letters, like True. */
bool tfs_literal_word(struct tfs_literal *l, const char *word);

/* @c must come next. */
int tfs_literal_want(struct tfs_literal *l, char c);

/*
 * After an item of a list that ends with @close: 1, another one follows; 0, the list has ended. A comma may follow the last item.
 */
int tfs_literal_another(struct tfs_literal *l, char close);

/* An unsigned number, which Python 2's L may follow. */
int tfs_literal_number(struct tfs_literal *l, uint64_t *ret);

/* A string begins here, with the quote *@ret_quote; else @what is missing. */
int tfs_literal_open(struct tfs_literal *l, const char *what, uint8_t *ret_quote);

/* Its next character: 1, or 0 at its end. Escapes are decoded, even those for lone surrogates. */
int tfs_literal_char(struct tfs_literal *l, uint8_t quote, uint32_t *ret);

/* A whole string of printable ASCII, into @buf (@size bytes) with a NUL. */
int tfs_literal_short(struct tfs_literal *l, const char *what, char *buf, size_t size);

#endif
