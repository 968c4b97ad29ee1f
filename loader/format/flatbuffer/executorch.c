/* SPDX-License-Identifier: MIT */
/*
 * ExecuTorch: programs (.pte; schema/program.fbs, schema/extended_header.h) and their external tensors (.ptd;
 * extension/flat_tensor/serialize/flat_tensor.fbs). A flatbuffer, and after it segments with the data.
 *
 * A program has few names. Its tensors are called by that if they have one; else constant.N and mutable.N, N being the number of their
 * data. Named data are called by their key; in a program they have no type, and are shown as bytes. What a delegate has compiled in is in
 * its own format, and isn't shown.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/scan.h"
#include "format/draft.h"
#include "format/flatbuffer/reader.h"
#include "format/format.h"
#include "storage/storage.h"

/* The relevant fields, by TABLE_FIELD. */
enum {
	PROGRAM_PLANS = 1,
	PROGRAM_CONSTANT_BUFFER = 2,
	PROGRAM_SEGMENTS = 4,
	PROGRAM_CONSTANT_SEGMENT = 5,
	PROGRAM_MUTABLE_SEGMENTS = 6,
	PROGRAM_NAMED_DATA = 7,
	FLAT_SEGMENTS = 1,
	FLAT_NAMED_DATA = 2,
	PLAN_VALUES = 2,
	PLAN_DELEGATES = 7,
	VALUE_TYPE = 0,
	VALUE = 1,
	TENSOR_TYPE = 0,
	TENSOR_STORAGE_OFFSET = 1,
	TENSOR_SIZES = 2,
	TENSOR_DIM_ORDER = 3,
	TENSOR_DATA = 5,
	TENSOR_ALLOCATION = 6,
	TENSOR_EXTRA = 9,
	EXTRA_SEGMENT = 0,
	EXTRA_NAME = 1,
	EXTRA_LOCATION = 2,
	NAMED_KEY = 0,
	NAMED_SEGMENT = 1,
	NAMED_LAYOUT = 2,
	LAYOUT_TYPE = 0,
	LAYOUT_SIZES = 1,
	LAYOUT_DIM_ORDER = 2,
	SEGMENT_OFFSET = 0,
	SEGMENT_SIZE = 1,
	SUBSEGMENTS_SEGMENT = 0,
	SUBSEGMENTS_OFFSETS = 1,
	BUFFER_STORAGE = 0,
	DELEGATE_ID = 0,
};

enum { VALUE_IS_TENSOR = 5, LOCATION_EXTERNAL = 1 };

/* After the identifier: a magic, a length, and numbers of 8 bytes. */
enum { HEADER = 8, HEADER_NUMBERS = HEADER + 8, PROGRAM_BASE = HEADER_NUMBERS + 8, FLAT_BASE = HEADER_NUMBERS + 16 };

/* schema/scalar_type.fbs. Quantised types are missing: what they mean is in the program's operators. */
static const char *const type_names[] = {
	[0] = "U8",	      [1] = "I8",	    [2] = "I16",   [3] = "I32",	  [4] = "I64",	    [5] = "F16",
	[6] = "F32",	      [7] = "F64",	    [11] = "BOOL", [15] = "BF16", [23] = "F8_E5M2", [24] = "F8_E4M3",
	[25] = "F8_E5M2FNUZ", [26] = "F8_E4M3FNUZ", [27] = "U16",  [28] = "U32",  [29] = "U64",
};

/* Values of a plan, most of which have no data. */
#define MAX_VALUES (4u * TFS_DRAFT_MAX_TENSORS)

struct program {
	struct tfs_fb fb;
	struct tfs_drafts d;
	uint64_t base; /* of segments */
	struct tfs_fb_vector segments;
	struct tfs_fb_vector buffers;  /* of old programs: constants in the flatbuffer itself */
	struct tfs_fb_table constants; /* subsegments, if there are no buffers */
	bool has_constants;
	struct tfs_fb_vector mutables;
	uint64_t *seen; /* by number of a constant: what the first tensor with these data is, of 0 if there was none */
	size_t n_seen;
	uint64_t n_values;
	size_t n_delegates;
	char delegate[64]; /* the first one */
	char name[TFS_DRAFT_MAX_NAME];
	uint64_t shape[TFS_MAX_DIMS], strides[TFS_MAX_DIMS];
};

