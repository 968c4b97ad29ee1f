/* SPDX-License-Identifier: MIT */
/* The input as a list of choices, each of a few bytes, lowest first, which are 0 behind its end; and numbers that needn't be chosen. */
#ifndef FUZZ_CHOICES_H
#define FUZZ_CHOICES_H

#include "fuzz.h"

struct choices {
	const uint8_t *at, *end;
	uint64_t random;
};

static inline struct choices choices_of(const uint8_t *data, size_t size)
{
	return (struct choices){ data, data + size, 0x9e3779b97f4a7c15u };
}

/* A number of @bytes bytes. */
static inline uint64_t choose_number(struct choices *c, unsigned bytes)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < bytes; i++)
		x |= (c->at < c->end ? (uint64_t)*c->at++ : 0) << 8 * i;
	return x;
}

/* One of 0 to @n - 1, with as many bytes as that needs. */
static inline uint64_t choose(struct choices *c, uint64_t n)
{
	return choose_number(c, n <= 256 ? 1 : n <= 65536 ? 2 : 4) % n;
}

/* From 0 to @most, and small ones more often than large ones. */
static inline uint64_t choose_size(struct choices *c, uint64_t most)
{
	const unsigned n = (unsigned)choose_number(c, 1);
	uint64_t x = n < 192 ? n : n < 248 ? choose_number(c, 2) : choose_number(c, 4);

	return x <= most ? x : x % (most + 1);
}

/* The same every time, and not chosen: xorshift64. */
static inline uint64_t any(struct choices *c, uint64_t n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random % n;
}

#endif
