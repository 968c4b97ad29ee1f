/* SPDX-License-Identifier: MIT */
/*
 * FlatBuffers (flatbuffers.dev/internals), read from a file field by field: tables with their vtables, vectors and strings. Only what is
 * asked for is read, by way of a few cached pages, so a file of gigabytes costs as much as its tables are large. Nothing is allocated.
 * Not thread-safe.
 *
 * Nothing of the file is trusted: every position, also the end of every vector, is checked to be within it. What refers to what isn't:
 * several fields may refer to one table, and a caller that follows references in a circle has to end that itself.
 *
 * Functions return 0, or 1 and 0 for whether a field is there, or -errno with the error filled: -EINVAL, or pread's error.
 */
#ifndef TFS_FORMAT_FLATBUFFER_READER_H
#define TFS_FORMAT_FLATBUFFER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tfs_input;

enum { TFS_FB_PAGE = 4096, TFS_FB_PAGES = 16 };

/* Embedded; large, so don't put it on the stack. */
struct tfs_fb {
	const struct tfs_input *in;
	struct tfs_error *err;

	/* Private: page N of the file is in the slot N % TFS_FB_PAGES. */
	struct tfs_fb_page {
		uint64_t number; /* plus 1; 0: none */
		uint8_t bytes[TFS_FB_PAGE];
	} pages[TFS_FB_PAGES];
};

struct tfs_fb_table {
	uint64_t at, vtable;
	uint32_t vtable_len;
};

/* Elements one after the other, all within the file. */
struct tfs_fb_vector {
	uint64_t at; /* of the first */
	uint32_t n;
};

/* Both are the caller's. */
void tfs_fb_init(struct tfs_fb *fb, const struct tfs_input *in, struct tfs_error *err);

/* The table that the offset of 4 bytes at @at refers to; the root table's is at byte 0. */
int tfs_fb_table_at(struct tfs_fb *fb, uint64_t at, struct tfs_fb_table *ret);

/* A number of @width bytes, 1 to 8, unsigned; @otherwise if the field isn't there. */
int tfs_fb_number(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, unsigned width, uint64_t otherwise,
		  uint64_t *ret);

/* 1, or 0: there is none. */
int tfs_fb_table(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, struct tfs_fb_table *ret);

/* A vector of elements of @width bytes, or a string, whose are 1. 1; 0: there is none, and *@ret has no elements. */
int tfs_fb_vector(struct tfs_fb *fb, const struct tfs_fb_table *t, unsigned field, unsigned width, struct tfs_fb_vector *ret);

/* Element @i of a vector of such numbers, or of tables. */
int tfs_fb_element(struct tfs_fb *fb, const struct tfs_fb_vector *v, uint32_t i, unsigned width, uint64_t *ret);
int tfs_fb_element_table(struct tfs_fb *fb, const struct tfs_fb_vector *v, uint32_t i, struct tfs_fb_table *ret);

/* The @len bytes at @at, which are within the file. */
int tfs_fb_copy(struct tfs_fb *fb, uint64_t at, void *buf, size_t len);

#endif
