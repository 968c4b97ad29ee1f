/* SPDX-License-Identifier: MIT */
/* model-open DIR [RUNS [THREADS]]: how long tfs_model_open() takes, and what memory a model leaves and needs at most. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "model/model.h"

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long rss_kib(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%ld %ld", &size, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void warn(void *arg, const struct tfs_error *warning)
{
	char line[TFS_ERROR_LINE];

	(void)arg;
	fprintf(stderr, "warning: %s\n", tfs_error_line(warning, line, sizeof line));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int runs = argc > 2 ? atoi(argv[2]) : 7;
	int threads = argc > 3 ? atoi(argv[3]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	double *ms = runs > 0 ? calloc((size_t)runs, sizeof *ms) : NULL;
	char line[TFS_ERROR_LINE];
	long before = rss_kib();
	struct rusage usage;

	if (argc < 2 || !ms) {
		free(ms);
		fprintf(stderr, "usage: model-open DIR [RUNS [THREADS]]\n");
		return 2;
	}
	for (int i = 0; i < runs; i++) {
		struct tfs_model *m;
		struct tfs_error err;
		double start = now_ms();
		size_t tensors = 0;

		if (tfs_model_open(argv[1], (unsigned)threads, i ? NULL : warn, NULL, &m, &err)) {
			fprintf(stderr, "%s\n", tfs_error_line(&err, line, sizeof line));
			free(ms);
			return 1;
		}
		ms[i] = now_ms() - start;
		if (!i) { /* the first, as later ones inherit a heap */
			for (size_t s = 0; s < m->n_sets; s++)
				tensors += m->sets[s].n_tensors;
			getrusage(RUSAGE_SELF, &usage);
			printf("%zu nodes, %zu sets, %zu tensors; resident %ld KiB, %ld more than before, %ld at most\n",
			       m->n_nodes, m->n_sets, tensors, rss_kib(), rss_kib() - before, usage.ru_maxrss);
		}
		tfs_model_destroy(m);
	}
	printf("first %.1f ms", ms[0]);
	qsort(ms, (size_t)runs, sizeof *ms, by_value);
	printf(", median %.1f ms, best %.1f ms of %d, %d threads\n", ms[runs / 2], ms[0], runs, threads);
	free(ms);
	return 0;
}
