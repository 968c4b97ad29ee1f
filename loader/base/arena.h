/* SPDX-License-Identifier: MIT */
/*
 * An arena: many small things with a common lifetime (names, shapes, tables of a model), without a header or rounding for each. Not
 * thread-safe. Embedded; all zero is an empty arena.
 */
#ifndef TFS_BASE_ARENA_H
#define TFS_BASE_ARENA_H

#include <stddef.h>

struct tfs_arena_chunk;

struct tfs_arena {
	struct tfs_arena_chunk *chunks; /* newest first; memory is cut from the first */
	char *at, *end;			/* its unused rest */
};

void tfs_arena_fini(struct tfs_arena *a);

/*
 * @size bytes (0 gives a valid pointer, too), uninitialised, aligned to @align (a power of two, 16 at most); NULL when out of
 * memory.
 */
void *tfs_arena_alloc(struct tfs_arena *a, size_t size, size_t align);

/* @n elements of @size bytes; NULL also if the product overflows. */
void *tfs_arena_array(struct tfs_arena *a, size_t n, size_t size, size_t align);

/* A copy of the @len bytes at @s followed by a NUL; NULL when out of memory. */
char *tfs_arena_copy(struct tfs_arena *a, const char *s, size_t len);

/*
 * Make sure that the next @size bytes come without another allocation, so a caller that knows its needs pays for no more. 0 or
 * -ENOMEM.
 */
int tfs_arena_reserve(struct tfs_arena *a, size_t size);

#endif
