/* SPDX-License-Identifier: MIT */
/*
 * Which tensors are the codes of quantised weights: those that an operator takes as such (ONNX Operators.md; onnxruntime,
 * docs/ContribOperators.md), as far as the file has them. A name is that of the innermost graph that has a tensor of it, as in IR.md,
 * "Name Scoping". What else takes the same tensor, as a plain input, doesn't change what it is.
 *
 * Operators stand in front of the tensors in most files, so their inputs are remembered by name until all is read.
 */
#include "format/onnx/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_I = 3, ATTRIBUTE_REF_NAME = 21 };

enum domain { ONNX = 1, MICROSOFT = 2 };

/* A node of one such operator. A hostile file needs 30 bytes for one. */
#define MAX_USES (1u << 20)

struct tfs_onnx_use {
	struct tfs_onnx_text parts[TFS_RECIPE_PARTS]; /* names; s NULL: it has none */
	int64_t args[TFS_RECIPE_ARGS];
	const char *wrong;
	uint32_t scope;
	uint32_t codes; /* in the catalog, once known */
	uint8_t op;
};

static const struct op {
	const char *name;
	enum domain domain;
	enum tfs_recipe_kind kind;
	uint8_t inputs[TFS_RECIPE_PARTS]; /* that are the codes and so on, counted from 1; 0: it takes no such */
	int64_t args[TFS_RECIPE_ARGS];	  /* unless an attribute says something else */
	const char *wrong;		  /* its values can't be made, whatever its node has */
} ops[] = {
	{ "DequantizeLinear", ONNX | MICROSOFT, TFS_RECIPE_LINEAR, { 1, 2, 3 }, { [TFS_RECIPE_AXIS] = 1 }, NULL },
	{ "MatMulNBits", MICROSOFT, TFS_RECIPE_NBITS, { 2, 3, 4, 5 }, { [TFS_RECIPE_BITS] = 4 }, NULL },
	{ "GatherBlockQuantized",
	  MICROSOFT,
	  TFS_RECIPE_GATHER,
	  { 1, 3, 4 },
	  { [TFS_RECIPE_AXIS] = 1, [TFS_RECIPE_BLOCK] = 128, [TFS_RECIPE_BITS] = 4 },
	  NULL },
};

enum { N_OPS = sizeof ops / sizeof *ops, PREPACKED = TFS_RECIPE_ARGS };

/* Attributes that are integers, and the argument that each is. */
static const struct attribute {
	enum tfs_recipe_kind kind;
	const char *name;
	int arg;
} attributes[] = {
	{ TFS_RECIPE_LINEAR, "axis", TFS_RECIPE_AXIS },
	{ TFS_RECIPE_LINEAR, "block_size", TFS_RECIPE_BLOCK },
	{ TFS_RECIPE_NBITS, "K", TFS_RECIPE_K },
	{ TFS_RECIPE_NBITS, "N", TFS_RECIPE_N },
	{ TFS_RECIPE_NBITS, "bits", TFS_RECIPE_BITS },
	{ TFS_RECIPE_NBITS, "block_size", TFS_RECIPE_BLOCK },
	{ TFS_RECIPE_NBITS, "weight_prepacked", PREPACKED },
	{ TFS_RECIPE_GATHER, "quantize_axis", TFS_RECIPE_AXIS },
	{ TFS_RECIPE_GATHER, "bits", TFS_RECIPE_BITS },
	{ TFS_RECIPE_GATHER, "block_size", TFS_RECIPE_BLOCK },
};

/* --- Nodes ------------------------------------------------------------------------------------------------------- */

enum { MAX_TEXT = 24 }; /* all names here are shorter */

/* @f, a short string, into @buf, as a string; "" for one that is too long to be any of ours. */
static int read_text(struct tfs_onnx *o, const struct tfs_pb_field *f, char buf[static MAX_TEXT])
{
	int r = 0;

	memset(buf, 0, MAX_TEXT);
	if (f->value < MAX_TEXT)
		r = tfs_pb_copy(&o->pb, f, buf, f->value);
	return r;
}

