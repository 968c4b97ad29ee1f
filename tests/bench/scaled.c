/* SPDX-License-Identifier: MIT */
/*
 * scaled MODEL...: how fast the values of quantised weights are made by one thread, compared with memcpy of as many output bytes.
 *
 *	python3 tests/bench/mkquant.py /tmp/quant
 *	cc -std=gnu11 -D_GNU_SOURCE -O2 -Iloader tests/bench/scaled.c build/loader/libloader.a -o /tmp/scaled $(pkg-config --libs jansson \
 *	    libxxhash zlib liburing) -lpthread
 *	/tmp/scaled /tmp/quant/fp8 /tmp/quant/gptq ...
 *
 * GB of output in a second of CPU time, the codes being in the page cache, in pieces of 4 MiB; the median of ROUNDS turns, in each of which both are measured once.
 * What the codes go with is loaded anew in each turn, and unpacked where rows of the weight aren't rows of codes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "content/extract.h"
#include "content/values.h"
#include "tensor/scaled.h"

enum { ROUNDS = 15, PIECE = 4 << 20 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void make(struct tfs_extractor *x, const struct tfs_tensor *t, uint8_t *buf, void *scratch)
{
	const struct tfs_content content = tfs_content_of_tensor(t);

	for (uint64_t at = 0; at < t->nbytes; at += PIECE) {
		struct tfs_read_request rq = {
			.at = at, .len = t->nbytes - at < PIECE ? t->nbytes - at : PIECE, .buf = buf, .scratch = scratch
		};

		if (content.ops->read(content.of, x, &rq)) {
			fprintf(stderr, "%s\n", rq.err.what);
			exit(1);
		}
	}
}

static void copy(const uint8_t *src, uint64_t n, uint8_t *buf)
{
	for (uint64_t at = 0; at < n; at += PIECE)
		memcpy(buf, src + at, n - at < PIECE ? n - at : PIECE);
}

static void measure(struct tfs_model *m)
{
	const struct tfs_staging_memory all = { 0 };
	struct tfs_sources *sources = tfs_sources_create(m, false);
	struct tfs_extractor *x = tfs_extractor_create(sources, &all);
	uint8_t *buf = aligned_alloc(TFS_IO_ALIGN, PIECE + 2 * TFS_IO_ALIGN);
	void *scratch = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);

	for (size_t s = 0; s < m->n_sets; s++) {
		for (size_t i = 0; i < m->sets[s].n_scaled; i++) {
			const struct tfs_tensor *t = &m->sets[s].scaled[i];
			uint8_t *src = malloc(t->nbytes);
			double made[ROUNDS], copied[ROUNDS];

			memset(src, 1, t->nbytes);
			for (int r = -1; r < ROUNDS; r++) { /* the first one warms up */
				double a = now(), b, c;

				make(x, t, buf, scratch);
				b = now();
				copy(src, t->nbytes, buf);
				c = now();
				if (r >= 0) {
					made[r] = b - a;
					copied[r] = c - b;
				}
			}
			qsort(made, ROUNDS, sizeof *made, by_value);
			qsort(copied, ROUNDS, sizeof *copied, by_value);
			printf("%-16s %6.2f GB/s, memcpy %6.2f GB/s: %.2f\n", t->encoding->scaled->scheme,
			       (double)t->nbytes / made[ROUNDS / 2] / 1e9, (double)t->nbytes / copied[ROUNDS / 2] / 1e9,
			       copied[ROUNDS / 2] / made[ROUNDS / 2]);
			free(src);
		}
	}
	free(buf);
	free(scratch);
	tfs_extractor_destroy(x);
	tfs_sources_destroy(sources);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct tfs_error err;
		struct tfs_model *m;

		if (tfs_model_open(argv[i], 1, NULL, NULL, &m, &err)) {
			fprintf(stderr, "%s: %s\n", argv[i], err.what);
			return 1;
		}
		measure(m);
		tfs_model_destroy(m);
	}
	return 0;
}
