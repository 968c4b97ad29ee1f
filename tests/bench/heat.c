/* SPDX-License-Identifier: MIT */
/*
 * heat MIB: touch that much memory and give it back. Memory that a virtual machine has returned to its host (free page
 * reporting, a balloon) is several times slower to touch than memory it still has, which would drown a cold measurement: run
 * this right before each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	size_t len = (argc == 2 ? strtoul(argv[1], NULL, 10) : 0) << 20;
	volatile char *p;

	if (!len) {
		fprintf(stderr, "usage: heat MIB\n");
		return 2;
	}
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("heat");
		return 1;
	}
	madvise((void *)p, len, MADV_HUGEPAGE);
	for (size_t i = 0; i < len; i += 4096)
		p[i] = 1;
	return 0;
}
