/* SPDX-License-Identifier: MIT */
/*
 * ONNX Runtime's own format, .ort (onnxruntime/core/flatbuffers/schema/ort.fbs): the initializers of the graph, and of those in attributes
 * of its nodes. Of tensors with the same name the first one keeps it, and the others are NAME~2, NAME~3.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/flatbuffer/reader.h"
#include "format/format.h"
#include "storage/storage.h"

#define IDENTIFIER "ORTM"

/* The relevant fields, by TABLE_FIELD. */
enum {
	SESSION_MODEL = 1,
	MODEL_GRAPH = 7,
	GRAPH_INITIALIZERS = 0,
	GRAPH_NODES = 2,
	NODE_ATTRIBUTES = 10,
	ATTRIBUTE_GRAPH = 7,
	ATTRIBUTE_GRAPHS = 12,
	TENSOR_NAME = 0,
	TENSOR_DIMS = 2,
	TENSOR_TYPE = 3,
	TENSOR_DATA = 4,
	TENSOR_EXTERNAL = 6,
};

/* enum TensorDataType, as ONNX's. */
static const char *const type_names[] = {
	[1] = "F32",   [2] = "U8",	 [3] = "I8",	       [4] = "U16",	 [5] = "I16",	       [6] = "I32",  [7] = "I64",
	[9] = "BOOL",  [10] = "F16",	 [11] = "F64",	       [12] = "U32",	 [13] = "U64",	       [14] = "C64", [15] = "C128",
	[16] = "BF16", [17] = "F8_E4M3", [18] = "F8_E4M3FNUZ", [19] = "F8_E5M2", [20] = "F8_E5M2FNUZ", [21] = "U4",  [22] = "I4",
};

enum { STRING = 8 };

/* Graphs in graphs; and nodes and tensors of all, as several may refer to one. */
enum { MAX_DEPTH = 100 };
#define MAX_VISITED (4u * TFS_DRAFT_MAX_TENSORS)

struct ort {
	struct tfs_fb fb;
	struct tfs_drafts d;
	uint64_t visited;
	char name[TFS_DRAFT_MAX_NAME];
};

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 4, IDENTIFIER, 4);
}

static int read_name(struct ort *o, const struct tfs_fb_table *tensor, struct tfs_draft *t)
{
	struct tfs_fb_vector name;
	int r = tfs_fb_vector(&o->fb, tensor, TENSOR_NAME, 1, &name);

	if (r < 0)
		return r;
	if (name.n > sizeof o->name)
		return tfs_error_set(o->fb.err, -EINVAL, name.at, "the name of a tensor has %" PRIu32 " bytes; the limit is %zu",
				     name.n, sizeof o->name);
	t->name = o->name;
	t->name_len = name.n;
	return tfs_fb_copy(&o->fb, name.at, o->name, name.n);
}

static int read_tensor(struct ort *o, const struct tfs_fb_table *tensor)
{
	uint64_t shape[TFS_MAX_DIMS], type, external;
	struct tfs_draft t = { .at = tensor->at, .shape = shape };
	struct tfs_fb_vector dims, data;
	int r = read_name(o, tensor, &t);

	if (!r)
		r = tfs_fb_number(&o->fb, tensor, TENSOR_TYPE, 4, 0, &type);
	if (!r)
		r = tfs_fb_number(&o->fb, tensor, TENSOR_EXTERNAL, 8, UINT64_MAX, &external);
	if (!r)
		r = tfs_fb_vector(&o->fb, tensor, TENSOR_DATA, 1, &data);
	if (r >= 0)
		r = tfs_fb_vector(&o->fb, tensor, TENSOR_DIMS, 8, &dims);
	if (r < 0)
		return r;
	r = 0;
	t.ndim = dims.n;
	for (uint32_t i = 0; i < dims.n && i < TFS_MAX_DIMS && !r; i++)
		r = tfs_fb_element(&o->fb, &dims, i, 8, &shape[i]);
	if (r)
		return r;
	if (type == STRING)
		return tfs_drafts_leave_out(&o->d, &t, "a tensor of strings");
	if (type >= sizeof type_names / sizeof *type_names || !type_names[type])
		return tfs_drafts_leave_out(&o->d, &t, "an unknown type, %" PRIu64, type);
	if (external != UINT64_MAX)
		return tfs_drafts_leave_out(&o->d, &t, "its bytes are in another file, which isn't named");
	t.dtype = tfs_dtype_by_name(type_names[type], strlen(type_names[type]));
	t.offset = data.at;
	t.stored = data.n;
	return tfs_drafts_add(&o->d, &t);
}