/* --- Where data are -------------------------------------------------------------------------------------------------- */

/* Segment @i: where in the file it begins, and its bytes, all of which are in the file. */
static int find_segment(struct program *p, uint64_t i, uint64_t at, uint64_t *ret_at, uint64_t *ret_size)
{
	struct tfs_fb_table segment;
	uint64_t end;
	int r;

	if (i >= p->segments.n)
		return tfs_error_set(p->fb.err, -EINVAL, at, "data in segment %" PRIu64 ", of %" PRIu32, i, p->segments.n);
	r = tfs_fb_element_table(&p->fb, &p->segments, i, &segment);
	if (!r)
		r = tfs_fb_number(&p->fb, &segment, SEGMENT_OFFSET, 8, 0, ret_at);
	if (!r)
		r = tfs_fb_number(&p->fb, &segment, SEGMENT_SIZE, 8, 0, ret_size);
	if (r)
		return r;
	if (ckd_add(ret_at, *ret_at, p->base) || ckd_add(&end, *ret_at, *ret_size) || end > p->fb.in->size)
		return tfs_error_set(p->fb.err, -EINVAL, segment.at,
				     "segment %" PRIu64 ", of %" PRIu64
				     " bytes, goes on past the end of the file, at byte %" PRIu64,
				     i, *ret_size, p->fb.in->size);
	return 0;
}

/* Data number @i of @parts of a segment: where they begin, and how many bytes there are at most. */
static int find_part(struct program *p, const struct tfs_fb_table *parts, uint64_t i, uint64_t at, uint64_t *ret_at,
		     uint64_t *ret_room)
{
	struct tfs_fb_vector offsets;
	uint64_t segment, offset;
	int r = tfs_fb_number(&p->fb, parts, SUBSEGMENTS_SEGMENT, 4, 0, &segment);

	if (!r)
		r = tfs_fb_vector(&p->fb, parts, SUBSEGMENTS_OFFSETS, 8, &offsets);
	if (r < 0)
		return r;
	if (i >= offsets.n)
		return tfs_error_set(p->fb.err, -EINVAL, at, "a tensor with data number %" PRIu64 ", of %" PRIu32, i, offsets.n);
	r = tfs_fb_element(&p->fb, &offsets, i, 8, &offset);
	if (!r)
		r = find_segment(p, segment, at, ret_at, ret_room);
	if (r)
		return r;
	if (offset > *ret_room)
		return tfs_error_set(p->fb.err, -EINVAL, parts->at,
				     "data number %" PRIu64 " at %" PRIu64 " of a segment of %" PRIu64 " bytes", i, offset,
				     *ret_room);
	*ret_at += offset;
	*ret_room -= offset;
	return 0;
}

static int find_constant(struct program *p, uint64_t i, uint64_t at, uint64_t *ret_at, uint64_t *ret_room)
{
	struct tfs_fb_table buffer;
	struct tfs_fb_vector data;
	int r;

	if (!p->buffers.n && p->has_constants)
		return find_part(p, &p->constants, i, at, ret_at, ret_room);
	if (i >= p->buffers.n)
		return tfs_error_set(p->fb.err, -EINVAL, at, "a tensor with data number %" PRIu64 ", of %" PRIu32, i, p->buffers.n);
	r = tfs_fb_element_table(&p->fb, &p->buffers, i, &buffer);
	if (!r)
		r = tfs_fb_vector(&p->fb, &buffer, BUFFER_STORAGE, 1, &data);
	*ret_at = data.at;
	*ret_room = data.n;
	return r < 0 ? r : 0;
}

/* --- What they are --------------------------------------------------------------------------------------------------- */

/* The string @v into @name, for @t. */
static int read_name(struct program *p, const struct tfs_fb_vector *v, struct tfs_draft *t)
{
	if (v->n > sizeof p->name)
		return tfs_error_set(p->fb.err, -EINVAL, v->at, "the name of a tensor has %" PRIu32 " bytes; the limit is %zu",
				     v->n, sizeof p->name);
	t->name = p->name;
	t->name_len = v->n;
	return tfs_fb_copy(&p->fb, v->at, p->name, v->n);
}

