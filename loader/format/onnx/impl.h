/* SPDX-License-Identifier: MIT */
/* What onnx.c, tensor.c, table.c and quantised.c share. For no one else. */
#ifndef TFS_FORMAT_ONNX_IMPL_H
#define TFS_FORMAT_ONNX_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/sort.h"
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

struct tfs_onnx_text {
	const char *s;
	size_t len;
};

/* One tensor as it is found; all it points to is in the table's arena. */
struct tfs_onnx_record {
	struct tfs_onnx_text name, shown; /* as the file has it, and as we call it */
	const struct tfs_dtype *dtype;
	const uint64_t *dims;
	const struct tfs_encoding *encoding;
	struct tfs_onnx_text location; /* s NULL: in this file */
	uint64_t offset, nbytes;
	uint32_t scope;	     /* the graph or function that it is in */
	uint32_t at;	     /* in the catalog, as long as that isn't sorted */
	uint8_t ndim, depth; /* graphs around its own */
	bool is_value;	     /* nodes have it as an input under its name */
};

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

/* A graph, or a function: where a name is one tensor's. The model's own graph is number 0. */
struct tfs_onnx_scope {
	uint32_t parent; /* whose names are known in it, too; TFS_ONNX_NO_SCOPE: nobody's */
	uint8_t depth;	 /* how many graphs are around it */
};

#define TFS_ONNX_NO_SCOPE UINT32_MAX

struct tfs_onnx_use;

/* A file on its way into its catalog. All zero but these two, and in the end tfs_onnx_fini(). */
struct tfs_onnx {
	struct tfs_pb pb;
	struct tfs_catalog *catalog;
	struct tfs_onnx_scope *scopes;
	size_t n_scopes, room_scopes;
	struct tfs_onnx_use *uses; /* of what may be codes */
	size_t n_uses, room_uses, use_bytes;
	struct tfs_onnx_values values; /* of the tensor at hand */
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

/* Bytes of a name, far more than the path of modules that it is made of; and of all names of a file. */
#define TFS_ONNX_MAX_NAME  4096u
#define TFS_ONNX_MAX_NAMES ((size_t)256 << 20)

/*
 * Add @t to the table. Its name is BASE, or BASE.ATTRIBUTE (@attribute may be NULL), and @suffix behind it; @is_value: nodes of @scope
 * call it so. One of strings is left out, and counted; one that can't be read is left out of the catalog. 0, or -errno with the
 * reader's error filled.
 */
int tfs_onnx_add(struct tfs_onnx *o, const struct tfs_onnx_tensor *t, const struct tfs_pb_field *base,
		 const struct tfs_pb_field *attribute, const char *suffix, uint32_t scope, bool is_value);

/* The number of that name is 0, which isn't in the file: left out, and counted. Results as above. */
int tfs_onnx_add_unwritten(struct tfs_onnx *o, const struct tfs_pb_field *base);

/* Make duplicate names unique, and add all tensors to the catalog, with a warning about strings left out. -ENOMEM. */
int tfs_onnx_catalog(struct tfs_onnx *o);

/* Those of one name in the order in which they get it. */
tfs_compare_fn tfs_onnx_by_name;

void tfs_onnx_fini(struct tfs_onnx *o);

/* --- Which of them are codes: quantised.c -------------------------------------------------------------------------------- */

/* Inputs of a node as far as any operator has codes, or what goes with them, among them. */
enum { TFS_ONNX_INPUTS = 9 };

struct tfs_onnx_operator {
	struct tfs_pb_field type, domain, inputs[TFS_ONNX_INPUTS]; /* number 0: it has none */
	unsigned n_inputs;
};

/* If @node, which is read from the NodeProto @field in @scope, takes codes of a weight: remember which. 0, or -errno with the reader's error filled. */
int tfs_onnx_find_codes(struct tfs_onnx *o, const struct tfs_onnx_operator *node, const struct tfs_pb_field *field, uint32_t scope);

/*
 * All is read, and the catalog has the @n records at @order, which is by name, from the outermost graph inwards, and by place in the
 * file: put what tfs_onnx_find_codes() found into it. -ENOMEM.
 */
int tfs_onnx_make_recipes(struct tfs_onnx *o, const void *const *order, size_t n);

#endif
