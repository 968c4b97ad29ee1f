/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define PAGE	  ((size_t)4096)

/*
 * A mapping at an arbitrary address has small pages at both ends, each of which becomes a segment of its own in a direct read: the
 * request is split, and a cold load takes a quarter longer (measured).
 */
void *tfs_buffer_create(size_t len)
{
	uint8_t *m = mmap(NULL, len + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return NULL;
	size_t head = -(uintptr_t)m % HUGE_PAGE, used = (len + PAGE - 1) / PAGE * PAGE;
	if (head)
		munmap(m, head);
	if (head + used < len + HUGE_PAGE)
		munmap(m + head + used, len + HUGE_PAGE - head - used);
	madvise(m + head, len / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
	return m + head;
}

void tfs_buffer_destroy(void *buffer, size_t len)
{
	if (buffer)
		munmap(buffer, len);
}
