/* SPDX-License-Identifier: MIT */
/*
 * Core ML's ML Programs (coremltools, mlmodel/format/Model.proto and MIL.proto): model.mlmodel of an .mlpackage, whose operations have
 * their weights in weights/weight.bin. There each follows a record of 64 bytes, which the program refers to
 * (mlmodel/src/MILBlob/Blob/StorageFormat.hpp).
 *
 * The value of a const is named after the operation's output, that of another attribute or input OUTPUT.ATTRIBUTE. Values in the program
 * itself, of vectors of few numbers, are shown if they are floats or bytes, but no scalars. Of the same names the first one keeps it, and
 * the others are NAME~2, NAME~3.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "format/draft.h"
#include "format/format.h"
#include "format/onnx/protobuf.h"
#include "storage/storage.h"

/* The relevant fields, by MESSAGE_FIELD. */
enum {
	MODEL_VERSION = 1,
	MODEL_DESCRIPTION = 2,
	MODEL_PROGRAM = 502,
	PROGRAM_FUNCTIONS = 2,
	FUNCTION_BLOCKS = 3,
	BLOCK_OPERATIONS = 3,
	OPERATION_INPUTS = 2,
	OPERATION_OUTPUTS = 3,
	OPERATION_BLOCKS = 4,
	OPERATION_ATTRIBUTES = 5,
	NAMED_NAME = 1,
	ENTRY_KEY = 1,
	ENTRY_VALUE = 2,
	ARGUMENT_BINDINGS = 1,
	BINDING_VALUE = 2,
	VALUE_TYPE = 2,
	VALUE_IMMEDIATE = 3,
	VALUE_BLOB = 5,
	BLOB_FILE = 1,
	BLOB_OFFSET = 2,
	TYPE_TENSOR = 1,
	TENSOR_TYPE = 1,
	TENSOR_DIMENSIONS = 3,
	DIMENSION_CONSTANT = 1,
	CONSTANT_SIZE = 1,
	IMMEDIATE_TENSOR = 1,
	TENSOR_FLOATS = 1,
	TENSOR_BYTES = 7,
	REPEATED_VALUES = 1,
};

/* What a path in a program begins with: the directory that model.mlmodel is in. */
#define MODEL_PATH "@model_path/"

enum { MAX_PATH = 1024, MAX_NAME = 4096 };

/* MIL.proto, DataType; BlobDataType.hpp. */
static const struct type {
	uint8_t mil, blob;
	const char *ours;
	uint8_t elems, bytes; /* of one that isn't built in: those of its blocks; else 0 */
} types[] = {
	{ 10, 1, "F16", 0, 0 },	     { 11, 2, "F32", 0, 0 },  { 13, 5, "BF16", 0, 0 }, { 21, 4, "I8", 0, 0 },
	{ 22, 6, "I16", 0, 0 },	     { 23, 14, "I32", 0, 0 }, { 25, 8, "I4", 0, 0 },   { 31, 3, "U8", 0, 0 },
	{ 32, 7, "U16", 0, 0 },	     { 33, 15, "U32", 0, 0 }, { 35, 11, "U4", 0, 0 },  { 36, 10, "U2", 0, 0 },
	{ 37, 9, "U1", 8, 1 },	     { 38, 13, "U6", 4, 3 },  { 39, 12, "U3", 8, 3 },  { 40, 16, "F8_E4M3", 0, 0 },
	{ 41, 17, "F8_E5M2", 0, 0 },
};

enum { TYPES = sizeof types / sizeof *types };

struct coreml {
	struct tfs_pb pb;
	struct tfs_drafts d;
	char name[MAX_NAME];
	char path[MAX_PATH];
};

/* --- Messages -------------------------------------------------------------------------------------------------------- */

typedef int visit_fn(struct coreml *c, const struct tfs_pb_field *f, void *arg);

/* @visit each field of the message @field, until it fails. */
static int each_field(struct coreml *c, const struct tfs_pb_field *field, visit_fn *visit, void *arg)
{
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&c->pb, field, &back);

	if (r)
		return r;
	while ((r = tfs_pb_next(&c->pb, &f)) > 0) {
		r = visit(c, &f, arg);
		if (r)
			return r;
	}
	tfs_pb_leave(&c->pb, back);
	return r;
}

static int note(struct coreml *c, const struct tfs_pb_field *f, struct tfs_pb_field *slot)
{
	*slot = *f;
	return tfs_pb_expect(&c->pb, f, TFS_PB_BYTES);
}

/* One pair of a map; number 0: it lacks that. */
struct entry {
	struct tfs_pb_field key, value;
};