/* Bytes from an element to the next along each dimension, of which @order is that of the file, slowest first. False: it isn't an order. */
static int read_order(struct program *p, const struct tfs_fb_vector *order, struct tfs_draft *t, bool *ret_ok)
{
	uint64_t seen = 0, step = t->dtype->block_bytes, dim = 0;
	bool plain = true;
	int r = 0;

	*ret_ok = !order->n || order->n == t->ndim;
	for (uint32_t i = *ret_ok ? order->n : 0; i-- && !r && *ret_ok;) {
		r = tfs_fb_element(&p->fb, order, i, 1, &dim);
		*ret_ok = !r && dim < t->ndim && !(seen & 1ull << dim);
		if (!*ret_ok)
			break;
		seen |= 1ull << dim;
		plain &= dim == i;
		p->strides[dim] = step;
		if (ckd_mul(&step, step, p->shape[dim]))
			step = 0; /* the shape is refused for it */
	}
	if (!plain)
		t->strides = p->strides;
	return r;
}

/* Shape, type and order of @t, from fields of @table. *@ret_wrong: why it can't be shown; or NULL. */
static int read_layout(struct program *p, const struct tfs_fb_table *table, unsigned type_field, unsigned sizes_field,
		       unsigned order_field, struct tfs_draft *t, const char **ret_wrong)
{
	struct tfs_fb_vector sizes, order;
	uint64_t type;
	bool ok = true;
	int r = tfs_fb_number(&p->fb, table, type_field, 1, 0, &type);

	*ret_wrong = NULL;
	if (!r)
		r = tfs_fb_vector(&p->fb, table, sizes_field, 4, &sizes);
	if (r >= 0)
		r = tfs_fb_vector(&p->fb, table, order_field, 1, &order);
	if (r < 0)
		return r;
	r = 0;
	t->ndim = sizes.n;
	t->shape = p->shape;
	for (uint32_t i = 0; i < sizes.n && i < TFS_MAX_DIMS && !r; i++) {
		r = tfs_fb_element(&p->fb, &sizes, i, 4, &p->shape[i]);
		ok &= p->shape[i] <= INT32_MAX;
	}
	if (r)
		return r;
	if (type >= sizeof type_names / sizeof *type_names || !type_names[type])
		*ret_wrong = "a type that tensorfs doesn't know";
	else if (!ok)
		*ret_wrong = "a negative dimension";
	else if (sizes.n > TFS_MAX_DIMS)
		*ret_wrong = "more than 64 dimensions";
	if (*ret_wrong)
		return 0;
	t->dtype = tfs_dtype_by_name(type_names[type], strlen(type_names[type]));
	r = read_order(p, &order, t, &ok);
	if (!ok)
		*ret_wrong = "dimensions in an order that isn't one";
	return r;
}

/* @t, which has at most @room bytes. */
static int add(struct program *p, struct tfs_draft *t, uint64_t room, const char *wrong)
{
	if (wrong)
		return tfs_drafts_leave_out(&p->d, t, "%s", wrong);
	if (!tfs_dtype_nbytes(t->dtype, t->shape, t->ndim, &t->stored) && t->stored > room)
		return tfs_drafts_leave_out(&p->d, t, "%" PRIu64 " bytes, but its data have %" PRIu64, t->stored, room);
	return tfs_drafts_add(&p->d, t);
}

/* --- Tensors of a program -------------------------------------------------------------------------------------------- */

/* What tensor @t is, for finding equal ones. Never 0. */
static uint64_t kind_of(const struct tfs_draft *t)
{
	uint64_t h = 14695981039346656037u ^ (t->dtype ? tfs_dtype_index(t->dtype) : 99); /* FNV-1a */

	for (unsigned i = 0; i < t->ndim && i < TFS_MAX_DIMS; i++)
		h = (h ^ t->shape[i]) * 1099511628211u;
	return (h * 1099511628211u + t->ndim) | 1;
}

/* Has another plan that tensor, too? */
static bool is_again(struct program *p, uint64_t i, const struct tfs_draft *t)
{
	const uint64_t kind = kind_of(t);

	if (i >= p->n_seen || p->seen[i] == kind)
		return i < p->n_seen;
	if (!p->seen[i])
		p->seen[i] = kind;
	return false;
}

struct place {
	uint64_t data, segment, location;
	bool is_mutable, named;
};

