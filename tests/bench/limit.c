/* SPDX-License-Identifier: MIT */
/*
 * limit HOW THREADS BLOCK_KIB FILE...: how fast this machine brings files from storage into fresh huge pages of a tmpfs, in
 * one line of JSON. There is no simpler loader than this one, so its best setting is what a loader is held against.
 *
 *   null     O_DIRECT reads into a buffer, and nothing else: the storage
 *   bounce   the same, then memcpy into a mapping of the tmpfs
 *   pwrite   the same, then pwrite into the tmpfs
 *   direct   O_DIRECT reads into the mapping
 *   copy     buffered reads, then pwrite
 *
 * The buffers are huge pages: a direct read into small ones is cut into many requests, and takes twice as long.
 */
#include <errno.h>
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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, HUGE_PAGE = 2 << 20, FSCONFIG_STRING = 1, FSCONFIG_CREATE = 6 };
enum how { TO_NOWHERE, BY_MEMCPY, BY_PWRITE, IN_PLACE, BUFFERED, HOWS };

static const char *const names[HOWS] = { "null", "bounce", "pwrite", "direct", "copy" };

struct file {
	int in, out;
	size_t size, first_block;
	uint8_t *map;
};

static enum how how;
static size_t block, n_blocks, n_files;
static struct file *files;
static _Atomic size_t next_block;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int private_tmpfs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", 0), mnt;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_STRING, "huge", "within_size", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_STRING, "size", "90%", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CREATE, NULL, NULL, 0))
		die("tmpfs");
	mnt = (int)syscall(SYS_fsmount, fs, 0, 0);
	if (mnt < 0)
		die("fsmount");
	close(fs);
	return mnt;
}

static void *worker(void *arg)
{
	uint8_t *buf = aligned_alloc(HUGE_PAGE, (block + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	size_t b;

	if (!buf)
		die("aligned_alloc");
	madvise(buf, block, MADV_HUGEPAGE);
	while ((b = atomic_fetch_add(&next_block, 1)) < n_blocks) {
		size_t i = n_files - 1, at, len;
		struct file *f;

		while (files[i].first_block > b)
			i--;
		f = &files[i];
		at = (b - f->first_block) * block;
		len = f->size - at < block ? f->size - at : block;
		if (pread(f->in, how == IN_PLACE ? f->map + at : buf, block, (off_t)at) < (ssize_t)len)
			die("pread");
		if (how == BY_MEMCPY)
			memcpy(f->map + at, buf, len);
		else if ((how == BY_PWRITE || how == BUFFERED) && pwrite(f->out, buf, len, (off_t)at) != (ssize_t)len)
			die("pwrite");
	}
	free(buf);
	return arg;
}

static size_t open_file(struct file *f, const char *path, int tmpfs)
{
	struct stat st;
	size_t rounded;

	f->in = open(path, O_RDONLY | (how == BUFFERED ? 0 : O_DIRECT));
	f->out = openat(tmpfs, ".", O_TMPFILE | O_RDWR, 0600);
	if (f->in < 0 || f->out < 0 || fstat(f->in, &st))
		die(path);
	f->size = (size_t)st.st_size;
	f->first_block = n_blocks;
	n_blocks += (f->size + block - 1) / block;
	/* Whole blocks, as a direct read into the mapping may write behind the file's end. */
	rounded = (f->size + block - 1) / block * block;
	if (ftruncate(f->out, (off_t)rounded))
		die("ftruncate");
	f->map = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, f->out, 0);
	if (f->map == MAP_FAILED)
		die("mmap");
	return f->size;
}

int main(int argc, char **argv)
{
	int threads = argc > 4 ? atoi(argv[2]) : 0, tmpfs;
	pthread_t ids[THREADS_MAX];
	struct timespec start, stop;
	struct rusage usage;
	size_t bytes = 0;

	block = argc > 4 ? strtoul(argv[3], NULL, 10) << 10 : 0;
	for (how = 0; argc > 4 && how < HOWS && strcmp(argv[1], names[how]); how++)
		;
	if (argc <= 4 || how == HOWS || threads < 1 || threads > THREADS_MAX || !block) {
		fprintf(stderr, "usage: limit null|bounce|pwrite|direct|copy THREADS BLOCK_KIB FILE...\n");
		return 2;
	}
	tmpfs = private_tmpfs();
	n_files = (size_t)argc - 4;
	files = calloc(n_files, sizeof *files);
	for (size_t i = 0; files && i < n_files; i++)
		bytes += open_file(&files[i], argv[4 + i], tmpfs);

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < threads; i++) {
		errno = pthread_create(&ids[i], NULL, worker, NULL);
		if (errno)
			die("pthread_create");
	}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &stop);
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"bytes\": %zu, \"seconds\": %.9f, \"cpu\": %.6f}\n", bytes,
	       (double)(stop.tv_sec - start.tv_sec) + (double)(stop.tv_nsec - start.tv_nsec) * 1e-9,
	       (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
	return 0;
}
