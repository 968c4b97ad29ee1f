/* SPDX-License-Identifier: MIT */
/*
 * TensorProto (onnx/onnx.proto), checked as onnx/checker.cc and onnx/numpy_helper.py do together:
 * - data are in one place only: raw_data, or the typed field that the data type calls for, or an external file;
 * - they are as many as the dimensions ask for, no more and no fewer;
 * - a segment of a tensor isn't read, by anybody.
 * A tensor that breaks one of these is left out: it says so itself, and the others are none the worse for it.
 * Of a field that may stand once the last one counts, and pieces of a repeated one are joined, as protobuf has it.
 */
#include "format/onnx/impl.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"

/* Fields of TensorProto. */
enum {
	DIMS = 1,
	DATA_TYPE = 2,
	SEGMENT = 3,
	FLOAT_DATA = 4,
	INT32_DATA = 5,
	STRING_DATA = 6,
	INT64_DATA = 7,
	NAME = 8,
	RAW_DATA = 9,
	DOUBLE_DATA = 10,
	UINT64_DATA = 11,
	EXTERNAL_DATA = 13,
	DATA_LOCATION = 14,
};

enum { LOCATION_DEFAULT, LOCATION_EXTERNAL }; /* TensorProto.DataLocation */

enum { STRING = 8 }; /* TensorProto.DataType */

/*
 * By TensorProto.DataType: our name for it, its typed field, and the bytes of a tensor that each number of that stands for. Two
 * numbers of a complex element, several elements of less than a byte in a number.
 */
static const struct type {
	const char *dtype;
	uint8_t field, width;
} types[] = {
	[1] = { "F32", FLOAT_DATA, 4 },		 [2] = { "U8", INT32_DATA, 1 },		  [3] = { "I8", INT32_DATA, 1 },
	[4] = { "U16", INT32_DATA, 2 },		 [5] = { "I16", INT32_DATA, 2 },	  [6] = { "I32", INT32_DATA, 4 },
	[7] = { "I64", INT64_DATA, 8 },		 [9] = { "BOOL", INT32_DATA, 1 },	  [10] = { "F16", INT32_DATA, 2 },
	[11] = { "F64", DOUBLE_DATA, 8 },	 [12] = { "U32", UINT64_DATA, 4 },	  [13] = { "U64", UINT64_DATA, 8 },
	[14] = { "C64", FLOAT_DATA, 4 },	 [15] = { "C128", DOUBLE_DATA, 8 },	  [16] = { "BF16", INT32_DATA, 2 },
	[17] = { "F8_E4M3", INT32_DATA, 1 },	 [18] = { "F8_E4M3FNUZ", INT32_DATA, 1 }, [19] = { "F8_E5M2", INT32_DATA, 1 },
	[20] = { "F8_E5M2FNUZ", INT32_DATA, 1 }, [21] = { "U4", INT32_DATA, 1 },	  [22] = { "I4", INT32_DATA, 1 },
	[23] = { "F4", INT32_DATA, 1 },		 [24] = { "F8_E8M0", INT32_DATA, 1 },	  [25] = { "U2", INT32_DATA, 1 },
	[26] = { "I2", INT32_DATA, 1 },
};

/* The typed fields. */
static const struct data_field {
	const char *name;
	enum tfs_onnx_kind kind;
} data_fields[] = {
	[FLOAT_DATA] = { "float_data", TFS_ONNX_FLOAT },
	[INT32_DATA] = { "int32_data", TFS_ONNX_INT32 },
	[STRING_DATA] = { .name = "string_data" },
	[INT64_DATA] = { "int64_data", TFS_ONNX_INT64 },
	[RAW_DATA] = { .name = "raw_data" },
	[DOUBLE_DATA] = { "double_data", TFS_ONNX_DOUBLE },
	[UINT64_DATA] = { "uint64_data", TFS_ONNX_UINT64 },
};

/*
 * Varints from one place where decoding may begin to the next: up to 640 KiB of file for up to 512 KiB of tensor.
 */
#define VARINTS_PER_RUN (64u << 10)

/*
 * Runs in a file, 16 MiB of table. Writers pack numbers, and then there is one for a tensor, or one for 64 Ki varints; only numbers
 * with a tag each, which hardly anybody writes, take one each.
 */
#define MAX_RUNS (1u << 20)