static int read_place(struct program *p, const struct tfs_fb_table *tensor, struct place *place, struct tfs_draft *t)
{
	struct tfs_fb_table extra, allocation;
	struct tfs_fb_vector name;
	int r = tfs_fb_number(&p->fb, tensor, TENSOR_DATA, 4, 0, &place->data);

	if (!r)
		r = tfs_fb_table(&p->fb, tensor, TENSOR_ALLOCATION, &allocation);
	if (r < 0)
		return r;
	place->is_mutable = r;
	r = tfs_fb_table(&p->fb, tensor, TENSOR_EXTRA, &extra);
	if (r <= 0)
		return r;
	r = tfs_fb_number(&p->fb, &extra, EXTRA_SEGMENT, 8, 0, &place->segment);
	if (!r)
		r = tfs_fb_number(&p->fb, &extra, EXTRA_LOCATION, 1, 0, &place->location);
	if (!r)
		r = tfs_fb_vector(&p->fb, &extra, EXTRA_NAME, 1, &name);
	if (r <= 0)
		return r;
	place->named = name.n;
	return read_name(p, &name, t);
}

static int find_data(struct program *p, const struct place *place, struct tfs_draft *t, uint64_t *ret_room)
{
	struct tfs_fb_table parts;
	int r;

	if (!place->is_mutable)
		return find_constant(p, place->data, t->at, &t->offset, ret_room);
	if (place->segment >= p->mutables.n)
		return tfs_error_set(p->fb.err, -EINVAL, t->at, "a tensor in mutable segment %" PRIu64 ", of %" PRIu32,
				     place->segment, p->mutables.n);
	r = tfs_fb_element_table(&p->fb, &p->mutables, place->segment, &parts);
	return r ? r : find_part(p, &parts, place->data, t->at, &t->offset, ret_room);
}

/* One without data is an input, or is computed; or is in another file. */
static int read_tensor(struct program *p, const struct tfs_fb_table *tensor)
{
	struct tfs_draft t = { .at = tensor->at };
	struct place place = { 0 };
	uint64_t room, skipped;
	const char *wrong;
	int r = read_place(p, tensor, &place, &t);

	if (r || !place.data || place.location == LOCATION_EXTERNAL)
		return r;
	r = read_layout(p, tensor, TENSOR_TYPE, TENSOR_SIZES, TENSOR_DIM_ORDER, &t, &wrong);
	if (!r)
		r = tfs_fb_number(&p->fb, tensor, TENSOR_STORAGE_OFFSET, 4, 0, &skipped);
	if (!r)
		r = find_data(p, &place, &t, &room);
	if (r)
		return r;
	if (!place.is_mutable && is_again(p, place.data, &t))
		return 0;
	if (!place.named) {
		t.name = p->name;
		t.name_len = snprintf(p->name, sizeof p->name, "%s.%" PRIu64, place.is_mutable ? "mutable" : "constant",
				      place.data);
	}
	return add(p, &t, room, skipped ? "a storage offset" : wrong);
}

static int read_value(struct program *p, const struct tfs_fb_table *value)
{
	struct tfs_fb_table tensor;
	uint64_t type;
	int r = tfs_fb_number(&p->fb, value, VALUE_TYPE, 1, 0, &type);

	if (r || type != VALUE_IS_TENSOR)
		return r;
	r = tfs_fb_table(&p->fb, value, VALUE, &tensor);
	return r > 0 ? read_tensor(p, &tensor) : r;
}

static int note_delegates(struct program *p, const struct tfs_fb_table *plan)
{
	struct tfs_fb_vector delegates, id;
	struct tfs_fb_table first;
	int r = tfs_fb_vector(&p->fb, plan, PLAN_DELEGATES, 4, &delegates);

	if (r <= 0 || !delegates.n)
		return r < 0 ? r : 0;
	if (!p->n_delegates) {
		r = tfs_fb_element_table(&p->fb, &delegates, 0, &first);
		if (!r)
			r = tfs_fb_vector(&p->fb, &first, DELEGATE_ID, 1, &id);
		if (r >= 0)
			r = tfs_fb_copy(&p->fb, id.at, p->delegate, id.n < sizeof p->delegate ? id.n : sizeof p->delegate - 1);
	}
	p->n_delegates += delegates.n;
	return r;
}

