/* SPDX-License-Identifier: MIT */
/*
 * A strict pull reader for JSON (RFC 8259) in memory: one pass, no allocation. The caller says what it expects next; the
 * text is checked as far as it is read, so a document is sound once tfs_json_end() has returned 0.
 *
 *	tfs_json_init(&j, text, len, 0, err);
 *	for (r = tfs_json_object_begin(&j); !r && (r = tfs_json_object_next(&j, &key)) > 0;)
 *		r = tfs_json_is(&key, "shape") ? read_shape(&j) : tfs_json_skip(&j);
 *	if (!r)
 *		r = tfs_json_end(&j);
 *
 * Accepts what serde_json and jansson accept, with these differences, which tests/fuzz/fuzz-json.c allows for:
 * - the same key twice in one object is the caller's to refuse (jansson: JSON_REJECT_DUPLICATES);
 * - NUL is legal in a key as in any other string (jansson refuses it in keys), when escaped (jansson 2.14 overlooks a
 *   bare one behind a number);
 * - a number is checked for its grammar and kept as text, so 1e999 is none too large (both refuse it);
 * - containers nest to TFS_JSON_MAX_DEPTH, as in serde_json (jansson: 2048).
 *
 * Errors are -EINVAL, with offset and text in the tfs_error given to tfs_json_init(). After one only that is of use.
 */
#ifndef TFS_BASE_JSON_H
#define TFS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

/* serde_json's recursion limit of 128 stops at the 128th nested container. */
#define TFS_JSON_MAX_DEPTH 127

struct tfs_json {
	char *at; /* next byte */
	char *start, *end;
	uint64_t offset; /* of @start in its file, for errors */
	struct tfs_error *err;
	unsigned depth;
	bool first; /* the innermost container was just opened: no comma before what comes */
};

/*
 * Decoded bytes of a string (well-formed UTF-8, may contain NUL, and has one behind it), or the text of a number (without
 * a NUL). Points into the buffer.
 */
struct tfs_json_text {
	const char *s;
	size_t len;
};

enum tfs_json_type {
	TFS_JSON_OBJECT,
	TFS_JSON_ARRAY,
	TFS_JSON_STRING,
	TFS_JSON_NUMBER,
	TFS_JSON_TRUE,
	TFS_JSON_FALSE,
	TFS_JSON_NULL,
};

/*
 * Read the @len bytes at @buf, which stands at byte @offset of its file. Strings are decoded in place, so the buffer is
 * written to and must live as long as the strings that were read. @err may be NULL.
 */
void tfs_json_init(struct tfs_json *j, char *buf, size_t len, uint64_t offset, struct tfs_error *err);

/* Type of the value that comes next (an enum tfs_json_type), without reading it, or -EINVAL. */
int tfs_json_peek(struct tfs_json *j);

/* Enter an object; then for each member _next() reads the key and returns 1, the value is to be read, and 0 is the end. */
int tfs_json_object_begin(struct tfs_json *j);
int tfs_json_object_next(struct tfs_json *j, struct tfs_json_text *ret_key);

/* Enter an array; then _next() returns 1 before each element and 0 at the end. */
int tfs_json_array_begin(struct tfs_json *j);
int tfs_json_array_next(struct tfs_json *j);

int tfs_json_string(struct tfs_json *j, struct tfs_json_text *ret);
int tfs_json_number(struct tfs_json *j, struct tfs_json_text *ret);

/* An integer of 64 bits without sign, fraction or exponent; any other number is an error. */
int tfs_json_u64(struct tfs_json *j, uint64_t *ret);

/* Read over any value. */
int tfs_json_skip(struct tfs_json *j);

/* Nothing but white space is left. */
int tfs_json_end(struct tfs_json *j);

/* Offset in the file of a string or number that was read. */
static inline uint64_t tfs_json_offset(const struct tfs_json *j, const struct tfs_json_text *text)
{
	return j->offset + (uint64_t)(text->s - j->start);
}

static inline bool tfs_json_is(const struct tfs_json_text *text, const char *word)
{
	return text->len == strlen(word) && !memcmp(text->s, word, text->len);
}

#endif
