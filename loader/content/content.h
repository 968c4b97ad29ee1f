/* SPDX-License-Identifier: MIT */
/*
 * Content: which bytes make up the body of a virtual file, and how to get any part of them. What is specific to one kind of content
 * is behind struct tfs_content_ops; the scheduler, the workers, streams, cache and hashes use that, and never check the kind.
 *
 *   extent         a plain tensor: bytes of one file as they are, which an engine reads, together with its neighbours
 *   encoded        a tensor whose bytes are inflated, decoded, gathered or swapped (struct tfs_encoding)
 *   scaled         a weight computed from codes and scales (tensor/scaled.h)
 *   consolidated   all tensors of a set as one safetensors file
 */
#ifndef TFS_CONTENT_CONTENT_H
#define TFS_CONTENT_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "content/source.h"
#include "tensor/catalog.h"

/* How urgent bytes are. */
enum tfs_priority { TFS_DEMAND, TFS_PREFETCH, TFS_BACKGROUND, TFS_PRIORITIES };

/* Room to work in: source bytes on their way, and inflated ones that aren't needed. */
#define TFS_EXTRACT_SCRATCH ((size_t)2 << 20)

/* One read of a part of some content. */
struct tfs_read_request {
	uint64_t at; /* in the content */
	size_t len;  /* > 0, inside the content */
	enum tfs_priority priority;
	uint8_t *buf;  /* aligned to TFS_IO_ALIGN, room for len + 2 * TFS_IO_ALIGN bytes */
	void *scratch; /* TFS_EXTRACT_SCRATCH bytes, aligned likewise */

	/* The answer. */
	uint8_t *data; /* the first byte requested, somewhere in buf */
	enum tfs_read_how how;
	struct tfs_error err; /* of a read that failed */
};

/* Where the first byte of content is, if it is in one file as it is. */
struct tfs_extent {
	uint32_t node;
	uint64_t offset;
};

struct tfs_extractor;

struct tfs_content_ops {
	/* The content's position if it is in one file as it is; NULL: never. */
	struct tfs_extent (*extent)(const void *of);
	/* Else the file that it, or the most of it, is made of: a node; NULL: of many. */
	uint32_t (*file)(const void *of);
	/*
	 * The tensor whose deflate stream the content is part of: it is read in order, one part at a time, as a stream can't have
	 * two readers at once. NULL, or a result of NULL: any parts, in any order.
	 */
	const struct tfs_tensor *(*in_order)(const void *of);
	/*
	 * Required: produce a part, with every source that it needs pinned, and checked before any of its bytes is used. 0, or as
	 * tfs_extract().
	 */
	int (*read)(const void *of, struct tfs_extractor *x, struct tfs_read_request *rq);
};

/* A value; what it refers to outlives it. */
struct tfs_content {
	const struct tfs_content_ops *ops;
	const void *of;
};

/* The bytes of @t, as described by struct tfs_tensor. */
struct tfs_content tfs_content_of_tensor(const struct tfs_tensor *t);

#endif
