/* SPDX-License-Identifier: MIT */
/* A mutator as AFL++'s custom mutator: AFL_CUSTOM_MUTATOR_LIBRARY is this, linked with one of the others (afl-fuzz(8)). */
#include <stdlib.h>

#include "mutate.h"

struct afl {
	uint64_t state;
	uint8_t *out;
	size_t room;
};

void *afl_custom_init(void *fuzzer, unsigned int seed);
size_t afl_custom_fuzz(void *arg, uint8_t *buf, size_t size, uint8_t **ret_out, uint8_t *other, size_t other_size, size_t max);
void afl_custom_deinit(void *arg);

void *afl_custom_init(void *fuzzer, unsigned int seed)
{
	struct afl *a = calloc(1, sizeof *a);

	(void)fuzzer;
	if (a)
		a->state = mutate_start(seed);
	return a;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): AFL++ has it so */
size_t afl_custom_fuzz(void *arg, uint8_t *buf, size_t size, uint8_t **ret_out, uint8_t *other, size_t other_size, size_t max)
{
	struct afl *a = arg;

	(void)other;
	(void)other_size;
	if (a->room < max) {
		free(a->out);
		a->out = malloc(max);
		a->room = a->out ? max : 0;
	}
	if (!a->out || size > max)
		return 0;
	memcpy(a->out, buf, size);
	*ret_out = a->out;
	return LLVMFuzzerCustomMutator(a->out, size, max, (unsigned)mutate_any(&a->state, UINT32_MAX));
}

void afl_custom_deinit(void *arg)
{
	struct afl *a = arg;

	free(a->out);
	free(a);
}

/* Other mutations are AFL++'s own: here one byte. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	static uint64_t state = 88172645463325252;

	(void)max;
	if (size)
		data[mutate_any(&state, size)] ^= (uint8_t)(1 << mutate_any(&state, 8));
	return size;
}