static int in_entry(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct entry *e = arg;

	return f->number == ENTRY_KEY ? note(c, f, &e->key) : f->number == ENTRY_VALUE ? note(c, f, &e->value) : 0;
}

/* --- Values ---------------------------------------------------------------------------------------------------------- */

/* A value as it is read. */
struct value {
	struct tfs_pb_field tensor_type, immediate, blob, file, data; /* number 0: it has none */
	uint64_t type, offset;
	uint64_t shape[TFS_MAX_DIMS];
	unsigned ndim;
	bool fixed;	 /* all dimensions are known */
	unsigned wanted; /* the field that @data is to be */
};

static int in_size(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	(void)c;
	if (f->number == CONSTANT_SIZE && f->wire == TFS_PB_VARINT)
		*(uint64_t *)arg = f->value;
	return 0;
}

static int in_dimension(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;
	uint64_t size = 0;
	int r;

	if (f->number != DIMENSION_CONSTANT)
		return 0;
	r = each_field(c, f, in_size, &size);
	if (v->ndim < TFS_MAX_DIMS)
		v->shape[v->ndim] = size;
	v->fixed = true;
	return r;
}

static int in_tensor_type(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;
	bool fixed = v->fixed;
	int r;

	if (f->number == TENSOR_TYPE && f->wire == TFS_PB_VARINT)
		v->type = f->value;
	if (f->number != TENSOR_DIMENSIONS)
		return 0;
	v->fixed = false;
	r = each_field(c, f, in_dimension, v);
	v->fixed &= fixed;
	v->ndim++;
	return r;
}

static int in_type(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;

	return f->number == TYPE_TENSOR ? note(c, f, &v->tensor_type) : 0;
}

static int in_value(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;

	return f->number == VALUE_TYPE	    ? each_field(c, f, in_type, v) :
	       f->number == VALUE_IMMEDIATE ? note(c, f, &v->immediate) :
	       f->number == VALUE_BLOB	    ? note(c, f, &v->blob) :
					      0;
}

static int in_blob(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;

	if (f->number == BLOB_OFFSET && f->wire == TFS_PB_VARINT)
		v->offset = f->value;
	return f->number == BLOB_FILE ? note(c, f, &v->file) : 0;
}

static int in_repeated(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct value *v = arg;

	return f->number == REPEATED_VALUES && f->wire == TFS_PB_BYTES ? note(c, f, &v->data) : 0;
}

static int in_immediate_tensor(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	return f->number == TENSOR_FLOATS || f->number == TENSOR_BYTES ? each_field(c, f, in_repeated, arg) : 0;
}

static int in_immediate(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	return f->number == IMMEDIATE_TENSOR ? each_field(c, f, in_immediate_tensor, arg) : 0;
}

/* *@ret: NULL if it is unknown. 0 or -ENOMEM. */
static int dtype_of(struct coreml *c, uint64_t mil, const struct tfs_dtype **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < TYPES; i++) {
		if (types[i].mil != mil)
			continue;
		*ret = types[i].elems ? tfs_catalog_dtype(c->d.catalog, types[i].ours, NULL, types[i].elems, types[i].bytes) :
					tfs_dtype_by_name(types[i].ours, strlen(types[i].ours));
		return *ret ? 0 : -ENOMEM;
	}
	return 0;
}

/* The name of what an operation has under @key (number 0: its own). */
static int make_name(struct coreml *c, const struct tfs_pb_field *output, const struct tfs_pb_field *key, struct tfs_draft *t)
{
	const uint64_t len = output->value, more = key->number ? key->value : 0;
	int r;

	if (len > MAX_NAME || more > MAX_NAME || len + more + 1 > MAX_NAME)
		return tfs_error_set(c->pb.err, -EINVAL, output->tag_at, "the name of a tensor has more than %d bytes", MAX_NAME);
	r = output->number ? tfs_pb_copy(&c->pb, output, c->name, len) : 0;
	t->name = c->name;
	t->name_len = len;
	if (r || !key->number)
		return r;
	c->name[len] = '.';
	t->name_len += 1 + more;
	return tfs_pb_copy(&c->pb, key, c->name + len + 1, more);
}

static int read_path(struct coreml *c, const struct value *v, struct tfs_draft *t)
{
	const size_t prefix = strlen(MODEL_PATH);
	int r;

	if (v->file.value >= MAX_PATH)
		return tfs_error_set(c->pb.err, -EINVAL, v->blob.tag_at, "the path of a weight file has more than %d bytes",
				     MAX_PATH);
	r = v->file.number ? tfs_pb_copy(&c->pb, &v->file, c->path, v->file.value) : 0;
	if (r)
		return r;
	t->location = c->path;
	t->location_len = v->file.value;
	if (t->location_len > prefix && !memcmp(c->path, MODEL_PATH, prefix)) {
		t->location += prefix;
		t->location_len -= prefix;
	}
	return 0;
}

