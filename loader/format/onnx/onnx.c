/* SPDX-License-Identifier: MIT */
/*
 * ONNX: a ModelProto (onnx/onnx.proto; docs/IR.md). Tensors can be anywhere that the format allows, and are named
 * - initializers, in the graph and in the graphs of node attributes (the bodies of If, Loop, Scan): by their name;
 * - the value of a Constant node, be it a tensor or plain numbers (value_float, value_floats, value_int, value_ints): by its
 * output;
 * - another tensor in a node's attribute: OUTPUT.ATTRIBUTE, OUTPUT.ATTRIBUTE.0 and so on for a list. OUTPUT is the first output's
 *   name, or the node's if that is empty;
 * - a sparse tensor: its two parts, NAME.values and NAME.indices;
 * in the graph, in training_info and in functions (where the function's name replaces OUTPUT before defaults of its attributes).
 *
 * A name need only be unique in its graph and those around it. Of duplicates the outermost keeps the name, or else the first one in
 * the file; the others are NAME~2, NAME~3 and so on, in that order.
 *
 * A tensor that can't be read is left out. Strings are left out with a warning, and so is a number that is 0 and therefore omitted
 * by proto3. An attribute that refers to one of the function's has no tensor of its own.
 */
#include "format/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "format/onnx/impl.h"

#define EXTENSION ".onnx"

/* The relevant fields, by MESSAGE_FIELD. */
enum {
	MODEL_IR_VERSION = 1,
	MODEL_GRAPH = 7,
	MODEL_TRAINING_INFO = 20,
	MODEL_FUNCTIONS = 25,
	TRAINING_INITIALIZATION = 1,
	TRAINING_ALGORITHM = 2,
	FUNCTION_NAME = 1,
	FUNCTION_NODE = 7,
	FUNCTION_ATTRIBUTE_PROTO = 11,
	GRAPH_NODE = 1,
	GRAPH_INITIALIZER = 5,
	GRAPH_SPARSE_INITIALIZER = 15,
	NODE_INPUT = 1,
	NODE_OUTPUT = 2,
	NODE_NAME = 3,
	NODE_OP_TYPE = 4,
	NODE_ATTRIBUTE = 5,
	NODE_DOMAIN = 7,
	ATTRIBUTE_NAME = 1,
	ATTRIBUTE_F = 2,
	ATTRIBUTE_I = 3,
	ATTRIBUTE_T = 5,
	ATTRIBUTE_G = 6,
	ATTRIBUTE_FLOATS = 7,
	ATTRIBUTE_INTS = 8,
	ATTRIBUTE_TENSORS = 10,
	ATTRIBUTE_GRAPHS = 11,
	ATTRIBUTE_TYPE = 20,
	ATTRIBUTE_REF_NAME = 21,
	ATTRIBUTE_SPARSE_TENSOR = 22,
	ATTRIBUTE_SPARSE_TENSORS = 23,
	SPARSE_VALUES = 1,
	SPARSE_INDICES = 2,
	TENSOR_NAME = 8,
};

/*
 * Protobuf has no magic: nothing but the fields of a ModelProto, each of its wire type, a version and a graph among them. Other
 * models in protobuf (TensorFlow, Core ML, Caffe) have other fields. Or -errno.
 */
static int is_model(struct tfs_pb *pb)
{
	static const uint8_t wires[] = {
		/* by number, plus one */
		[1] = TFS_PB_VARINT + 1,
		[2] = TFS_PB_BYTES + 1,
		[3] = TFS_PB_BYTES + 1,
		[4] = TFS_PB_BYTES + 1,
		[5] = TFS_PB_VARINT + 1,
		[6] = TFS_PB_BYTES + 1,
		[MODEL_GRAPH] = TFS_PB_BYTES + 1,
		[8] = TFS_PB_BYTES + 1,
		[14] = TFS_PB_BYTES + 1,
		[MODEL_TRAINING_INFO] = TFS_PB_BYTES + 1,
		[MODEL_FUNCTIONS] = TFS_PB_BYTES + 1,
		[26] = TFS_PB_BYTES + 1,
	};
	bool version = false, graph = false;
	struct tfs_pb_field f;
	int r;

	while ((r = tfs_pb_next(pb, &f)) > 0) {
		if (f.number >= sizeof wires || wires[f.number] != f.wire + 1)
			return 0;
		version |= f.number == MODEL_IR_VERSION;
		graph |= f.number == MODEL_GRAPH;
	}
	return r ? r : version && graph;
}