struct argument {
	struct tfs_pb_field name, reference;
	int64_t i; /* 0 where it isn't written, as proto3 has it */
};

static int read_argument(struct tfs_onnx *o, const struct tfs_pb_field *attribute, struct argument *ret)
{
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&o->pb, attribute, &back);

	if (r)
		return r;
	*ret = (struct argument){ 0 };
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		if (f.number == ATTRIBUTE_NAME && f.wire == TFS_PB_BYTES)
			ret->name = f;
		else if (f.number == ATTRIBUTE_REF_NAME && f.wire == TFS_PB_BYTES)
			ret->reference = f;
		else if (f.number == ATTRIBUTE_I && f.wire == TFS_PB_VARINT)
			ret->i = (int64_t)f.value;
	}
	tfs_pb_leave(&o->pb, back);
	return r;
}

static int set_argument(struct tfs_onnx *o, struct tfs_onnx_use *use, const struct tfs_pb_field *attribute)
{
	struct argument a;
	char name[MAX_TEXT];
	int r = read_argument(o, attribute, &a);

	if (!r)
		r = read_text(o, &a.name, name);
	for (size_t i = 0; !r && i < sizeof attributes / sizeof *attributes; i++) {
		if (attributes[i].kind != ops[use->op].kind || strcmp(attributes[i].name, name) != 0)
			continue;
		if (a.reference.value)
			use->wrong = "an attribute of the operator depends on the call of its function";
		else if (attributes[i].arg != PREPACKED)
			use->args[attributes[i].arg] = a.i;
		else if (a.i)
			use->wrong = "its codes are in the order that one GPU's kernel wants (weight_prepacked)";
	}
	return r;
}

static int read_arguments(struct tfs_onnx *o, struct tfs_onnx_use *use, const struct tfs_pb_field *node)
{
	enum { NODE_ATTRIBUTE = 5 };
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&o->pb, node, &back);

	if (r)
		return r;
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		r = f.number == NODE_ATTRIBUTE ? set_argument(o, use, &f) : 0;
		if (r)
			return r;
	}
	tfs_pb_leave(&o->pb, back);
	return r;
}

/* The name of an input. One that is too long for a tensor's is no tensor's, but it is given. */
static int keep_name(struct tfs_onnx *o, const struct tfs_pb_field *f, struct tfs_onnx_text *ret)
{
	size_t len = f->value <= TFS_ONNX_MAX_NAME ? f->value : 0;
	char *s;
	int r;

	o->use_bytes += len;
	if (o->use_bytes > TFS_ONNX_MAX_NAMES)
		return tfs_error_set(o->pb.err, -EINVAL, f->tag_at,
				     "the names of what quantised operators take have more than %zu bytes together",
				     TFS_ONNX_MAX_NAMES);
	s = tfs_arena_alloc(&o->table.arena, len, 1);
	if (!s)
		return -ENOMEM;
	r = tfs_pb_copy(&o->pb, f, s, len);
	*ret = (struct tfs_onnx_text){ s, len };
	return r;
}

static int add_use(struct tfs_onnx *o, size_t op, const struct tfs_onnx_operator *node, const struct tfs_pb_field *field,
		   uint32_t scope)
{
	struct tfs_onnx_use use = { .op = (uint8_t)op, .scope = scope, .wrong = ops[op].wrong };
	int r;

	memcpy(use.args, ops[op].args, sizeof use.args);
	for (size_t i = 0; i < TFS_RECIPE_PARTS; i++) {
		const unsigned input = ops[op].inputs[i];

		if (!input || input > node->n_inputs || !node->inputs[input - 1].value)
			continue; /* an empty name is none (IR.md, "Optional Inputs and Outputs") */
		r = keep_name(o, &node->inputs[input - 1], &use.parts[i]);
		if (r)
			return r;
	}
	if (!use.parts[TFS_RECIPE_CODES].s)
		return 0;
	r = read_arguments(o, &use, field);
	if (r)
		return r;
	if (o->n_uses == MAX_USES)
		return tfs_error_set(o->pb.err, -EINVAL, field->tag_at, "more than %u operators that take quantised tensors",
				     MAX_USES);
	if (tfs_array_room(o->uses, o->n_uses, o->room_uses))
		return -ENOMEM;
	o->uses[o->n_uses++] = use;
	return 0;
}