/* Value @field of an operation whose first output is @output, under @key (number 0: the const's own). */
static int read_value(struct coreml *c, const struct tfs_pb_field *field, const struct tfs_pb_field *output,
		      const struct tfs_pb_field *key)
{
	struct value v = { .fixed = true };
	struct tfs_draft t = { .shape = v.shape, .at = field->tag_at };
	int r = each_field(c, field, in_value, &v);

	if (!r && v.tensor_type.number)
		r = each_field(c, &v.tensor_type, in_tensor_type, &v);
	if (!r && v.blob.number)
		r = each_field(c, &v.blob, in_blob, &v);
	else if (!r && v.immediate.number && v.ndim)
		r = each_field(c, &v.immediate, in_immediate, &v);
	if (r || (!v.blob.number && !v.data.number))
		return r;
	t.ndim = v.ndim;
	r = dtype_of(c, v.type, &t.dtype);
	if (!r)
		r = make_name(c, output, key, &t);
	/* Of the few numbers in the program itself, those of another type are its parameters. */
	if (r || (!v.blob.number && (!t.dtype || !v.fixed)))
		return r;
	if (!t.dtype)
		return tfs_drafts_leave_out(&c->d, &t, "an unknown type, %" PRIu64, v.type);
	if (!v.fixed)
		return tfs_drafts_leave_out(&c->d, &t, "a dimension whose size isn't known");
	t.offset = v.blob.number ? v.offset : v.data.at;
	t.stored = v.data.value;
	if (v.blob.number && tfs_dtype_nbytes_padded(t.dtype, v.shape, v.ndim <= TFS_MAX_DIMS ? v.ndim : 0, &t.stored))
		t.stored = 0;
	if (v.blob.number)
		r = read_path(c, &v, &t);
	return r ? r : tfs_drafts_add(&c->d, &t);
}

/* --- Programs -------------------------------------------------------------------------------------------------------- */

struct operation {
	struct tfs_pb_field output; /* the name of the first; number 0: none */
	bool has_output;
};

static int in_output(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	return f->number == NAMED_NAME ? note(c, f, arg) : 0;
}

static int find_output(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct operation *o = arg;

	if (f->number != OPERATION_OUTPUTS || o->has_output)
		return 0;
	o->has_output = true;
	return each_field(c, f, in_output, &o->output);
}

struct binding {
	const struct operation *o;
	struct tfs_pb_field key;
};

static int in_binding(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	const struct binding *b = arg;

	return f->number == BINDING_VALUE ? read_value(c, f, &b->o->output, &b->key) : 0;
}

static int in_argument(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	return f->number == ARGUMENT_BINDINGS ? each_field(c, f, in_binding, arg) : 0;
}

static int read_input(struct coreml *c, const struct tfs_pb_field *field, const struct operation *o)
{
	struct entry e = { 0 };
	struct binding b = { .o = o };
	int r = each_field(c, field, in_entry, &e);

	b.key = e.key;
	return r || !e.value.number ? r : each_field(c, &e.value, in_argument, &b);
}

static int read_attribute(struct coreml *c, const struct tfs_pb_field *field, const struct operation *o)
{
	static const struct tfs_pb_field own = { 0 };
	struct entry e = { 0 };
	char key[3] = "";
	int r = each_field(c, field, in_entry, &e);

	if (!r && e.key.value == sizeof key)
		r = tfs_pb_copy(&c->pb, &e.key, key, sizeof key);
	if (r || !e.value.number)
		return r;
	return read_value(c, &e.value, &o->output, memcmp(key, "val", sizeof key) != 0 ? &e.key : &own);
}

static visit_fn in_block;

static int in_operation(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	return f->number == OPERATION_INPUTS	 ? read_input(c, f, arg) :
	       f->number == OPERATION_ATTRIBUTES ? read_attribute(c, f, arg) :
	       f->number == OPERATION_BLOCKS	 ? each_field(c, f, in_block, NULL) :
						   0;
}

static int in_block(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct operation o = { 0 };
	int r;

	(void)arg;
	if (f->number != BLOCK_OPERATIONS)
		return 0;
	r = each_field(c, f, find_output, &o);
	return r ? r : each_field(c, f, in_operation, &o);
}

static int in_function(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct entry e = { 0 };
	int r;

	(void)arg;
	if (f->number != FUNCTION_BLOCKS)
		return 0;
	r = each_field(c, f, in_entry, &e);
	return r || !e.value.number ? r : each_field(c, &e.value, in_block, NULL);
}

