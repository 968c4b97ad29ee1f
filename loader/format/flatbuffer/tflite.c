/* SPDX-License-Identifier: MIT */
/*
 * TFLite (tensorflow/compiler/mlir/lite/schema/schema.fbs): the tensors of all subgraphs whose buffer has bytes. They are in the buffer
 * itself or, in files of more than 2 GiB, after the flatbuffer. Of tensors with the same name the first one keeps it, and the others
 * are NAME~2, NAME~3.
 *
 * Quantisation: (code - zero_point) * scale, for all of a tensor or one of each for every index of an axis.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/flatbuffer/reader.h"
#include "format/format.h"
#include "storage/storage.h"

#define IDENTIFIER "TFL3"

/* The relevant fields, by TABLE_FIELD. */
enum {
	MODEL_SUBGRAPHS = 2,
	MODEL_BUFFERS = 4,
	SUBGRAPH_TENSORS = 0,
	TENSOR_SHAPE = 0,
	TENSOR_TYPE = 1,
	TENSOR_BUFFER = 2,
	TENSOR_NAME = 3,
	TENSOR_QUANTISATION = 4,
	TENSOR_SPARSITY = 6,
	BUFFER_DATA = 0,
	BUFFER_OFFSET = 1,
	BUFFER_SIZE = 2,
	QUANTISATION_SCALE = 2,
	QUANTISATION_ZERO_POINT = 3,
	QUANTISATION_DETAILS_TYPE = 4,
	QUANTISATION_AXIS = 6,
};

/* enum TensorType. Strings, resources and variants have no elements of a fixed size. */
static const char *const type_names[] = {
	[0] = "F32", [1] = "F16",   [2] = "I32",  [3] = "U8",	 [4] = "I64",	   [6] = "BOOL",     [7] = "I16",
	[8] = "C64", [9] = "I8",    [10] = "F64", [11] = "C128", [12] = "U64",	   [15] = "U32",     [16] = "U16",
	[17] = "I4", [18] = "BF16", [19] = "I2",  [20] = "U4",	 [21] = "F8_E4M3", [22] = "F8_E5M2",
};

enum { STRING = 5 };

/* Integers of more bits have no exact float. */
#define MOST_ZERO ((int64_t)1 << 24)

/* Scales of a tensor: it has as many channels at most. */
#define MAX_SCALES (1u << 24)

struct tflite {
	struct tfs_fb fb;
	struct tfs_drafts d;
	struct tfs_fb_vector buffers;
	/* Of the tensor at hand. */
	float *numbers;
	char name[TFS_DRAFT_MAX_NAME];
};

static bool recognises(const struct tfs_sample *s)
{
	return tfs_sample_has(s, 4, IDENTIFIER, 4);
}

static float float_of(uint64_t bits)
{
	uint32_t v = (uint32_t)bits;
	float f;

	memcpy(&f, &v, sizeof f);
	return f;
}

/* --- Quantisation ---------------------------------------------------------------------------------------------------- */

/* The numbers of @scale and @zero into x->numbers, as many as there are scales of each. Sets s->wrong where they are out of range. */
static int read_scales(struct tflite *x, const struct tfs_fb_vector *scale, const struct tfs_fb_vector *zero,
		       struct tfs_draft_scales *s)
{
	const uint32_t n = scale->n;
	uint64_t v = 0;
	int r = 0;

	free(x->numbers);
	x->numbers = tfs_share_scratch(x->fb.in->share, 2 * (uint64_t)n * sizeof(float)) ? NULL : calloc(n, 2 * sizeof(float));
	if (!x->numbers)
		return -ENOMEM;
	s->n = n;
	s->scales = x->numbers;
	for (uint32_t i = 0; i < n && !r; i++) {
		r = tfs_fb_element(&x->fb, scale, i, sizeof(float), &v);
		x->numbers[i] = float_of(v);
	}
	for (uint32_t i = 0; i < zero->n && !r; i++) {
		r = tfs_fb_element(&x->fb, zero, i, sizeof(int64_t), &v);
		if ((int64_t)v > MOST_ZERO || (int64_t)v < -MOST_ZERO)
			s->wrong = "a zero point is out of range";
		else
			x->numbers[n + i] = (float)(int64_t)v;
		if (v)
			s->zeros = x->numbers + n;
	}
	return r;
}

static bool is_float(const struct tfs_dtype *d)
{
	return d->name[0] == 'F' || d->name[0] == 'B' || d->name[0] == 'C';
}