/* What is read of a message while it is. */
struct draft {
	struct tfs_onnx_tensor *t;
	uint32_t type, location;
	uint32_t data; /* the field that has data; 0: none so far */
	struct tfs_pb_field raw;
	struct tfs_pb_field offset, length; /* of external data, as text; number 0: not given */
};

/* --- Errors ------------------------------------------------------------------------------------------------------ */

/* It can't be read, for the reason in @fmt, which byte @at shows. The first reason stays. */
static __attribute__((cold, format(printf, 3, 4))) void leave_out(struct tfs_onnx_tensor *t, uint64_t at, const char *fmt, ...)
{
	va_list ap;

	if (*t->why)
		return;
	t->why_at = at;
	va_start(ap, fmt);
	vsnprintf(t->why, sizeof t->why, fmt, ap);
	va_end(ap);
}

/* --- Numbers ----------------------------------------------------------------------------------------------------- */

void tfs_onnx_values_clear(struct tfs_onnx *o)
{
	o->values.n_segments = 0;
	o->values.count = o->values.end = o->values.most = o->values.most_at = 0;
}

static int add_run(struct tfs_onnx *o, uint64_t offset)
{
	struct tfs_onnx_values *v = &o->values;

	if (o->total_runs == MAX_RUNS)
		return tfs_error_set(o->pb.err, -EINVAL, offset, "the numbers up to here are in more than %u pieces", MAX_RUNS);
	if (tfs_array_room(v->segments, v->n_segments, v->room))
		return -ENOMEM;
	v->segments[v->n_segments++] = (struct tfs_segment){ .offset = offset, .at = v->count };
	o->total_runs++;
	return 0;
}

static int add_fixed(struct tfs_onnx *o, const struct tfs_pb_field *f, uint32_t size)
{
	struct tfs_onnx_values *v = &o->values;
	uint64_t len = size;
	int r = 0;

	if (f->wire == TFS_PB_BYTES)
		len = f->value;
	else
		r = tfs_pb_expect(&o->pb, f, size == 8 ? TFS_PB_FIXED64 : TFS_PB_FIXED32);
	if (r || !len)
		return r;
	if (len % size)
		return tfs_error_set(o->pb.err, -EINVAL, f->tag_at, "field %u: %llu bytes are no whole numbers of %u", f->number,
				     (unsigned long long)len, size);
	r = add_run(o, f->at);
	v->count += len / size;
	v->end = f->at + len;
	return r;
}

/* One more, which is @value on the wire. */
static void count_varint(struct tfs_onnx_values *v, uint64_t value, uint64_t at, enum tfs_onnx_kind kind)
{
	uint64_t need = value;

	if (kind == TFS_ONNX_INT32) { /* of which protobuf takes the low 32 bits */
		int32_t x = (int32_t)(uint32_t)value;

		need = x < 0 ? (uint64_t)(-1 - (int64_t)x) * 2 + 1 : (uint64_t)x;
	}
	if (need > v->most) {
		v->most = need;
		v->most_at = at;
	}
	v->count++;
}

static int add_varints(struct tfs_onnx *o, const struct tfs_pb_field *f, enum tfs_onnx_kind kind)
{
	struct tfs_onnx_values *v = &o->values;
	struct tfs_pb *pb = &o->pb;
	struct tfs_pb_place back;
	uint64_t value;
	int r;

	if (f->wire == TFS_PB_VARINT) {
		r = add_run(o, f->at);
		count_varint(v, f->value, f->at, kind);
		v->end = pb->at;
		return r;
	}
	r = tfs_pb_enter(pb, f, &back);
	if (r)
		return r;
	for (uint64_t n = 0; pb->at < pb->end && !r; n++) {
		uint64_t at = pb->at;

		if (n % VARINTS_PER_RUN == 0)
			r = add_run(o, at);
		if (!r)
			r = tfs_pb_varint(pb, &value);
		if (!r)
			count_varint(v, value, at, kind);
	}
	if (f->value)
		v->end = f->at + f->value;
	tfs_pb_leave(pb, back);
	return r;
}

int tfs_onnx_values_add(struct tfs_onnx *o, const struct tfs_pb_field *f, enum tfs_onnx_kind kind)
{
	switch (kind) {
	case TFS_ONNX_FLOAT:
		return add_fixed(o, f, 4);
	case TFS_ONNX_DOUBLE:
		return add_fixed(o, f, 8);
	default:
		return add_varints(o, f, kind);
	}
}