static bool recognises(const struct tfs_sample *s)
{
	cleanup_free struct tfs_pb *pb = malloc(sizeof *pb);
	struct tfs_error ignored;

	if (!pb)
		return tfs_sample_fails(s, -ENOMEM);
	tfs_pb_init(pb, s->in, &ignored);
	int r = is_model(pb);
	return r < 0 ? tfs_sample_fails(s, r) : r;
}

/* Is @f this text? */
static int is_text(struct tfs_onnx *o, const struct tfs_pb_field *f, const char *text, bool *ret)
{
	char have[16]; /* longer than any text we compare with */
	size_t len = strlen(text);
	int r;

	*ret = false;
	if (f->value != len)
		return 0;
	r = tfs_pb_copy(&o->pb, f, have, len);
	*ret = !r && !memcmp(have, text, len);
	return r;
}

/* --- Messages ---------------------------------------------------------------------------------------------------- */

typedef int visit_fn(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg);

/* @visit each field of the message @field, until it fails. */
static int each_field(struct tfs_onnx *o, const struct tfs_pb_field *field, visit_fn *visit, void *arg)
{
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&o->pb, field, &back);

	if (r)
		return r;
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		r = visit(o, &f, arg);
		if (r)
			return r;
	}
	tfs_pb_leave(&o->pb, back);
	return r;
}

/* Remember @f, which is a string or a message. */
static int note(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_pb_field *slot)
{
	*slot = *f;
	return tfs_pb_expect(&o->pb, f, TFS_PB_BYTES);
}

/* The same for what protobuf would merge, if it occurred twice. */
static int note_only(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_pb_field *slot)
{
	if (slot->number)
		return tfs_error_set(o->pb.err, -EINVAL, f->tag_at, "two tensors in field %u, which holds only one", f->number);
	return note(o, f, slot);
}

/* Where tensors without a name of their own are found. */
struct place {
	struct tfs_pb_field owner;     /* the name that represents their node */
	struct tfs_pb_field attribute; /* its name, or number 0: they are named after the owner */
	struct tfs_pb_field
		reference; /* number 0; else the attribute has no value of its own, but refers to the function's of this name */
	bool constant;	   /* the node is a Constant */
	bool is_value;	   /* other nodes call what it has as its owner is called: it has an output */
	uint32_t scope;
	struct tfs_pb_field tensor, sparse; /* what was found in the attribute so far */
	size_t n_tensors, n_sparse;
	const struct numbers *numbers;
	uint64_t type; /* AttributeProto.AttributeType, 0 if it is not given */
};

/* A TensorProto. @place NULL: an initializer, in @scope, with a name; else the place has both. */
static int read_tensor(struct tfs_onnx *o, const struct tfs_pb_field *field, const struct place *place, const char *suffix,
		       uint32_t scope)
{
	struct tfs_onnx_tensor t;
	int r = tfs_onnx_tensor(o, field, &t);

	if (r)
		return r;
	if (!place)
		return tfs_onnx_add(o, &t, &t.name, NULL, suffix, scope, true);
	return tfs_onnx_add(o, &t, &place->owner, place->attribute.number ? &place->attribute : NULL, suffix, place->scope,
			    place->is_value && !place->attribute.number && !*suffix);
}

struct sparse {
	struct place place;
	struct tfs_pb_field values, indices;
};

