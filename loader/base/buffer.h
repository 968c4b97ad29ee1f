/* SPDX-License-Identifier: MIT */
/* Buffers for direct reads, in huge pages if the kernel has them. */
#ifndef TFS_BASE_BUFFER_H
#define TFS_BASE_BUFFER_H

#include <stddef.h>

/* @len zeroed bytes that begin at a huge page boundary, or NULL. */
void *tfs_buffer_create(size_t len);
void tfs_buffer_destroy(void *buffer, size_t len); /* takes NULL */

#endif