/* Is each number a piece by itself, and as far from the one before as from the one behind? Then the distance, else 0. */
static uint64_t even_step(const struct tfs_onnx_values *v)
{
	uint64_t step = v->segments[1].offset - v->segments[0].offset;

	if (v->n_segments != v->count)
		return 0;
	for (size_t i = 2; i < v->n_segments; i++)
		if (v->segments[i].offset - v->segments[i - 1].offset != step)
			return 0;
	return step;
}

/* Are there as many of them as the shape asks for, and is each small enough? */
static void check_values(const struct tfs_onnx_values *v, uint32_t width, struct tfs_onnx_tensor *t)
{
	uint64_t have;

	if (tfs_dtype_nbytes_padded(t->dtype, t->dims, t->ndim, &t->nbytes))
		leave_out(t, t->at, "the shape has more bits than 64-bit numbers count");
	else if (ckd_mul(&have, v->count, width) || have != t->nbytes)
		leave_out(t, t->at, "dtype %s and the dimensions ask for %llu bytes, %llu values make %llu", t->dtype->name,
			  (unsigned long long)t->nbytes, (unsigned long long)v->count, (unsigned long long)have);
	else if (width < sizeof v->most && v->most >> 8 * width)
		leave_out(t, v->most_at, "a value that does not fit %u bits", 8 * width);
}

void tfs_onnx_values_tensor(struct tfs_onnx *o, enum tfs_onnx_kind kind, uint32_t width, struct tfs_onnx_tensor *t)
{
	struct tfs_onnx_values *v = &o->values;
	bool fixed = kind == TFS_ONNX_FLOAT || kind == TFS_ONNX_DOUBLE;
	uint64_t step = 0;

	check_values(v, width, t);
	if (*t->why)
		return;
	t->encoding = NULL;
	t->offset = v->n_segments ? v->segments[0].offset : t->at;
	if (!v->n_segments || (fixed && v->n_segments == 1))
		return;
	t->how = (struct tfs_encoding){ .coding = fixed ? TFS_STORED : TFS_VARINT, .length = v->end - t->offset };
	if (fixed && t->dtype->block_bytes == width)
		step = even_step(v);
	if (step) {
		for (unsigned i = t->ndim; i--; step *= t->dims[i]) /* all of them stand in the file, so this does not overflow */
			t->strides[i] = step;
		t->how.strides = t->strides;
	} else {
		if (!fixed)
			t->how.width = (uint8_t)width;
		for (size_t i = 0; i < v->n_segments; i++)
			v->segments[i].at *= width;
		t->how.segments = v->segments;
		t->how.n_segments = v->n_segments;
	}
	t->encoding = &t->how;
}

/* --- External data ----------------------------------------------------------------------------------------------- */

static int read_decimal(struct tfs_onnx *o, const struct draft *d, const char *what, const struct tfs_pb_field *f, uint64_t *ret)
{
	char text[20], quoted[TFS_QUOTE_SIZE]; /* 2^64 has 20 digits */
	uint64_t n = 0;
	bool good = f->value && f->value <= sizeof text;
	size_t len = f->value < sizeof text ? f->value : sizeof text;
	int r = tfs_pb_copy(&o->pb, f, text, len);

	if (r)
		return r;
	for (size_t i = 0; i < len && good; i++)
		good = text[i] >= '0' && text[i] <= '9' && !ckd_mul(&n, n, 10u) && !ckd_add(&n, n, (unsigned)(text[i] - '0'));
	if (!good)
		leave_out(d->t, f->at, "%s %s of external data is no decimal number below 2^64", what,
			  tfs_quote(quoted, sizeof quoted, text, len));
	*ret = n;
	return 0;
}

/*
 * An entry of external_data: key and value, both strings. Keys that nobody knows are read over, as is the checksum. What the values
 * say counts only where the data turn out to be external.
 */