static int in_program(struct coreml *c, const struct tfs_pb_field *f, void *arg)
{
	struct entry e = { 0 };
	int r;

	(void)arg;
	if (f->number != PROGRAM_FUNCTIONS)
		return 0;
	r = each_field(c, f, in_entry, &e);
	return r || !e.value.number ? r : each_field(c, &e.value, in_function, NULL);
}

static int read_model(struct coreml *c)
{
	struct tfs_pb_field f;
	bool described = false, program = false;
	int r;

	while ((r = tfs_pb_next(&c->pb, &f)) > 0) {
		described |= f.number == MODEL_DESCRIPTION;
		program |= f.number == MODEL_PROGRAM;
		r = f.number == MODEL_PROGRAM ? each_field(c, &f, in_program, NULL) : 0;
		if (r)
			return r;
	}
	if (!r && !program)
		return tfs_error_set(c->pb.err, -EINVAL, TFS_NO_OFFSET,
				     described ? "is a Core ML model of another kind than an ML Program: its weights aren't read" :
						 "isn't a Core ML model");
	return r ? r : tfs_drafts_catalog(&c->d);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct coreml *c = calloc(1, sizeof *c);
	int r;

	(void)file_name;
	if (!c)
		return -ENOMEM;
	tfs_pb_init(&c->pb, in, err);
	tfs_drafts_init(&c->d, in, catalog, err);
	r = read_model(c);
	tfs_drafts_fini(&c->d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

/* Protobuf has no magic: a version and a description, each of its wire type, and a program. */
static bool recognises(const struct tfs_sample *s)
{
	cleanup_free struct tfs_pb *pb = malloc(sizeof *pb);
	bool version = false, described = false, program = false;
	struct tfs_error ignored;
	struct tfs_pb_field f;
	int r;

	if (s->len < 2 || s->start[0] != 8) /* the version's tag, which protobuf's writers put first */
		return false;
	if (!pb)
		return tfs_sample_fails(s, -ENOMEM);
	tfs_pb_init(pb, s->in, &ignored);
	while ((r = tfs_pb_next(pb, &f)) > 0) {
		version |= f.number == MODEL_VERSION && f.wire == TFS_PB_VARINT;
		described |= f.number == MODEL_DESCRIPTION && f.wire == TFS_PB_BYTES;
		program |= f.number == MODEL_PROGRAM && f.wire == TFS_PB_BYTES;
		if (f.number > 3 && f.number != 10 && f.number < 200)
			return false;
	}
	return r ? tfs_sample_fails(s, r) : version && described && program;
}

/* --- The record before the bytes ------------------------------------------------------------------------------------- */

enum { RECORD = 64 };
#define SENTINEL 0xdeadbeefu

/* What a type is in weight.bin; 0: it isn't there. */
static uint32_t blob_type(const struct tfs_dtype *d)
{
	for (size_t i = 0; i < TYPES; i++)
		if (!strcmp(types[i].ours, d->name))
			return types[i].blob;
	return 0;
}

/* One in the program itself has no location, and doesn't get here. */
static int locate(const struct tfs_input *in, struct tfs_tensor *t, struct tfs_error *err)
{
	uint8_t record[RECORD];
	struct tfs_cursor c = tfs_cursor(record, sizeof record);
	uint32_t sentinel, type;
	uint64_t size;
	int r;

	if (t->offset > in->size || RECORD > in->size - t->offset)
		return tfs_error_set(err, -EINVAL, t->offset,
				     "the record of its bytes, at %" PRIu64 " of a file of %" PRIu64 " bytes", t->offset, in->size);
	r = tfs_input_read(in, record, sizeof record, t->offset, err);
	if (r)
		return r;
	sentinel = tfs_cursor_u32(&c);
	type = tfs_cursor_u32(&c);
	size = tfs_cursor_u64(&c);
	if (sentinel != SENTINEL)
		return tfs_error_set(err, -EINVAL, t->offset, "no record of its bytes is at %" PRIu64 " of its weight file",
				     t->offset);
	if (type != blob_type(t->dtype) || size != t->nbytes)
		return tfs_error_set(err, -EINVAL, t->offset,
				     "%" PRIu64 " bytes of %s, but its weight file has %" PRIu64 " of type %" PRIu32, t->nbytes,
				     t->dtype->name, size, type);
	t->offset = tfs_cursor_u64(&c);
	return 0;
}

const struct tfs_format tfs_format_coreml = {
	.name = "coreml",
	.what = "a Core ML model",
	.extensions = (const char *const[]){ ".mlmodel", NULL },
	.external = true,
	.recognises = recognises,
	.parse = parse,
	.locate = locate,
};
