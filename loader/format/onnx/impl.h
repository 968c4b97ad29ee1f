/* SPDX-License-Identifier: MIT */
/* Shared by onnx.c, tensor.c and table.c; private to them. */
#ifndef TFS_FORMAT_ONNX_IMPL_H
#define TFS_FORMAT_ONNX_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "format/onnx/protobuf.h"
#include "tensor/catalog.h"

/* --- Tensors, without their names: tensor.c ----------------------------------------------------------------------------- */

/*
 * Numbers of one repeated field, packed or each with a tag of its own, in as many pieces as in the file. For fixed-size numbers a
 * segment is a piece; for varints it is a piece, or 64 Ki of them, which are quick to decode.
 */
struct tfs_onnx_values {
	struct tfs_segment *segments; /* at: counted in values */
	size_t n_segments, room;
	uint64_t count;
	uint64_t end;		/* in the file: after the last one */
	uint64_t most, most_at; /* the one that needs the most bits, as unsigned with a sign bit if it is negative; its position */
};

enum tfs_onnx_kind { TFS_ONNX_FLOAT, TFS_ONNX_DOUBLE, TFS_ONNX_INT32, TFS_ONNX_INT64, TFS_ONNX_UINT64 };

struct tfs_onnx_record;

/* Tensors that are left out for one reason: how many, and the name of the first. */
struct tfs_onnx_omitted {
	size_t n, first_len;
	const char *first;
};

struct tfs_onnx_table {
	struct tfs_arena arena; /* what records point to */
	struct tfs_onnx_record *records;
	size_t n_records, room;
	size_t name_bytes, dims;
	size_t n_unreadable;			    /* left out of the catalog */
	struct tfs_onnx_omitted strings, unwritten; /* tensors of strings; numbers that are 0 and therefore omitted */
};

/* State of reading a file into its catalog. All zero except these two; ends with tfs_onnx_fini(). */
struct tfs_onnx {
	struct tfs_pb pb;
	struct tfs_catalog *catalog;
	struct tfs_onnx_values values; /* of the current tensor */
	size_t total_runs;	       /* of the whole file */
	struct tfs_onnx_table table;
};

struct tfs_onnx_tensor {
	const struct tfs_dtype *dtype; /* NULL: its elements are strings, and nothing else matters */
	uint64_t dims[TFS_MAX_DIMS];
	unsigned ndim;
	uint64_t at;			     /* of its tag */
	struct tfs_pb_field name;	     /* number 0: it has none */
	struct tfs_pb_field location;	     /* of external data; number 0: it has none */
	uint64_t offset, nbytes;	     /* as in struct tfs_tensor */
	const struct tfs_encoding *encoding; /* NULL: plain; else this: */
	struct tfs_encoding how;	     /* its segments belong to struct tfs_onnx, until the next tensor */
	uint64_t strides[TFS_MAX_DIMS];
	/* Why it can't be read, or "": then only its name is used. At byte @why_at. */
	uint64_t why_at;
	char why[320];
};

/* Forget the values of the previous tensor. */
void tfs_onnx_values_clear(struct tfs_onnx *o);

/* Add those of @f, a field of the current message. 0, or -errno with the reader's error filled. */
int tfs_onnx_values_add(struct tfs_onnx *o, const struct tfs_pb_field *f, enum tfs_onnx_kind kind);

/*
 * Make @t, whose dtype and dims are set, from the values, of @width bytes each: sets offset, nbytes and encoding; or why, if their
 * number is wrong or one doesn't fit.
 */
void tfs_onnx_values_tensor(struct tfs_onnx *o, enum tfs_onnx_kind kind, uint32_t width, struct tfs_onnx_tensor *t);

/* Read the TensorProto @f. 0, or -errno with the reader's error filled: not protobuf. For an invalid tensor, why is set. */
int tfs_onnx_tensor(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_onnx_tensor *ret);

/* --- Their names: table.c ------------------------------------------------------------------------------------------------ */

/*
 * Add @t to the table. Its name is BASE, or BASE.ATTRIBUTE (@attribute may be NULL), followed by @suffix; @depth: number of graphs
 * around its own. A tensor of strings is left out, and counted; one that can't be read is left out of the catalog. 0, or -errno
 * with the reader's error filled.
 */
int tfs_onnx_add(struct tfs_onnx *o, const struct tfs_onnx_tensor *t, const struct tfs_pb_field *base,
		 const struct tfs_pb_field *attribute, const char *suffix, unsigned depth);

/* The number of that name is 0, which isn't in the file: left out, and counted. Results as above. */
int tfs_onnx_add_unwritten(struct tfs_onnx *o, const struct tfs_pb_field *base);

/* Make duplicate names unique, and add all tensors to the catalog, with a warning about strings left out. -ENOMEM. */
int tfs_onnx_catalog(struct tfs_onnx *o);

void tfs_onnx_fini(struct tfs_onnx *o);

#endif
