/* SPDX-License-Identifier: MIT */
/*
 * convert [-m MIB] [-n ROUNDS] [-a] [DTYPE…]: how fast float32 is made, beside memcpy of as many output bytes.
 *
 *	cc -std=gnu11 -D_GNU_SOURCE -O2 -Iloader tests/bench/convert.c loader/convert/{,x86/}*.c loader/tensor/dtype.c
 *
 * On aarch64 use arm/; on any other architecture portable/.
 *
 * GB/s of output; the median of ROUNDS turns (31), in each of which every kernel and memcpy are measured once, in an order
 * that rotates. The source is always walked through, so that it comes from memory. Three destinations:
 *	chunk   one buffer of MIB (4), again and again, as a loader's bounce buffer
 *	far     walked through, too
 *	written a buffer that is then written to a file in memory, as the loader does; the time is of both
 * -a: every level that this CPU has, not only the best.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "convert/convert.h"

enum { MOST = 128, ROUNDS_MOST = 1001, MODES = 3 };
#define SPAN	 ((size_t)128 << 20) /* of what is walked through: more than a cache holds */
#define PER_TURN ((size_t)64 << 20)  /* of output */

/* clang-format off */
static const char *const dtypes[] = {
	"BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4", "F6_E2M3", "F6_E3M2",
	"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64",
	"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K",
	"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ1_M", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4",
	"Q1_0", "Q2_0",
};
/* clang-format on */

struct candidate {
	const char *dtype, *level;
	tfs_convert_fn *fn;
	size_t src_bytes; /* of a chunk */
	size_t at;	  /* in the source */
	double rate[MODES][ROUNDS_MOST];
};

static struct candidate candidates[MOST];
static size_t n_candidates;

static void copy(const uint8_t *src, float *dst, size_t n)
{
	memcpy(dst, src, n * sizeof *dst);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("convert: mmap");
		exit(1);
	}
	madvise(p, len, MADV_HUGEPAGE);
	memset(p, 1, len);
	return p;
}

static double measure(struct candidate *c, int mode, const uint8_t *src, uint8_t *dst, size_t chunk, int fd)
{
	double start = now();
	size_t done = 0;

	for (size_t to = 0; done < PER_TURN; done += chunk, to += chunk) {
		if (c->at + c->src_bytes > SPAN)
			c->at = 0;
		if (to + chunk > SPAN)
			to = 0;
		c->fn(src + c->at, (float *)(void *)(dst + (mode == 1 ? to : 0)), chunk / 4);
		if (mode == 2 && pwrite(fd, dst, chunk, (off_t)to) != (ssize_t)chunk) {
			perror("convert: pwrite");
			exit(1);
		}
		c->at += c->src_bytes;
	}
	return (double)done / (now() - start) / 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *rates, int n)
{
	qsort(rates, (size_t)n, sizeof *rates, by_value);
	return rates[n / 2];
}

static void add(const char *dtype, const char *level, tfs_convert_fn *fn, size_t src_bytes)
{
	if (n_candidates < MOST)
		candidates[n_candidates++] = (struct candidate){ .dtype = dtype, .level = level, .fn = fn, .src_bytes = src_bytes };
}

static void add_dtype(const char *name, size_t chunk, bool all)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(name, strlen(name));
	tfs_convert_fn *last = NULL;

	if (!d || !tfs_convert_for(d)) {
		fprintf(stderr, "convert: no kernel for %s\n", name);
		exit(2);
	}
	for (unsigned level = all ? 0 : tfs_simd_best(); level < tfs_simd_levels(); level++) {
		tfs_convert_fn *fn = tfs_convert_for_level(d, level);

		if (fn && fn != last)
			add(d->name, tfs_simd_name(level), fn, chunk / 4 / d->block_elems * d->block_bytes);
		last = fn ? fn : last;
	}
}

int main(int argc, char **argv)
{
	size_t chunk = 4 << 20;
	int rounds = 31, opt, fd = memfd_create("convert", MFD_CLOEXEC);
	bool all = false;
	uint8_t *src, *dst;
	uint64_t x = 88172645463325252ull;

	while ((opt = getopt(argc, argv, "m:n:a")) != -1) {
		if (opt == 'm')
			chunk = strtoul(optarg, NULL, 10) << 20;
		else if (opt == 'n')
			rounds = atoi(optarg);
		else if (opt == 'a')
			all = true;
		else
			chunk = 0;
	}
	if (!chunk || chunk > SPAN / 2 || rounds < 1 || rounds > ROUNDS_MOST) {
		fprintf(stderr, "usage: convert [-m MIB] [-n ROUNDS] [-a] [DTYPE…]\n");
		return 2;
	}
	add("memcpy", "", copy, chunk);
	for (int i = optind; i < argc; i++)
		add_dtype(argv[i], chunk, all);
	for (size_t i = 0; optind == argc && i < sizeof dtypes / sizeof *dtypes; i++)
		add_dtype(dtypes[i], chunk, all);

	src = memory(SPAN);
	dst = memory(SPAN);
	for (size_t i = 0; i < SPAN; i += sizeof x) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(src + i, &x, sizeof x);
	}
	if (fd < 0 || pwrite(fd, src, SPAN, 0) != (ssize_t)SPAN) {
		perror("convert: memfd");
		return 1;
	}

	for (int r = 0; r < rounds; r++)
		for (size_t i = 0; i < n_candidates; i++) {
			struct candidate *c = &candidates[(i + (size_t)r) % n_candidates];

			for (int mode = 0; mode < MODES; mode++)
				c->rate[mode][r] = measure(c, mode, src, dst, chunk, fd);
		}

	printf("%-12s %-7s %15s %15s %15s   (GB/s of output, and of memcpy; chunks of %zu MiB, %d rounds)\n", "", "", "chunk",
	       "far", "written", chunk >> 20, rounds);
	for (size_t i = 0; i < n_candidates; i++) {
		struct candidate *c = &candidates[i];

		printf("%-12s %-7s", c->dtype, c->level);
		for (int mode = 0; mode < MODES; mode++) {
			double rate = median(c->rate[mode], rounds), base = median(candidates[0].rate[mode], rounds);

			printf(" %8.2f %5.2fx", rate, rate / base);
		}
		puts("");
	}
	return 0;
}
