/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/show/impl.h"
#include "content/values.h"

/* How an element becomes text, or JSON: @p is little-endian, at any address. */
typedef void put_fn(const uint8_t *p, char *buf, size_t size);

enum { NUMBER_SIZE = 40 };

static void put_unsigned(const uint8_t *p, unsigned width, char *buf, size_t size)
{
	uint64_t v = 0;

	for (unsigned i = width; i--;)
		v = v << 8 | p[i];
	snprintf(buf, size, "%" PRIu64, v);
}

static void put_signed(const uint8_t *p, unsigned width, char *buf, size_t size)
{
	uint64_t v = p[width - 1] & 0x80 ? UINT64_MAX : 0;

	for (unsigned i = width; i--;)
		v = v << 8 | p[i];
	snprintf(buf, size, "%" PRId64, (int64_t)v);
}

static void put_u8(const uint8_t *p, char *buf, size_t size)
{
	put_unsigned(p, 1, buf, size);
}

static void put_u16(const uint8_t *p, char *buf, size_t size)
{
	put_unsigned(p, 2, buf, size);
}

static void put_u32(const uint8_t *p, char *buf, size_t size)
{
	put_unsigned(p, 4, buf, size);
}

static void put_u64(const uint8_t *p, char *buf, size_t size)
{
	put_unsigned(p, 8, buf, size);
}

static void put_i8(const uint8_t *p, char *buf, size_t size)
{
	put_signed(p, 1, buf, size);
}

static void put_i16(const uint8_t *p, char *buf, size_t size)
{
	put_signed(p, 2, buf, size);
}

static void put_i32(const uint8_t *p, char *buf, size_t size)
{
	put_signed(p, 4, buf, size);
}

static void put_i64(const uint8_t *p, char *buf, size_t size)
{
	put_signed(p, 8, buf, size);
}

static void put_bool(const uint8_t *p, char *buf, size_t size)
{
	snprintf(buf, size, "%s", *p ? "true" : "false");
}

/* The fewest digits from which the same number is read. */
static void put_f64(const uint8_t *p, char *buf, size_t size)
{
	double v;

	memcpy(&v, p, sizeof v);
	/* 15 digits, without zeros at the end, are the fewest unless it is subnormal. */
	for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(buf, size, "%.*g", digits, v);
		if (strtod(buf, NULL) == v || !isfinite(v))
			break;
	}
}

static void put_f32(const uint8_t *p, char *buf, size_t size)
{
	float v;

	memcpy(&v, p, sizeof v);
	for (int digits = fabsf(v) < FLT_MIN ? 1 : 6; digits <= 9; digits++) {
		snprintf(buf, size, "%.*g", digits, (double)v);
		if (strtof(buf, NULL) == v || !isfinite(v))
			break;
	}
}

/* What float32 might not show exactly, or would show as something else; all else is printed by value. */
static const struct {
	const char *dtype;
	unsigned width;
	put_fn *put;
} exact[] = {
	{ "BOOL", 1, put_bool }, { "U8", 1, put_u8 },	{ "I8", 1, put_i8 },   { "U16", 2, put_u16 }, { "I16", 2, put_i16 },
	{ "U32", 4, put_u32 },	 { "I32", 4, put_i32 }, { "U64", 8, put_u64 }, { "I64", 8, put_i64 }, { "F64", 8, put_f64 },
};

struct elements {
	struct tfs_stream *stream;
	const struct tfs_tensor *t;
	const struct tfs_slice *slice;
	uint64_t prefix;
	unsigned width;
	put_fn *put;
	unsigned row, matrix; /* the last dimension that isn't an index, and the one before it; ndim: there is none */
	bool any;	      /* something was printed */
};

static void append(json_t *array, const char *text, bool is_float)
{
	char *end;
	const double v = strtod(text, &end);

	if (!strcmp(text, "true") || !strcmp(text, "false"))
		json_array_append_new(array, json_boolean(text[0] == 't'));
	else if (!is_float && text[0] == '-')
		json_array_append_new(array, json_integer(strtoll(text, NULL, 10)));
	else if (!is_float && strtoull(text, NULL, 10) <= INT64_MAX)
		json_array_append_new(array, json_integer((json_int_t)strtoull(text, NULL, 10)));
	else if (isfinite(v) && !*end && is_float)
		json_array_append_new(array, json_real(v));
	else /* what JSON has no number for */
		json_array_append_new(array, json_string(text));
}

