/* SPDX-License-Identifier: MIT */
/* What bundle.c and slice-key.c share. For no one else. */
#ifndef TFS_FORMAT_TENSORFLOW_IMPL_H
#define TFS_FORMAT_TENSORFLOW_IMPL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/search.h"
#include "base/sort.h"
#include "format/onnx/protobuf.h"
#include "tensor/catalog.h"

/* A range of a slice in one dimension; a length below 0: all of it. */
struct tfs_tf_extent {
	int64_t start, length;
};

/* A BundleEntryProto. Numbers are as in the file. */
struct tfs_tf_entry {
	uint64_t dtype, shard, offset, size;
	uint64_t shape[TFS_MAX_DIMS];
	uint8_t ndim;
	bool too_many;	   /* dimensions */
	uint64_t n_slices; /* of which the extents follow each other */
	struct tfs_tf_extent *extents;
	size_t n_extents, room_extents;
};

/* The most bytes of a key. */
size_t tfs_tf_key_size(size_t name_len, unsigned ndim);

/* The key of the slice of the tensor @name that @extents, @ndim of them, are, into @buf; returns its length. */
size_t tfs_tf_key(const char *name, size_t len, const struct tfs_tf_extent *extents, unsigned ndim, uint8_t *buf);

#endif
