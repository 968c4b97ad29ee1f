/* SPDX-License-Identifier: MIT */
/*
 * Adds up the elements of tensors, whatever their types: each is mapped as float32.
 *
 *	cc -O2 -o sum sum.c
 *	./sum MOUNT/f32/NAME.npy...
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 4096 }; /* so far into the file its elements begin */
static const char magic[] = "\x93NUMPY\1", descr[] = "{'descr': '<f4', ";

static double sum(const char *path)
{
	struct stat st;
	double total = 0;

	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	char *file = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		err(1, "%s", path);
	close(fd); /* the mapping stays */
	if (st.st_size < HEADER || memcmp(file, magic, sizeof magic - 1) || memcmp(file + 10, descr, sizeof descr - 1))
		errx(1, "%s: not a file of f32/", path);

	const float *elements = (const float *)(file + HEADER);
	for (off_t i = 0; i < (st.st_size - HEADER) / (off_t)sizeof *elements; i++)
		total += elements[i];
	munmap(file, st.st_size);
	return total;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("%.17g\t%s\n", sum(argv[i]), argv[i]);
	return 0;
}
