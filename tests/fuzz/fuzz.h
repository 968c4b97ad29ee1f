/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is one file with LLVMFuzzerTestOneInput(). -Dfuzzing=true links it with libFuzzer, any other build with
 * replay.c, which replays the seeds and some mutations of them as an ordinary test.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that holds in every build. */
#define CHECK(cond)                                                                        \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* A file in memory that holds the input; the same one in every call. */
static inline const struct tfs_input *fuzz_file(const uint8_t *data, size_t size)
{
	static struct tfs_input in;
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	CHECK(fd >= 0 && !ftruncate(fd, 0));
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	in = tfs_input_of_fd(fd, size);
	return &in;
}

#endif
