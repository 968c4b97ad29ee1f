/* SPDX-License-Identifier: MIT */
/*
 * scan HOW THREADS PATH...: read files, those of a directory in name order, and say how it went in one line of JSON.
 *
 *   mmap   map each file and xor its words; the xor is of all bytes, so two scans of the same files must agree
 *   read   the same by read(2), 1 MiB at a time
 *   rand   two million 8-byte reads at random places of each file's mapping
 *   open   open, read up to 4 KiB, close
 *
 * The threads share the files out among them, one file at a time.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 20, SMALL_READ = 4096, RANDOM_READS = 2000000, THREADS_MAX = 64 };

struct result {
	uint64_t bytes, sum;
};

typedef bool scan_fn(int fd, size_t size, uint8_t *buf, struct result *r);

static scan_fn *scan_file;
static char **paths;
static size_t n_paths;
static _Atomic size_t next_path;
static _Atomic uint64_t bytes, sum;
static atomic_bool failed;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* Words in the byte order of the file's start; a last partial word is filled up with zeros. */
static uint64_t xor_of(const uint8_t *p, size_t len)
{
	uint64_t x = 0, last = 0;
	const uint64_t *words = (const uint64_t *)(const void *)p;

	for (size_t i = 0; i < len / 8; i++)
		x ^= words[i];
	memcpy(&last, p + len / 8 * 8, len % 8);
	return x ^ last;
}

static bool by_mmap(int fd, size_t size, uint8_t *buf, struct result *r)
{
	uint8_t *p = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : buf;

	if (p == MAP_FAILED)
		return false;
	r->sum = xor_of(p, size);
	r->bytes = size;
	return !size || !munmap(p, size);
}

static bool by_read(int fd, size_t size, uint8_t *buf, struct result *r)
{
	ssize_t n;

	/* Reads of whole files come in multiples of 8 but for the last, so the words stay in step. */
	while ((n = read(fd, buf, READ_SIZE)) > 0) {
		r->sum ^= xor_of(buf, (size_t)n);
		r->bytes += (size_t)n;
	}
	return !n && r->bytes == size;
}

static bool by_rand(int fd, size_t size, uint8_t *buf, struct result *r)
{
	uint64_t state = 0x2545f4914f6cdd1d;
	const volatile uint64_t *p;

	(void)buf;
	if (size < 8)
		return true;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	for (int i = 0; i < RANDOM_READS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		r->sum += p[state % (size / 8)];
	}
	r->bytes = RANDOM_READS * 8ull;
	return !munmap((void *)(uintptr_t)p, size);
}

static bool by_open(int fd, size_t size, uint8_t *buf, struct result *r)
{
	ssize_t n = read(fd, buf, SMALL_READ);

	(void)size;
	r->bytes = n > 0 ? (uint64_t)n : 0;
	r->sum = xor_of(buf, r->bytes);
	return n >= 0;
}

static const struct {
	const char *name;
	scan_fn *scan;
} hows[] = { { "mmap", by_mmap }, { "read", by_read }, { "rand", by_rand }, { "open", by_open } };

static void *worker(void *arg)
{
	uint8_t *buf = aligned_alloc(4096, READ_SIZE);
	size_t i;

	while (buf && (i = atomic_fetch_add(&next_path, 1)) < n_paths) {
		struct result r = { 0 };
		struct stat st = { 0 };
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		/* What is timed with small files is the open itself: no stat there. */
		bool ok = fd >= 0 && (scan_file == by_open || !fstat(fd, &st)) && scan_file(fd, (size_t)st.st_size, buf, &r);

		if (!ok) {
			perror(paths[i]);
			failed = true;
		}
		if (fd >= 0)
			close(fd);
		bytes += r.bytes;
		atomic_fetch_xor(&sum, r.sum);
	}
	free(buf);
	return arg;
}

static bool add(const char *dir, const char *name)
{
	char **more = realloc(paths, (n_paths + 1) * sizeof *paths), *p = NULL;

	if (!more)
		return false;
	paths = more;
	if (dir ? asprintf(&p, "%s/%s", dir, name) < 0 : !(p = strdup(name)))
		return false;
	paths[n_paths++] = p;
	return true;
}

static bool add_all(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	bool ok = true;

	if (n < 0)
		return add(NULL, path);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			ok &= add(path, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return ok;
}

int main(int argc, char **argv)
{
	int threads = argc > 3 ? atoi(argv[2]) : 0;
	pthread_t ids[THREADS_MAX];
	double start, seconds;

	for (size_t i = 0; argc > 3 && i < sizeof hows / sizeof *hows; i++)
		if (!strcmp(argv[1], hows[i].name))
			scan_file = hows[i].scan;
	if (!scan_file || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: scan mmap|read|rand|open THREADS PATH...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		if (!add_all(argv[i])) {
			perror("scan");
			return 1;
		}
	start = now();
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, worker, NULL)) {
			fprintf(stderr, "scan: no thread\n");
			return 1;
		}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	seconds = now() - start;
	printf("{\"files\": %zu, \"bytes\": %llu, \"seconds\": %.9f, \"cpu\": %.6f, \"xor\": \"%016llx\"}\n", n_paths,
	       (unsigned long long)bytes, seconds, cpu_seconds(), (unsigned long long)sum);
	return failed;
}
