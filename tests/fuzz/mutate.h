/* SPDX-License-Identifier: MIT */
/*
 * Mutators that know a format: a file that is changed in what it says, and is still one. libFuzzer and replay.c call them by the name
 * below, AFL++ by way of mutate-afl.c.
 */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Change the @size bytes at @data, which has room for @max; returns how many there are then. The same for the same @seed. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* The same without knowing what they are: libFuzzer's own, or replay.c's. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* Numbers below @n from *@state: xorshift64. */
static inline uint64_t mutate_any(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % n;
}

static inline uint64_t mutate_start(unsigned int seed)
{
	uint64_t state = (seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

	mutate_any(&state, 2);
	return state;
}

/* One that readers have to beware of. */
static inline uint64_t mutate_number(uint64_t *state)
{
	const uint64_t power = UINT64_C(1) << mutate_any(state, 64);

	return mutate_any(state, 3) ? mutate_any(state, 20) : power + mutate_any(state, 3) - 1;
}

#endif
