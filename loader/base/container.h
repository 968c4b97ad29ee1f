/* SPDX-License-Identifier: MIT */
/* From an embedded member to the structure around it. */
#ifndef TFS_BASE_CONTAINER_H
#define TFS_BASE_CONTAINER_H

#include <stddef.h>

static inline void *tfs_container_(const void *p, size_t offset)
{
	return (char *)p - offset;
}

/* The @type whose @member @p points to. */
#define tfs_container_of(p, type, member) ((type *)tfs_container_(p, offsetof(type, member)))

#endif