/* Fills @t's scales, if it has some and is of integers. */
static int read_quantisation(struct tflite *x, const struct tfs_fb_table *tensor, struct tfs_draft *t)
{
	struct tfs_fb_vector scale, zero;
	struct tfs_fb_table q;
	uint64_t details, axis;
	int r = tfs_fb_table(&x->fb, tensor, TENSOR_QUANTISATION, &q);

	if (r <= 0 || is_float(t->dtype))
		return r < 0 ? r : 0;
	r = tfs_fb_vector(&x->fb, &q, QUANTISATION_SCALE, sizeof(float), &scale);
	if (r >= 0)
		r = tfs_fb_vector(&x->fb, &q, QUANTISATION_ZERO_POINT, sizeof(int64_t), &zero);
	if (r >= 0)
		r = tfs_fb_number(&x->fb, &q, QUANTISATION_DETAILS_TYPE, 1, 0, &details);
	if (r >= 0)
		r = tfs_fb_number(&x->fb, &q, QUANTISATION_AXIS, 4, 0, &axis);
	if (r < 0)
		return r;
	if (!scale.n && !details)
		return 0;
	t->scales.op = "tflite";
	t->scales.axis = (uint32_t)axis;
	if (details)
		t->scales.wrong = "its quantisation is of another kind than one scale for each tensor or channel";
	else if (zero.n && zero.n != scale.n)
		t->scales.wrong = "it has another number of zero points than of scales";
	else if (scale.n > MAX_SCALES)
		t->scales.wrong = "it has more than 2^24 scales";
	else
		return read_scales(x, &scale, &zero, &t->scales);
	return 0;
}

/* --- Tensors --------------------------------------------------------------------------------------------------------- */

/* Where the bytes of buffer @i are: none, if it has none. */
static int find_buffer(struct tflite *x, uint64_t i, uint64_t at, struct tfs_draft *t)
{
	struct tfs_fb_table buffer;
	struct tfs_fb_vector data;
	uint64_t offset, size;
	int r;

	if (i >= x->buffers.n)
		return tfs_error_set(x->fb.err, -EINVAL, at, "a tensor in buffer %" PRIu64 ", of %" PRIu32, i, x->buffers.n);
	r = tfs_fb_element_table(&x->fb, &x->buffers, i, &buffer);
	if (!r)
		r = tfs_fb_vector(&x->fb, &buffer, BUFFER_DATA, 1, &data);
	if (r >= 0)
		r = tfs_fb_number(&x->fb, &buffer, BUFFER_OFFSET, 8, 0, &offset);
	if (r >= 0)
		r = tfs_fb_number(&x->fb, &buffer, BUFFER_SIZE, 8, 0, &size);
	if (r < 0)
		return r;
	/* 1 is a placeholder: "only valid if > 1". */
	t->offset = offset > 1 ? offset : data.at;
	t->stored = offset > 1 ? size : data.n;
	return 0;
}

static int read_name(struct tflite *x, const struct tfs_fb_table *tensor, struct tfs_draft *t)
{
	struct tfs_fb_vector name;
	int r = tfs_fb_vector(&x->fb, tensor, TENSOR_NAME, 1, &name);

	if (r < 0)
		return r;
	if (name.n > sizeof x->name)
		return tfs_error_set(x->fb.err, -EINVAL, name.at, "the name of a tensor has %" PRIu32 " bytes; the limit is %zu",
				     name.n, sizeof x->name);
	t->name = x->name;
	t->name_len = name.n;
	return tfs_fb_copy(&x->fb, name.at, x->name, name.n);
}

/* False: it has dimensions of no size. */
static int read_shape(struct tflite *x, const struct tfs_fb_table *tensor, struct tfs_draft *t, uint64_t shape[TFS_MAX_DIMS],
		      bool *ret_known)
{
	struct tfs_fb_vector v;
	int r = tfs_fb_vector(&x->fb, tensor, TENSOR_SHAPE, 4, &v);

	t->shape = shape;
	t->ndim = v.n;
	*ret_known = true;
	for (uint32_t i = 0; i < v.n && i < TFS_MAX_DIMS && r >= 0; i++) {
		r = tfs_fb_element(&x->fb, &v, i, 4, &shape[i]);
		*ret_known &= shape[i] <= INT32_MAX;
	}
	return r < 0 ? r : 0;
}