int tfs_onnx_find_codes(struct tfs_onnx *o, const struct tfs_onnx_operator *node, const struct tfs_pb_field *field, uint32_t scope)
{
	char type[MAX_TEXT], domain[MAX_TEXT];
	enum domain in;
	int r = 0;

	*type = 0;
	for (size_t i = 0; i < N_OPS && !r; i++) {
		if (node->type.value != strlen(ops[i].name))
			continue;
		if (!*type) {
			r = read_text(o, &node->type, type);
			if (!r)
				r = read_text(o, &node->domain, domain);
			if (r)
				return r;
		}
		if (strcmp(type, ops[i].name) != 0)
			continue;
		if (node->domain.value && !strcmp(domain, "com.microsoft"))
			in = MICROSOFT;
		else if (!node->domain.value || !strcmp(domain, "ai.onnx"))
			in = ONNX;
		else
			continue;
		if (ops[i].domain & in)
			r = add_use(o, i, node, field, scope);
	}
	return r;
}

/* --- Their tensors ----------------------------------------------------------------------------------------------- */

/* Records that nodes call by their names, in order. */
struct values {
	const void **records;
	size_t n;
};

static int by_place(const void *a, const void *b)
{
	const struct tfs_onnx_record *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->scope > y->scope) - (x->scope < y->scope);
}

/* What @name is in @scope: a tensor of the file, or NULL. */
static const struct tfs_onnx_record *find(const struct tfs_onnx *o, const struct values *v, uint32_t scope,
					  struct tfs_onnx_text name)
{
	struct tfs_onnx_record key = { .name = name };
	size_t first = tfs_search(i, 0, v->n, tfs_onnx_by_name(v->records[i], &key) < 0), at;

	if (!name.len || first == v->n || tfs_onnx_by_name(v->records[first], &key))
		return NULL;
	size_t end = tfs_search(i, first, v->n, !tfs_onnx_by_name(v->records[i], &key));
	for (; scope != TFS_ONNX_NO_SCOPE; scope = o->scopes[scope].parent) {
		key.scope = scope;
		key.depth = o->scopes[scope].depth;
		at = tfs_search(i, first, end, by_place(v->records[i], &key) < 0);
		if (at < end && !by_place(v->records[at], &key))
			return v->records[at];
	}
	return NULL;
}

static bool is_one(const struct tfs_onnx_record *r)
{
	return !r->ndim || (r->ndim == 1 && r->dims[0] == 1);
}

/*
 * @ret is what @use says. The arguments that make no difference are made equal, so that operators that compute the same from the
 * same say the same.
 */