static int in_sparse(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct sparse *s = arg;

	return f->number == SPARSE_VALUES  ? note_only(o, f, &s->values) :
	       f->number == SPARSE_INDICES ? note_only(o, f, &s->indices) :
					     0;
}

static int name_of_values(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct sparse *s = arg;

	return f->number == TENSOR_NAME ? note(o, f, &s->place.owner) : 0;
}

/* A SparseTensorProto; arguments as above. */
static int read_sparse(struct tfs_onnx *o, const struct tfs_pb_field *field, const struct place *place, const char *suffix,
		       uint32_t scope)
{
	struct sparse s = { .place.scope = scope };
	char part[40];
	int r = each_field(o, field, in_sparse, &s);

	if (r)
		return r;
	if (!s.values.number || !s.indices.number)
		return tfs_error_set(o->pb.err, -EINVAL, field->tag_at, "a sparse tensor without its %s",
				     s.values.number ? "indices" : "values");
	if (place)
		s.place = *place;
	else
		r = each_field(o, &s.values, name_of_values, &s);
	snprintf(part, sizeof part, "%s.values", suffix);
	if (!r)
		r = read_tensor(o, &s.values, &s.place, part, scope);
	snprintf(part, sizeof part, "%s.indices", suffix);
	return r ? r : read_tensor(o, &s.indices, &s.place, part, scope);
}

/* Plain numbers that a Constant node's attribute may have instead of a tensor. */
static const struct numbers {
	const char *attribute, *dtype;
	uint32_t field;
	enum tfs_onnx_kind kind;
	uint8_t width, type; /* AttributeProto.AttributeType */
	bool list;
} numbers[] = {
	{ "value_float", "F32", ATTRIBUTE_F, TFS_ONNX_FLOAT, 4, 1, false },
	{ "value_floats", "F32", ATTRIBUTE_FLOATS, TFS_ONNX_FLOAT, 4, 6, true },
	{ "value_int", "I64", ATTRIBUTE_I, TFS_ONNX_INT64, 8, 2, false },
	{ "value_ints", "I64", ATTRIBUTE_INTS, TFS_ONNX_INT64, 8, 7, true },
};

static int in_numbers(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct place *place = arg;

	if (f->number == ATTRIBUTE_TYPE && f->wire == TFS_PB_VARINT)
		place->type = f->value;
	if (f->number != place->numbers->field)
		return 0;
	if (!place->numbers->list)
		tfs_onnx_values_clear(o); /* the last one is used */
	return tfs_onnx_values_add(o, f, place->numbers->kind);
}

static int read_numbers(struct tfs_onnx *o, const struct tfs_pb_field *field, struct place *place)
{
	const struct numbers *n = place->numbers;
	struct tfs_onnx_tensor t = {
		.dtype = tfs_dtype_by_name(n->dtype, strlen(n->dtype)),
		.at = field->tag_at,
		.ndim = n->list,
	};
	int r;

	tfs_onnx_values_clear(o);
	r = each_field(o, field, in_numbers, place);
	/* proto3 omits a 0: the tensor exists, but has no bytes. */
	if (!r && !n->list && !o->values.count && place->type == n->type)
		return tfs_onnx_add_unwritten(o, &place->owner);
	t.dims[0] = o->values.count;
	if (!r)
		tfs_onnx_values_tensor(o, n->kind, n->width, &t);
	return r ? r : tfs_onnx_add(o, &t, &place->owner, NULL, "", place->scope, place->is_value);
}

static visit_fn in_graph;

/* Graphs and functions in a file: some models have hundreds. A hostile file needs 4 bytes for one, we 8. */
#define MAX_SCOPES (1u << 20)