static int read_entry(struct tfs_onnx *o, struct draft *d, const struct tfs_pb_field *entry)
{
	struct tfs_pb_field f, key = { 0 }, value = { 0 };
	char text[8] = "";
	struct tfs_pb_place back;
	int r = tfs_pb_enter(&o->pb, entry, &back);

	if (r)
		return r;
	value.at = entry->at; /* where it is empty and not written */
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		r = tfs_pb_expect(&o->pb, &f, TFS_PB_BYTES);
		if (r)
			return r;
		*(f.number == 1 ? &key : &value) = f;
	}
	tfs_pb_leave(&o->pb, back);
	if (r || key.value > sizeof text)
		return r;
	r = tfs_pb_copy(&o->pb, &key, text, key.value);
	if (r)
		return r;
	if (key.value == 8 && !memcmp(text, "location", 8)) {
		d->t->location = value;
		d->t->location.number = 2;
	} else if (key.value == 6 && !memcmp(text, "offset", 6)) {
		d->offset = value;
		d->offset.number = 2;
	} else if (key.value == 6 && !memcmp(text, "length", 6)) {
		d->length = value;
		d->length.number = 2;
	}
	return 0;
}

/* A path, then; whether it is one of a file is for the model to say. */
static int check_location(struct tfs_onnx *o, struct tfs_onnx_tensor *t)
{
	char location[PATH_MAX];
	uint64_t len = t->location.value;
	int r;

	if (!len) {
		leave_out(t, t->at, "its data are external, but no location says where");
		return 0;
	}
	if (len >= sizeof location) {
		leave_out(t, t->location.at, "the location of its external data has %llu bytes, a path fewer than %d",
			  (unsigned long long)len, PATH_MAX);
		return 0;
	}
	r = tfs_pb_copy(&o->pb, &t->location, location, len);
	if (!r && memchr(location, '\0', len))
		leave_out(t, t->location.at, "the location of its external data has a NUL in it");
	return r;
}

static int finish_external(struct tfs_onnx *o, const struct draft *d)
{
	struct tfs_onnx_tensor *t = d->t;
	uint64_t length = 0;
	int r = d->offset.number ? read_decimal(o, d, "the offset", &d->offset, &t->offset) : 0;

	if (!r && d->length.number)
		r = read_decimal(o, d, "the length", &d->length, &length);
	if (!r)
		r = check_location(o, t);
	/* 0 is as good as none (onnx/external_data_helper.py; onnxruntime, tensorprotoutils.cc). */
	if (!r && length && length != t->nbytes)
		leave_out(t, t->at, "dtype %s and the dimensions ask for %llu bytes, its external data have %llu", t->dtype->name,
			  (unsigned long long)t->nbytes, (unsigned long long)length);
	return r;
}

/* --- The message ------------------------------------------------------------------------------------------------- */

static void add_dim(struct tfs_onnx_tensor *t, uint64_t dim, uint64_t at)
{
	if (dim > INT64_MAX)
		leave_out(t, at, "a negative dimension, %lld", (long long)dim);
	else if (t->ndim == TFS_MAX_DIMS)
		leave_out(t, at, "more than %d dimensions", TFS_MAX_DIMS);
	else
		t->dims[t->ndim++] = dim;
}

static int read_dims(struct tfs_onnx *o, struct tfs_onnx_tensor *t, const struct tfs_pb_field *f)
{
	struct tfs_pb_place back;
	uint64_t dim;
	int r;

	if (f->wire == TFS_PB_VARINT) {
		add_dim(t, f->value, f->tag_at);
		return 0;
	}
	r = tfs_pb_enter(&o->pb, f, &back);
	if (r)
		return r;
	while (o->pb.at < o->pb.end && !r) {
		r = tfs_pb_varint(&o->pb, &dim);
		if (!r)
			add_dim(t, dim, f->tag_at);
	}
	tfs_pb_leave(&o->pb, back);
	return r;
}

static int read_data(struct tfs_onnx *o, struct draft *d, const struct tfs_pb_field *f)
{
	bool single = f->number == RAW_DATA || f->number == STRING_DATA;
	int r = single ? tfs_pb_expect(&o->pb, f, TFS_PB_BYTES) : 0;

	if (r)
		return r;
	/* An empty string is an element, too; else what is empty is as good as not there. */
	if (f->wire == TFS_PB_BYTES && !f->value && f->number != STRING_DATA && d->data != f->number)
		return 0;
	if (d->data && d->data != f->number) {
		leave_out(d->t, f->tag_at, "data in %s and in %s", data_fields[d->data].name, data_fields[f->number].name);
		return 0;
	}
	d->data = f->number;
	d->raw = *f;
	return single ? 0 : tfs_onnx_values_add(o, f, data_fields[f->number].kind);
}

