/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* Chunks double in size from the first, so a small model stays small, to the last, so little is left unused. */
#define CHUNK_FIRST 1024
#define CHUNK_LAST  (128 * 1024)

struct tfs_arena_chunk {
	struct tfs_arena_chunk *next;
	size_t size;
	alignas(16) char data[];
};

void tfs_arena_fini(struct tfs_arena *a)
{
	for (struct tfs_arena_chunk *c = a->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct tfs_arena){ 0 };
}

static struct tfs_arena_chunk *new_chunk(size_t size)
{
	struct tfs_arena_chunk *c;
	size_t total;

	if (ckd_add(&total, sizeof *c, size))
		return NULL;
	c = malloc(total);
	if (c)
		c->size = size;
	return c;
}

/* Start a chunk of @size bytes to cut from; the rest of the old one is wasted. */
static int start_chunk(struct tfs_arena *a, size_t size)
{
	struct tfs_arena_chunk *c = new_chunk(size);

	if (!c)
		return -ENOMEM;
	c->next = a->chunks;
	a->chunks = c;
	a->at = c->data;
	a->end = c->data + size;
	return 0;
}

int tfs_arena_reserve(struct tfs_arena *a, size_t size)
{
	return (size_t)(a->end - a->at) >= size ? 0 : start_chunk(a, size);
}

void *tfs_arena_alloc(struct tfs_arena *a, size_t size, size_t align)
{
	size_t pad = -(uintptr_t)a->at & (align - 1), left = a->end - a->at;
	struct tfs_arena_chunk *c;
	size_t next;
	char *p;

	if (left < pad || left - pad < size || !a->at) {
		next = a->chunks ? a->chunks->size * 2 : CHUNK_FIRST;
		if (next > CHUNK_LAST)
			next = CHUNK_LAST;
		if (size > next / 4 && a->chunks) {
			/* A large allocation gets a chunk of its own, after the current one, from which we continue to cut. */
			c = new_chunk(size);
			if (!c)
				return NULL;
			c->next = a->chunks->next;
			a->chunks->next = c;
			return c->data;
		}
		if (start_chunk(a, size > next ? size : next))
			return NULL;
		pad = 0;
	}
	p = a->at + pad;
	a->at = p + size;
	return p;
}

void *tfs_arena_array(struct tfs_arena *a, size_t n, size_t size, size_t align)
{
	size_t bytes;

	return ckd_mul(&bytes, n, size) ? NULL : tfs_arena_alloc(a, bytes, align);
}

char *tfs_arena_copy(struct tfs_arena *a, const char *s, size_t len)
{
	char *p = tfs_arena_alloc(a, len + 1, 1);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}
