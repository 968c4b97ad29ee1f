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

enum { DESCR = 10 }; /* where the header's text begins, whose length is in the two bytes before; its elements come next */
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
	if (st.st_size < 64 || memcmp(file, magic, sizeof magic - 1) || memcmp(file + DESCR, descr, sizeof descr - 1))
		errx(1, "%s: not a file of f32/", path);

	off_t begin = DESCR + (unsigned char)file[8] + 256 * (unsigned char)file[9];
	const float *elements = (const float *)(file + begin);
	for (off_t i = 0; i < (st.st_size - begin) / (off_t)sizeof *elements; i++)
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