static int read_number(struct tfs_onnx *o, const struct tfs_pb_field *f, uint32_t *ret)
{
	int r = tfs_pb_expect(&o->pb, f, TFS_PB_VARINT);

	if (!r)
		*ret = (uint32_t)f->value; /* an int32 or an enum: the low 32 bits */
	return r;
}

static int read_field(struct tfs_onnx *o, struct draft *d, const struct tfs_pb_field *f)
{
	switch (f->number) {
	case DIMS:
		return read_dims(o, d->t, f);
	case DATA_TYPE:
		return read_number(o, f, &d->type);
	case SEGMENT:
		leave_out(d->t, f->tag_at, "a segment of a tensor, which nobody reads");
		return 0;
	case FLOAT_DATA:
	case INT32_DATA:
	case STRING_DATA:
	case INT64_DATA:
	case RAW_DATA:
	case DOUBLE_DATA:
	case UINT64_DATA:
		return read_data(o, d, f);
	case NAME:
		d->t->name = *f;
		return tfs_pb_expect(&o->pb, f, TFS_PB_BYTES);
	case EXTERNAL_DATA:
		return read_entry(o, d, f);
	case DATA_LOCATION:
		return read_number(o, f, &d->location);
	default:
		return 0;
	}
}

/* Its data are in raw_data, or in the field of its type. */
static void finish_internal(struct tfs_onnx *o, const struct draft *d, const struct type *type)
{
	struct tfs_onnx_tensor *t = d->t;

	t->location.number = 0;
	if (d->data == RAW_DATA) {
		t->offset = d->raw.at;
		if (d->raw.value != t->nbytes)
			leave_out(t, d->raw.tag_at, "dtype %s and the dimensions ask for %llu bytes, raw_data has %llu",
				  type->dtype, (unsigned long long)t->nbytes, (unsigned long long)d->raw.value);
	} else if (d->data && d->data != type->field) {
		leave_out(t, d->raw.tag_at, "%s in %s instead of %s", type->dtype, data_fields[d->data].name,
			  data_fields[type->field].name);
	} else {
		tfs_onnx_values_tensor(o, data_fields[type->field].kind, type->width, t);
	}
}

/* All is read: does it fit together? */
static int finish(struct tfs_onnx *o, const struct draft *d)
{
	struct tfs_onnx_tensor *t = d->t;
	const struct type *type;

	if (d->type == STRING || *t->why)
		return 0;
	type = d->type < sizeof types / sizeof *types ? &types[d->type] : &types[0];
	if (!type->dtype) {
		leave_out(t, t->at, "data type %d, which is not known", (int)d->type);
		return 0;
	}
	t->dtype = tfs_dtype_by_name(type->dtype, strlen(type->dtype));
	if (tfs_dtype_nbytes_padded(t->dtype, t->dims, t->ndim, &t->nbytes))
		leave_out(t, t->at, "the shape has more bits than 64-bit numbers count");
	else if (d->location > LOCATION_EXTERNAL)
		leave_out(t, t->at, "data location %u, which does not exist", d->location);
	else if (d->location == LOCATION_EXTERNAL && d->data)
		leave_out(t, t->at, "data in %s and in an external file", data_fields[d->data].name);
	else if (d->location == LOCATION_EXTERNAL)
		return finish_external(o, d);
	else
		finish_internal(o, d, type);
	return 0;
}

int tfs_onnx_tensor(struct tfs_onnx *o, const struct tfs_pb_field *field, struct tfs_onnx_tensor *t)
{
	struct draft d = { .t = t };
	struct tfs_pb_field f;
	struct tfs_pb_place back;
	int r;

	*t = (struct tfs_onnx_tensor){ .at = field->tag_at };
	tfs_onnx_values_clear(o);
	r = tfs_pb_enter(&o->pb, field, &back);
	if (r)
		return r;
	while ((r = tfs_pb_next(&o->pb, &f)) > 0) {
		r = read_field(o, &d, &f);
		if (r)
			return r;
	}
	tfs_pb_leave(&o->pb, back);
	return r ? r : finish(o, &d);
}