static void recipe_of(const struct tfs_onnx *o, const struct values *v, const struct tfs_tensor *tensors,
		      const struct tfs_onnx_record *codes, const struct tfs_onnx_use *use, struct tfs_recipe *ret)
{
	static const char *const missing[] = {
		[TFS_RECIPE_SCALES] = "its scales aren't a tensor of the model: they are computed when it runs, or can't be read",
		[TFS_RECIPE_ZEROS] =
			"its zero points aren't a tensor of the model: they are computed when it runs, or can't be read",
		[TFS_RECIPE_GROUPS] =
			"its group indices aren't a tensor of the model: they are computed when it runs, or can't be read",
	};
	int64_t *axis = &ret->args[TFS_RECIPE_AXIS];

	*ret = (struct tfs_recipe){ .kind = ops[use->op].kind, .op = ops[use->op].name, .wrong = use->wrong };
	ret->parts[TFS_RECIPE_CODES] = (struct tfs_recipe_part){ tensors[codes->at].name, tensors[codes->at].name_len };
	if (ret->wrong)
		return;
	memcpy(ret->args, use->args, sizeof ret->args);
	if (!use->parts[TFS_RECIPE_SCALES].s)
		ret->wrong = "the operator that takes it has no scales";
	if (*axis < 0)
		*axis += codes->ndim;
	for (size_t i = TFS_RECIPE_CODES + 1; i < TFS_RECIPE_PARTS && !ret->wrong; i++) {
		const struct tfs_onnx_record *r;

		if (!use->parts[i].s)
			continue;
		r = find(o, v, use->scope, use->parts[i]);
		if (!r) {
			ret->wrong = missing[i];
			break;
		}
		ret->parts[i] = (struct tfs_recipe_part){ tensors[r->at].name, tensors[r->at].name_len };
		if (i == TFS_RECIPE_SCALES && is_one(r) && !ret->args[TFS_RECIPE_BLOCK])
			*axis = 0;
	}
}

/* Do both make the same values of the same codes? */
static bool same(const struct tfs_recipe *a, const struct tfs_recipe *b)
{
	for (size_t i = 0; i < TFS_RECIPE_PARTS; i++)
		if (a->parts[i].name != b->parts[i].name)
			return false;
	return a->kind == b->kind && a->wrong == b->wrong && !memcmp(a->args, b->args, sizeof a->args);
}

/* By their codes, and then in the file's order, in which they are in the table. */
static int by_codes(const void *a, const void *b)
{
	const struct tfs_onnx_use *x = a, *y = b;

	return (x->codes > y->codes) - (x->codes < y->codes);
}

static int add_all(struct tfs_onnx *o, const struct values *v, const void *const *order, const void **uses, size_t n)
{
	size_t n_tensors;
	const struct tfs_tensor *tensors = tfs_catalog_tensors(o->catalog, &n_tensors);
	struct tfs_recipe recipe, other;
	int r = 0;

	for (size_t i = 0, end; i < n && !r; i = end) {
		const struct tfs_onnx_use *use = uses[i];

		recipe_of(o, v, tensors, order[use->codes], use, &recipe);
		for (end = i + 1; end < n && !by_codes(uses[i], uses[end]); end++) {
			recipe_of(o, v, tensors, order[use->codes], uses[end], &other);
			if (!same(&recipe, &other) && !recipe.wrong)
				recipe.wrong = "two operators make different values of it";
		}
		r = tfs_catalog_add_recipe(o->catalog, &recipe);
	}
	return r;
}

int tfs_onnx_make_recipes(struct tfs_onnx *o, const void *const *order, size_t n)
{
	cleanup_free const void **uses = NULL;
	cleanup_free const void **records = NULL;
	struct values v = { NULL, 0 };
	size_t n_uses = 0;

	if (!o->n_uses)
		return 0;
	uses = reallocarray(NULL, o->n_uses, 2 * sizeof *uses);
	v.records = records = reallocarray(NULL, n + 1, sizeof *records);
	if (!uses || !records)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (((const struct tfs_onnx_record *)order[i])->is_value)
			records[v.n++] = order[i];
	/* Most nodes dequantise what others computed. */
	for (size_t i = 0; i < o->n_uses; i++) {
		struct tfs_onnx_use *use = &o->uses[i];
		const struct tfs_onnx_record *codes = find(o, &v, use->scope, use->parts[TFS_RECIPE_CODES]);

		if (!codes)
			continue;
		use->codes = codes->at;
		uses[n_uses++] = use;
	}
	tfs_sort(uses, n_uses, uses + n_uses, by_codes);
	return add_all(o, &v, order, uses, n_uses);
}