static int add_tensor(struct tflite *x, const struct tfs_fb_table *tensor, struct tfs_draft *t)
{
	uint64_t shape[TFS_MAX_DIMS], type;
	struct tfs_fb_table sparsity;
	bool known;
	int r = read_name(x, tensor, t), sparse;

	if (!r)
		r = tfs_fb_number(&x->fb, tensor, TENSOR_TYPE, 1, 0, &type);
	if (!r)
		r = read_shape(x, tensor, t, shape, &known);
	if (r)
		return r;
	sparse = tfs_fb_table(&x->fb, tensor, TENSOR_SPARSITY, &sparsity);
	if (sparse < 0)
		return sparse;
	if (sparse)
		return tfs_drafts_leave_out(&x->d, t, "sparse: only its values that aren't 0 are stored");
	if (type == STRING)
		return tfs_drafts_leave_out(&x->d, t, "a tensor of strings");
	if (type >= sizeof type_names / sizeof *type_names || !type_names[type])
		return tfs_drafts_leave_out(&x->d, t, "an unknown type, %" PRIu64, type);
	if (!known)
		return tfs_drafts_leave_out(&x->d, t, "a negative dimension");
	t->dtype = tfs_dtype_by_name(type_names[type], strlen(type_names[type]));
	r = read_quantisation(x, tensor, t);
	return r ? r : tfs_drafts_add(&x->d, t);
}

/* Buffer 0 is empty, for tensors that are computed; and so is that of others. */
static int read_tensor(struct tflite *x, const struct tfs_fb_table *tensor)
{
	struct tfs_draft t = { .at = tensor->at };
	uint64_t buffer;
	int r = tfs_fb_number(&x->fb, tensor, TENSOR_BUFFER, 4, 0, &buffer);

	if (!r && buffer)
		r = find_buffer(x, buffer, tensor->at, &t);
	return r || !t.stored ? r : add_tensor(x, tensor, &t);
}

static int too_many(struct tflite *x, const struct tfs_fb_vector *v, const char *what)
{
	return tfs_error_set(x->fb.err, -EINVAL, v->at, "%" PRIu32 " %s; the limit is %u", v->n, what, TFS_DRAFT_MAX_TENSORS);
}

static int read_subgraph(struct tflite *x, const struct tfs_fb_table *subgraph, uint64_t *total)
{
	struct tfs_fb_vector tensors;
	struct tfs_fb_table tensor;
	int r = tfs_fb_vector(&x->fb, subgraph, SUBGRAPH_TENSORS, 4, &tensors);

	if (r < 0)
		return r;
	r = 0;
	*total += tensors.n; /* computed ones, too */
	if (*total > 4 * (uint64_t)TFS_DRAFT_MAX_TENSORS)
		return too_many(x, &tensors, "tensors in a subgraph, and others in those before it");
	for (uint32_t i = 0; i < tensors.n && !r; i++) {
		r = tfs_share_scratch(x->fb.in->share, 0);
		if (!r)
			r = tfs_fb_element_table(&x->fb, &tensors, i, &tensor);
		if (!r)
			r = read_tensor(x, &tensor);
	}
	return r;
}

static int read_model(struct tflite *x)
{
	struct tfs_fb_table model, subgraph;
	struct tfs_fb_vector subgraphs;
	uint64_t total = 0;
	int r = tfs_fb_table_at(&x->fb, 0, &model);

	if (!r)
		r = tfs_fb_vector(&x->fb, &model, MODEL_BUFFERS, 4, &x->buffers);
	if (r >= 0)
		r = tfs_fb_vector(&x->fb, &model, MODEL_SUBGRAPHS, 4, &subgraphs);
	if (r < 0)
		return r;
	r = 0;
	if (subgraphs.n > TFS_DRAFT_MAX_TENSORS)
		return too_many(x, &subgraphs, "subgraphs");
	for (uint32_t i = 0; i < subgraphs.n && !r; i++) {
		r = tfs_fb_element_table(&x->fb, &subgraphs, i, &subgraph);
		if (!r)
			r = read_subgraph(x, &subgraph, &total);
	}
	return r ? r : tfs_drafts_catalog(&x->d);
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct tflite *x = calloc(1, sizeof *x);
	char identifier[4];
	int r;

	(void)file_name;
	if (!x)
		return -ENOMEM;
	tfs_fb_init(&x->fb, in, err);
	tfs_drafts_init(&x->d, in, catalog, err);
	r = tfs_fb_copy(&x->fb, 4, identifier, sizeof identifier);
	if (!r && memcmp(identifier, IDENTIFIER, sizeof identifier) != 0)
		r = tfs_error_set(err, -EINVAL, 4, "isn't a TensorFlow Lite model: its identifier isn't " IDENTIFIER);
	if (!r)
		r = read_model(x);
	tfs_drafts_fini(&x->d);
	free(x->numbers);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

const struct tfs_format tfs_format_tflite = {
	.name = "tflite",
	.what = "a TensorFlow Lite model",
	.extensions = (const char *const[]){ ".tflite", NULL },
	.recognises = recognises,
	.parse = parse,
};