/* @n elements: number @from of the tensor, and then every @step-th, backwards if it is negative. */
static int put_row(struct elements *e, uint64_t from, int64_t step, uint64_t n, json_t *json)
{
	enum { PIECE = 64 << 10 };
	const uint64_t stride = (uint64_t)(step < 0 ? -step : step);
	/* As many at a time as fit in the buffer with what is between them. */
	const uint64_t fit = (PIECE / e->width - 1) / stride + 1;
	cleanup_free uint8_t *buf = malloc(PIECE);
	char text[NUMBER_SIZE];

	if (!buf)
		return -ENOMEM;
	for (uint64_t i = 0; i < n;) {
		const uint64_t count = n - i < fit ? n - i : fit, span = (count - 1) * stride + 1;
		const uint64_t at = step < 0 ? from - (i + count - 1) * stride : from + i * stride;
		int r = tfs_stream_pread(e->stream, buf, span * e->width, e->prefix + at * e->width);

		if (r)
			return r;
		for (uint64_t k = 0; k < count; k++) {
			e->put(buf + (step < 0 ? span - 1 - k * stride : k * stride) * e->width, text, sizeof text);
			if (json)
				append(json, text, e->put == put_f32 || e->put == put_f64);
			else
				printf("%s%s", i + k ? " " : "", text);
		}
		i += count;
	}
	if (!json)
		putchar('\n');
	e->any = true;
	return 0;
}

/* Elements from one dimension to the next. */
static uint64_t stride_of(const struct elements *e, unsigned dim)
{
	uint64_t stride = 1;

	for (unsigned i = dim + 1; i < e->slice->ndim; i++)
		stride *= e->t->shape[i];
	return stride;
}

/* What is chosen from dimension @dim on, of the part of the tensor that begins at element @from. Appended to the array @json, or NULL. */
static int put_dim(struct elements *e, unsigned dim, uint64_t from, json_t *json)
{
	const struct tfs_slice_dim *d = &e->slice->dims[dim];

	if (dim == e->slice->ndim)
		return put_row(e, from, 1, 1, json);
	const uint64_t stride = stride_of(e, dim);
	from += d->first * stride;
	if (d->index)
		return put_dim(e, dim + 1, from, json);
	json_t *inner = json ? json_array() : NULL;
	if (json)
		json_array_append_new(json, inner);
	if (dim == e->row) {
		for (unsigned i = dim + 1; i < e->slice->ndim; i++)
			from += e->slice->dims[i].first * stride_of(e, i);
		/* A step over nothing may be as large as it likes. */
		return put_row(e, from, d->count > 1 ? d->step * (int64_t)stride : 1, d->count, inner);
	}
	if (!json && dim == e->matrix && e->any)
		putchar('\n');
	for (uint64_t i = 0; i < d->count; i++) {
		const uint64_t more = i * (uint64_t)(d->step < 0 ? -d->step : d->step) * stride;
		int r = put_dim(e, dim + 1, d->step < 0 ? from - more : from + more, inner);
		if (r)
			return r;
	}
	return 0;
}

int tfs_show_elements(const struct tfs_model *model, struct tfs_loader *loader, struct tfs_item item, const struct tfs_slice *slice,
		      json_t *json)
{
	struct elements e = { .t = tfs_item_tensor(model, item), .slice = slice, .width = sizeof(float), .put = put_f32 };
	struct tfs_file_id id = { item.set, item.tensor, TFS_F32 };

	for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
		if (!strcmp(exact[i].dtype, e.t->dtype->name)) {
			e.width = exact[i].width;
			e.put = exact[i].put;
			id.view = TFS_RAW;
		}
	if (id.view == TFS_F32 && !tfs_has_values(e.t))
		return -EOPNOTSUPP;
	if (!tfs_slice_count(slice))
		return 0;
	e.prefix = tfs_file_layout(model, id).prefix;
	e.row = e.matrix = slice->ndim;
	for (unsigned i = 0; i < slice->ndim; i++)
		if (!slice->dims[i].index) {
			e.matrix = e.row;
			e.row = i;
		}
	e.stream = tfs_stream_open(tfs_loader_streams(loader), id);
	if (!e.stream)
		return -ENOMEM;
	int r = put_dim(&e, 0, 0, json);
	tfs_stream_close(e.stream);
	return r;
}