static int read_plan(struct program *p, const struct tfs_fb_table *plan)
{
	struct tfs_fb_vector values;
	struct tfs_fb_table value;
	int r = note_delegates(p, plan);

	if (!r)
		r = tfs_fb_vector(&p->fb, plan, PLAN_VALUES, 4, &values);
	if (r < 0)
		return r;
	r = 0;
	p->n_values += values.n;
	if (p->n_values > MAX_VALUES)
		return tfs_error_set(p->fb.err, -EINVAL, values.at, "more than %u values", MAX_VALUES);
	for (uint32_t i = 0; i < values.n && !r; i++) {
		r = tfs_share_scratch(p->fb.in->share, 0);
		if (!r)
			r = tfs_fb_element_table(&p->fb, &values, i, &value);
		if (!r)
			r = read_value(p, &value);
	}
	return r;
}

/* --- Named data ------------------------------------------------------------------------------------------------------ */

static int read_named(struct program *p, const struct tfs_fb_table *named)
{
	struct tfs_draft t = { .at = named->at, .dtype = tfs_dtype_by_name("U8", 2), .shape = p->shape, .ndim = 1 };
	struct tfs_fb_vector key;
	struct tfs_fb_table layout;
	const char *wrong = NULL;
	uint64_t segment, room;
	int r = tfs_fb_vector(&p->fb, named, NAMED_KEY, 1, &key);

	if (r >= 0)
		r = read_name(p, &key, &t);
	if (!r)
		r = tfs_fb_number(&p->fb, named, NAMED_SEGMENT, 4, 0, &segment);
	if (!r)
		r = find_segment(p, segment, named->at, &t.offset, &room);
	if (r)
		return r;
	p->shape[0] = room;
	r = tfs_fb_table(&p->fb, named, NAMED_LAYOUT, &layout);
	if (r > 0)
		r = read_layout(p, &layout, LAYOUT_TYPE, LAYOUT_SIZES, LAYOUT_DIM_ORDER, &t, &wrong);
	return r < 0 ? r : add(p, &t, room, wrong);
}

static int read_named_data(struct program *p, const struct tfs_fb_table *of, unsigned field)
{
	struct tfs_fb_vector all;
	struct tfs_fb_table named;
	int r = tfs_fb_vector(&p->fb, of, field, 4, &all);

	if (r < 0)
		return r;
	r = 0;
	for (uint32_t i = 0; i < all.n && !r; i++) {
		r = tfs_fb_element_table(&p->fb, &all, i, &named);
		if (!r)
			r = read_named(p, &named);
	}
	return r;
}

/* --- Files ----------------------------------------------------------------------------------------------------------- */

/* Where the segments begin, if the file has a header with that @magic; that number is at @base_at. */
static int read_header(struct program *p, const char magic[4], uint64_t base_at)
{
	uint64_t base = 0;
	char have[4] = "";
	int r = tfs_fb_copy(&p->fb, HEADER, have, sizeof have);

	if (!r && !memcmp(have, magic, sizeof have))
		r = tfs_fb_copy(&p->fb, base_at, &base, sizeof base);
	p->base = le64toh(base);
	return r;
}

static int make_seen(struct program *p)
{
	struct tfs_fb_vector offsets = p->buffers;
	int r = p->has_constants ? tfs_fb_vector(&p->fb, &p->constants, SUBSEGMENTS_OFFSETS, 8, &offsets) : 0;

	if (r < 0)
		return r;
	p->n_seen = offsets.n > p->buffers.n ? offsets.n : p->buffers.n;
	if (p->n_seen > TFS_DRAFT_MAX_TENSORS)
		return tfs_error_set(p->fb.err, -EINVAL, offsets.at, "more than %u constants", TFS_DRAFT_MAX_TENSORS);
	p->seen = tfs_share_scratch(p->fb.in->share, p->n_seen * sizeof *p->seen) ? NULL : calloc(p->n_seen + 1, sizeof *p->seen);
	return p->seen ? 0 : -ENOMEM;
}