/* One more graph or function in @parent; @field is what it was found in. */
static int add_scope(struct tfs_onnx *o, uint32_t parent, unsigned depth, const struct tfs_pb_field *field, uint32_t *ret)
{
	if (o->n_scopes == MAX_SCOPES)
		return tfs_error_set(o->pb.err, -EINVAL, field->tag_at, "more than %u graphs", MAX_SCOPES);
	if (tfs_array_room(o->scopes, o->n_scopes, o->room_scopes))
		return -ENOMEM;
	*ret = o->n_scopes;
	o->scopes[o->n_scopes++] = (struct tfs_onnx_scope){ .parent = parent, .depth = (uint8_t)depth };
	return 0;
}

/* The graph @field in another one. */
static int read_subgraph(struct tfs_onnx *o, const struct tfs_pb_field *field, uint32_t parent)
{
	uint32_t scope;
	int r = add_scope(o, parent, o->scopes[parent].depth + 1, field, &scope);

	return r ? r : each_field(o, field, in_graph, &scope);
}

static int in_attribute(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct place *place = arg;
	char suffix[24];
	int r;

	switch (f->number) {
	case ATTRIBUTE_T:
		r = note_only(o, f, &place->tensor);
		return r || !f->value ? r : read_tensor(o, f, place, "", 0); /* an empty message doesn't count */
	case ATTRIBUTE_TENSORS:
		snprintf(suffix, sizeof suffix, ".%zu", place->n_tensors++);
		return read_tensor(o, f, place, suffix, 0);
	case ATTRIBUTE_SPARSE_TENSOR:
		r = note_only(o, f, &place->sparse);
		return r || !f->value ? r : read_sparse(o, f, place, "", 0);
	case ATTRIBUTE_SPARSE_TENSORS:
		snprintf(suffix, sizeof suffix, ".%zu", place->n_sparse++);
		return read_sparse(o, f, place, suffix, 0);
	case ATTRIBUTE_G:
	case ATTRIBUTE_GRAPHS:
		return read_subgraph(o, f, place->scope);
	default:
		return 0;
	}
}

static int attribute_name(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct place *place = arg;

	return f->number == ATTRIBUTE_NAME     ? note(o, f, &place->attribute) :
	       f->number == ATTRIBUTE_REF_NAME ? note(o, f, &place->reference) :
						 0;
}

/* @owner: a place without an attribute. */
static int read_attribute(struct tfs_onnx *o, const struct tfs_pb_field *field, const struct place *owner)
{
	struct place place = *owner;
	bool is = false;
	int r = each_field(o, field, attribute_name, &place);

	if (r || place.reference.value)
		return r;
	if (!place.constant)
		return each_field(o, field, in_attribute, &place);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		r = is_text(o, &place.attribute, numbers[i].attribute, &is);
		if (r)
			return r;
		if (!is)
			continue;
		place.numbers = &numbers[i];
		return read_numbers(o, field, &place);
	}
	r = is_text(o, &place.attribute, "value", &is);
	if (!r && !is)
		r = is_text(o, &place.attribute, "sparse_value", &is);
	if (is)
		place.attribute.number = 0;
	return r ? r : each_field(o, field, in_attribute, &place);
}

/* Fields may come in any order, so nodes and functions are walked twice: for names, and for what is named after them. */
struct node {
	struct tfs_pb_field output, name;
	struct tfs_onnx_operator op;
	bool has_attributes;
	struct place place;
};

static int note_input(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_onnx_operator *op)
{
	unsigned i = op->n_inputs;

	op->n_inputs += i < TFS_ONNX_INPUTS;
	return i < TFS_ONNX_INPUTS ? note(o, f, &op->inputs[i]) : 0;
}

static int node_names(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct node *n = arg;

	n->has_attributes |= f->number == NODE_ATTRIBUTE;
	return f->number == NODE_OUTPUT && !n->output.number ? note(o, f, &n->output) :
	       f->number == NODE_NAME			     ? note(o, f, &n->name) :
	       f->number == NODE_OP_TYPE		     ? note(o, f, &n->op.type) :
	       f->number == NODE_DOMAIN			     ? note(o, f, &n->op.domain) :
	       f->number == NODE_INPUT			     ? note_input(o, f, &n->op) :
							       0;
}

