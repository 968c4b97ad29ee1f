/* SPDX-License-Identifier: MIT */
/*
 * replay SEEDS_DIR [MUTATIONS]: the fuzz target on every seed, and on as many mutations of each, the same ones every time.
 * What broke is found again by the seed's name and the number in the line printed then. A target with a mutator of its own (mutate.h) gets
 * every other mutation from that.
 */
#include <dirent.h>
#include <signal.h>
#include <string.h>

#include "fuzz.h"
#include "mutate.h"

#define LARGEST_INPUT 65536

static uint64_t random_state;

/* What runs, for the line that is printed when it breaks. */
static const char *current_name;
static long current;

static void say_where(int sig)
{
	char line[400];
	int len = snprintf(line, sizeof line, "broke at mutation %ld of %s\n", current, current_name);

	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(2);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* xorshift64: good enough to mutate with, and the same everywhere. */
static size_t below(size_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return n ? random_state % n : 0;
}

/* Change @buf of @size bytes in one to four places; returns its new size, LARGEST_INPUT at most. */
static size_t mutate(uint8_t *buf, size_t size)
{
	static const char bytes[] = "{}[]\",:\\u0123456789eE+-. \n\x80\xff\x00\x7f";

	for (size_t i = below(4) + 1; i; i--) {
		size_t at = below(size), len = below(8) + 1, to = below(size);

		switch (size ? below(6) : 5) {
		case 0: /* flip a bit */
			buf[at] ^= 1 << below(8);
			break;
		case 1: /* replace a byte */
			buf[at] = bytes[below(sizeof bytes)];
			break;
		case 2: /* cut some out */
			len = len < size - at ? len : size - at;
			memmove(buf + at, buf + at + len, size - at - len);
			size -= len;
			break;
		case 3: /* copy some over others */
			len = len < size - at ? len : size - at;
			len = len < size - to ? len : size - to;
			memmove(buf + to, buf + at, len);
			break;
		case 4: /* cut off the end */
			size = at;
			break;
		default: /* put one in */
			if (size == LARGEST_INPUT)
				break;
			memmove(buf + at + 1, buf + at, size - at);
			buf[at] = bytes[below(sizeof bytes)];
			size++;
		}
	}
	return size;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	(void)max; /* LARGEST_INPUT */
	return mutate(data, size);
}

#pragma weak LLVMFuzzerCustomMutator

static size_t mutation(uint8_t *buf, size_t size, long number)
{
	if (!LLVMFuzzerCustomMutator || number % 2)
		return mutate(buf, size);
	return LLVMFuzzerCustomMutator(buf, size, LARGEST_INPUT, (unsigned)number);
}

/* In memory of its own size, so that a sanitizer sees a read beyond the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	CHECK(copy);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void replay(const char *dir, const char *name, long mutations)
{
	static uint8_t seed[LARGEST_INPUT], buf[LARGEST_INPUT];
	char path[4096];
	size_t size;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	CHECK(f);
	size = fread(seed, 1, sizeof seed, f);
	fclose(f);
	current_name = name;
	current = -1; /* the seed itself */
	run(seed, size);
	random_state = 0x9e3779b97f4a7c15u;
	for (long i = 0; i < mutations; i++) {
		memcpy(buf, seed, size);
		current = i;
		run(buf, mutation(buf, size, i));
	}
}

int main(int argc, char **argv)
{
	long mutations = argc > 2 ? atol(argv[2]) : 0;
	struct dirent **names;
	int n = argc > 1 ? scandir(argv[1], &names, NULL, alphasort) : -1, seeds = 0;

	signal(SIGABRT, say_where);
	if (n < 0) {
		fprintf(stderr, "usage: replay SEEDS_DIR [MUTATIONS]\n");
		return 2;
	}
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			replay(argv[1], names[i]->d_name, mutations);
			seeds++;
		}
		free(names[i]);
	}
	free(names);
	printf("%d seeds, %ld mutations of each\n", seeds, mutations);
	return seeds ? 0 : 1;
}