/* Count @v's elements, as a graph in a circle would have no end. */
static int visit(struct ort *o, const struct tfs_fb_vector *v)
{
	o->visited += v->n;
	return o->visited <= MAX_VISITED ?
		       0 :
		       tfs_error_set(o->fb.err, -EINVAL, v->at, "more than %u nodes, attributes and tensors", MAX_VISITED);
}

static int read_graph(struct ort *o, const struct tfs_fb_table *graph, unsigned depth);

static int read_attribute(struct ort *o, const struct tfs_fb_table *attribute, unsigned depth)
{
	struct tfs_fb_vector graphs;
	struct tfs_fb_table graph;
	int r = tfs_fb_table(&o->fb, attribute, ATTRIBUTE_GRAPH, &graph);

	if (r > 0)
		r = read_graph(o, &graph, depth);
	if (!r)
		r = tfs_fb_vector(&o->fb, attribute, ATTRIBUTE_GRAPHS, 4, &graphs);
	if (r <= 0)
		return r;
	r = visit(o, &graphs);
	for (uint32_t i = 0; i < graphs.n && !r; i++) {
		r = tfs_fb_element_table(&o->fb, &graphs, i, &graph);
		if (!r)
			r = read_graph(o, &graph, depth);
	}
	return r;
}

static int read_node(struct ort *o, const struct tfs_fb_table *node, unsigned depth)
{
	struct tfs_fb_vector attributes;
	struct tfs_fb_table attribute;
	int r = tfs_fb_vector(&o->fb, node, NODE_ATTRIBUTES, 4, &attributes);

	if (r < 0)
		return r;
	r = visit(o, &attributes);
	for (uint32_t i = 0; i < attributes.n && !r; i++) {
		r = tfs_fb_element_table(&o->fb, &attributes, i, &attribute);
		if (!r)
			r = read_attribute(o, &attribute, depth + 1);
	}
	return r;
}

static int read_graph(struct ort *o, const struct tfs_fb_table *graph, unsigned depth)
{
	struct tfs_fb_vector tensors, nodes;
	struct tfs_fb_table t;
	int r;

	if (depth > MAX_DEPTH)
		return tfs_error_set(o->fb.err, -EINVAL, graph->at, "graphs nested deeper than %d", MAX_DEPTH);
	r = tfs_fb_vector(&o->fb, graph, GRAPH_INITIALIZERS, 4, &tensors);
	if (r >= 0)
		r = tfs_fb_vector(&o->fb, graph, GRAPH_NODES, 4, &nodes);
	if (r >= 0)
		r = visit(o, &tensors);
	for (uint32_t i = 0; i < tensors.n && !r; i++) {
		r = tfs_fb_element_table(&o->fb, &tensors, i, &t);
		if (!r)
			r = read_tensor(o, &t);
	}
	if (!r)
		r = visit(o, &nodes);
	for (uint32_t i = 0; i < nodes.n && !r; i++) {
		r = tfs_share_scratch(o->fb.in->share, 0);
		if (!r)
			r = tfs_fb_element_table(&o->fb, &nodes, i, &t);
		if (!r)
			r = read_node(o, &t, depth);
	}
	return r;
}

static int read_session(struct ort *o)
{
	struct tfs_fb_table session, model, graph;
	int r = tfs_fb_table_at(&o->fb, 0, &session);

	if (!r)
		r = tfs_fb_table(&o->fb, &session, SESSION_MODEL, &model);
	if (r > 0)
		r = tfs_fb_table(&o->fb, &model, MODEL_GRAPH, &graph);
	if (r > 0)
		r = read_graph(o, &graph, 0);
	return r ? r : tfs_drafts_catalog(&o->d);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct ort *o = calloc(1, sizeof *o);
	char identifier[4];
	int r;

	(void)file_name;
	if (!o)
		return -ENOMEM;
	tfs_fb_init(&o->fb, in, err);
	tfs_drafts_init(&o->d, in, catalog, err);
	r = tfs_fb_copy(&o->fb, 4, identifier, sizeof identifier);
	if (!r && memcmp(identifier, IDENTIFIER, sizeof identifier) != 0)
		r = tfs_error_set(err, -EINVAL, 4, "isn't an ONNX Runtime model: its identifier isn't " IDENTIFIER);
	if (!r)
		r = read_session(o);
	tfs_drafts_fini(&o->d);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_ort = {
	.name = "ort",
	.what = "an ONNX Runtime model",
	.extensions = (const char *const[]){ ".ort", NULL },
	.recognises = recognises,
	.parse = parse,
};
