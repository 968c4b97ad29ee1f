/* SPDX-License-Identifier: MIT */
/* Arrays that grow by doubling, for sizes that aren't known in advance. Plain malloc'd memory: free() it. */
#ifndef TFS_BASE_ARRAY_H
#define TFS_BASE_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * Make sure that @array, a pointer to elements of which @n are in use, has room for one more. @room (a size_t) is its capacity, 0
 * while @array is NULL. 0 or -ENOMEM; then both are unchanged.
 */
#define tfs_array_room(array, n, room) ((n) < (room) ? 0 : tfs_array_grow_(&(array), &(room), sizeof *(array)))

static inline int tfs_array_grow_(void *array, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *p;

	memcpy(&p, array, sizeof p); /* of a pointer of any type */
	p = reallocarray(p, more, size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof p);
	*room = more;
	return 0;
}

#endif