static int read_program(struct program *p)
{
	struct tfs_fb_table program, plan;
	struct tfs_fb_vector plans;
	size_t n, n_left_out;
	int r = read_header(p, "eh00", PROGRAM_BASE);

	if (!r)
		r = tfs_fb_table_at(&p->fb, 0, &program);
	if (!r)
		r = tfs_fb_vector(&p->fb, &program, PROGRAM_SEGMENTS, 4, &p->segments);
	if (r >= 0)
		r = tfs_fb_vector(&p->fb, &program, PROGRAM_CONSTANT_BUFFER, 4, &p->buffers);
	if (r >= 0)
		r = tfs_fb_vector(&p->fb, &program, PROGRAM_MUTABLE_SEGMENTS, 4, &p->mutables);
	if (r >= 0)
		r = tfs_fb_table(&p->fb, &program, PROGRAM_CONSTANT_SEGMENT, &p->constants);
	p->has_constants = r > 0;
	if (r >= 0)
		r = make_seen(p);
	if (!r)
		r = tfs_fb_vector(&p->fb, &program, PROGRAM_PLANS, 4, &plans);
	if (r < 0)
		return r;
	r = 0;
	for (uint32_t i = 0; i < plans.n && !r; i++) {
		r = tfs_fb_element_table(&p->fb, &plans, i, &plan);
		if (!r)
			r = read_plan(p, &plan);
	}
	if (!r)
		r = read_named_data(p, &program, PROGRAM_NAMED_DATA);
	if (!r)
		r = tfs_drafts_catalog(&p->d);
	if (r || !p->n_delegates)
		return r;
	tfs_catalog_tensors(p->d.catalog, &n);
	tfs_catalog_left_out(p->d.catalog, &n_left_out);
	if (n || n_left_out)
		return 0;
	char quoted[TFS_QUOTE_SIZE];
	return tfs_error_set(p->fb.err, -EINVAL, TFS_NO_OFFSET,
			     "is an ExecuTorch program without tensors of its own: its weights, if it has any, are in what its %zu "
			     "%s compiled (%s)",
			     p->n_delegates, p->n_delegates == 1 ? "delegate" : "delegates",
			     tfs_quote(quoted, sizeof quoted, p->delegate, strlen(p->delegate)));
}

static int read_flat(struct program *p)
{
	struct tfs_fb_table flat;
	int r = read_header(p, "FH01", FLAT_BASE);

	if (!r)
		r = tfs_fb_table_at(&p->fb, 0, &flat);
	if (!r)
		r = tfs_fb_vector(&p->fb, &flat, FLAT_SEGMENTS, 4, &p->segments);
	if (r >= 0)
		r = read_named_data(p, &flat, FLAT_NAMED_DATA);
	return r ? r : tfs_drafts_catalog(&p->d);
}

/* An identifier's two digits are its version. */
static bool has_identifier(const char have[4], const char *begin)
{
	return !memcmp(have, begin, 2) && have[2] >= '0' && have[2] <= '9' && have[3] >= '0' && have[3] <= '9';
}

static int parse(const struct tfs_input *in, const char *file_name, struct tfs_catalog *catalog, struct tfs_error *err)
{
	cleanup_free struct program *p = calloc(1, sizeof *p);
	char identifier[4] = "";
	int r;

	(void)file_name;
	if (!p)
		return -ENOMEM;
	tfs_fb_init(&p->fb, in, err);
	tfs_drafts_init(&p->d, in, catalog, err);
	r = tfs_fb_copy(&p->fb, 4, identifier, sizeof identifier);
	if (!r && has_identifier(identifier, "ET"))
		r = read_program(p);
	else if (!r && has_identifier(identifier, "FT"))
		r = read_flat(p);
	else if (!r)
		r = tfs_error_set(err, -EINVAL, 4, "isn't a file of ExecuTorch: its identifier is neither ET12 nor FT01");
	tfs_drafts_fini(&p->d);
	free(p->seen);
	if (r == -ENOMEM && !err->code)
		tfs_error_set(err, r, TFS_NO_OFFSET, "no memory for its tensors");
	return r;
}

static bool recognises(const struct tfs_sample *s)
{
	const char *identifier = (const char *)s->start + 4;

	return s->len >= 8 && (has_identifier(identifier, "ET") || has_identifier(identifier, "FT"));
}

const struct tfs_format tfs_format_executorch = {
	.name = "executorch",
	.what = "an ExecuTorch program",
	.extensions = (const char *const[]){ ".pte", ".ptd", NULL },
	.recognises = recognises,
	.parse = parse,
};