static int in_node(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct node *n = arg;

	return f->number == NODE_ATTRIBUTE ? read_attribute(o, f, &n->place) : 0;
}

static int read_node(struct tfs_onnx *o, const struct tfs_pb_field *field, uint32_t scope)
{
	struct node n = { .place.scope = scope };
	int r = each_field(o, field, node_names, &n);

	if (!r)
		r = tfs_onnx_find_codes(o, &n.op, field, scope);
	if (r || !n.has_attributes)
		return r;
	n.place.owner = n.output.value ? n.output : n.name;
	n.place.is_value = n.output.value;
	r = is_text(o, &n.op.type, "Constant", &n.place.constant);
	return r ? r : each_field(o, field, in_node, &n);
}

static int in_graph(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	uint32_t scope = *(const uint32_t *)arg;

	return f->number == GRAPH_NODE		     ? read_node(o, f, scope) :
	       f->number == GRAPH_INITIALIZER	     ? read_tensor(o, f, NULL, "", scope) :
	       f->number == GRAPH_SPARSE_INITIALIZER ? read_sparse(o, f, NULL, "", scope) :
						       0;
}

static int function_name(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	struct place *place = arg;

	return f->number == FUNCTION_NAME ? note(o, f, &place->owner) : 0;
}

static int in_function(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	const struct place *place = arg;

	return f->number == FUNCTION_NODE	     ? read_node(o, f, place->scope) :
	       f->number == FUNCTION_ATTRIBUTE_PROTO ? read_attribute(o, f, place) :
						       0;
}

static int in_training(struct tfs_onnx *o, const struct tfs_pb_field *f, void *arg)
{
	const uint32_t *model = arg;

	return f->number == TRAINING_INITIALIZATION || f->number == TRAINING_ALGORITHM ? read_subgraph(o, f, *model) : 0;
}

static int in_model(struct tfs_onnx *o, const struct tfs_pb_field *f, bool *has_graph)
{
	struct place function = { .scope = 0 };
	uint32_t model = 0;
	int r;

	switch (f->number) {
	case MODEL_GRAPH:
		*has_graph = true;
		return each_field(o, f, in_graph, &model);
	case MODEL_TRAINING_INFO:
		return each_field(o, f, in_training, &model);
	case MODEL_FUNCTIONS:
		r = add_scope(o, TFS_ONNX_NO_SCOPE, 1, f, &function.scope);
		if (!r)
			r = each_field(o, f, function_name, &function);
		return r ? r : each_field(o, f, in_function, &function);
	default:
		return 0;
	}
}

static int read_model(struct tfs_onnx *o)
{
	struct tfs_pb_field f;
	bool has_graph = false;
	uint32_t model;
	int r = add_scope(o, TFS_ONNX_NO_SCOPE, 0, &(struct tfs_pb_field){ 0 }, &model);

	if (r)
		return r;
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		r = in_model(o, &f, &has_graph);
		if (r)
			return r;
	}
	if (!r && !has_graph)
		return tfs_error_set(o->pb.err, -EINVAL, 0, "isn't an ONNX model: it has no graph");
	return r;
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct tfs_onnx *o = calloc(1, sizeof *o);
	int r;

	(void)file_name;
	if (!o)
		return -ENOMEM;
	tfs_pb_init(&o->pb, in, err);
	o->catalog = catalog;
	r = read_model(o);
	if (!r)
		r = tfs_onnx_catalog(o);
	if (r == -ENOMEM)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	tfs_onnx_fini(o);
	return r;
}

const struct tfs_format tfs_format_onnx = {
	.name = "onnx",
	.what = "an ONNX model",
	.extensions = (const char *const[]){ EXTENSION, NULL },
	.external = true,
	.recognises = recognises,
	.parse = parse,
};
