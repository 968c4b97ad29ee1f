/* SPDX-License-Identifier: MIT */
#include "content/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "content/view.h"
#include "convert/narrow.h"
#include "tensor/scaled.h"

bool tfs_valued(const struct tfs_tensor *t)
{
	const char *name = t->dtype->name;

	return tfs_is_scaled(t) || !t->dtype->safetensors || !strncmp(name, "F8", 2) || !strncmp(name, "F6_", 3) ||
	       !strncmp(name, "F4", 2);
}

bool tfs_has_values(const struct tfs_tensor *t)
{
	return tfs_view_shows(TFS_F32, t);
}

static bool is_turned(const struct tfs_tensor *t)
{
	return tfs_is_scaled(t) && t->encoding->scaled->other_way_round && t->ndim >= 2;
}

uint64_t tfs_values_dim(const struct tfs_tensor *t, unsigned d)
{
	return t->shape[is_turned(t) && d + 2 >= t->ndim ? 2 * t->ndim - 3 - d : d];
}

/* Number of values that are computed at a time. */
enum { PIECE = 256 << 10 };

/* Room for these and the unneeded ones of their first and last blocks of @block; aligned to TFS_IO_ALIGN. */
static float *values_create(uint32_t block)
{
	return aligned_alloc(TFS_IO_ALIGN, (((size_t)PIECE + 2 * block) * sizeof(float) / TFS_IO_ALIGN + 3) * TFS_IO_ALIGN);
}

static int no_memory(struct tfs_error *err)
{
	return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
}

/* What a conversion needs: buffers of PIECE values. */
struct narrowing {
	tfs_narrow_fn *to;   /* NULL: floats stay as they are */
	tfs_convert_fn *odd; /* how float32 is computed before that; NULL: as in f32/ */
	float *values;
	uint8_t *small;
	size_t too_large;
};

/* The values of the stored blocks [from, to), to @n->values. */
static int convert(struct tfs_extractor *x, const struct tfs_layout *l, uint64_t from, uint64_t to, struct narrowing *n,
		   struct tfs_read_request *rq)
{
	const size_t len = (to - from) * l->in;
	cleanup_free uint8_t *raw = malloc(len);
	cleanup_free void *bounce = aligned_alloc(TFS_IO_ALIGN, TFS_EXTRACT_SCRATCH);
	int r = raw && bounce ? tfs_extract_copy(x, l->tensor, from * l->in, len, raw, bounce, rq) : no_memory(&rq->err);

	if (r)
		return r;
	if (n->odd)
		n->odd(raw, n->values, to - from);
	else
		tfs_layout_convert(l, raw, len, (uint8_t *)n->values);
	if (!n->to && !strcmp(l->tensor->dtype->name, "F64"))
		n->too_large += tfs_f64_too_large(raw, to - from);
	return 0;
}

/* Compute values [first, first + count) of @l's tensor; *@ret_values points to them, somewhere in @n->values. */
static int make(struct tfs_extractor *x, const struct tfs_layout *l, uint64_t first, size_t count, struct narrowing *n,
		const float **ret_values, struct tfs_read_request *rq)
{
	struct tfs_read_request part = {
		.at = first * sizeof(float),
		.len = count * sizeof(float),
		.priority = rq->priority,
		.buf = (uint8_t *)n->values,
		.scratch = rq->scratch,
		.err.offset = TFS_NO_OFFSET,
	};
	int r;

	if (!tfs_is_scaled(l->tensor)) {
		*ret_values = n->values + first % l->block;
		return convert(x, l, first / l->block, (first + count + l->block - 1) / l->block, n, rq);
	}
	r = l->content.ops->read(l->content.of, x, &part);
	*ret_values = (const float *)(const void *)part.data;
	rq->how = part.how;
	if (r)
		rq->err = part.err;
	return r;
}

/* --- Values with the last two axes swapped ------------------------------------------------------------------------------ */

/* Elements of a matrix that are wanted: [first, end) of it turned, that is, of columns of @rows each. */
struct turned {
	uint64_t first, end, rows, columns;
	uint32_t width; /* of an element: 2 or 4 bytes */
	uint8_t *dst;	/* of element @first */
};

/* @n elements of @width bytes, @stride elements from each other. */
static void gather(uint8_t *dst, const uint8_t *src, uint64_t stride, uint64_t n, uint32_t width)
{
	if (width == sizeof(uint16_t))
		for (uint64_t i = 0; i < n; i++)
			memcpy(dst + i * sizeof(uint16_t), src + i * stride * sizeof(uint16_t), sizeof(uint16_t));
	else
		for (uint64_t i = 0; i < n; i++)
			memcpy(dst + i * sizeof(uint32_t), src + i * stride * sizeof(uint32_t), sizeof(uint32_t));
}

/* Rows beyond these wouldn't be in the CPU cache any more when the next column is turned. */
enum { TURN_ROWS = 256 };

/* Put what @t wants of the elements @src, which are columns [column, column + n) of rows [row, row + n_rows), to its place. */
static void turn(const struct turned *t, const uint8_t *src, uint64_t row, uint64_t n_rows, uint64_t column, uint64_t n)
{
	for (uint64_t from = 0; from < n_rows; from += TURN_ROWS)
		for (uint64_t c = 0; c < n; c++) {
			const uint64_t begin = (column + c) * t->rows + row + from;
			const uint64_t end = begin + (n_rows - from < TURN_ROWS ? n_rows - from : TURN_ROWS);
			const uint64_t i = begin > t->first ? begin : t->first, upto = end < t->end ? end : t->end;

			if (i < upto)
				gather(t->dst + (i - t->first) * t->width, src + ((from + i - begin) * n + c) * t->width, n,
				       upto - i, t->width);
		}
}

/*
 * Rows are computed as they are stored, each of them whole for every request of the few columns that it is about: requests of 4 MiB are of
 * many columns. Only of rows that are longer than a piece just these columns are computed.
 */
static int turn_matrix(struct tfs_extractor *x, const struct tfs_layout *l, uint64_t matrix, const struct turned *t,
		       struct narrowing *n, struct tfs_read_request *rq)
{
	const uint64_t begin = t->columns <= PIECE ? 0 : t->first / t->rows;
	const uint64_t end = t->columns <= PIECE ? t->columns : (t->end - 1) / t->rows + 1;
	const uint64_t at_once = end - begin < PIECE ? PIECE / (end - begin) : 1;

	for (uint64_t row = 0; row < t->rows; row += t->columns <= PIECE ? at_once : 1)
		for (uint64_t c = begin; c < end; c += PIECE) {
			const uint64_t n_columns = end - c < PIECE ? end - c : PIECE;
			const uint64_t n_rows = t->columns > PIECE ? 1 : t->rows - row < at_once ? t->rows - row : at_once;
			const float *values;
			int r = make(x, l, (matrix * t->rows + row) * t->columns + c, n_rows * n_columns, n, &values, rq);

			if (r)
				return r;
			if (n->to)
				n->too_large += n->to(values, n->small, n_rows * n_columns);
			turn(t, n->to ? n->small : (const uint8_t *)values, row, n_rows, c, n_columns);
		}
	return 0;
}

static int copy_turned(struct tfs_extractor *x, const struct tfs_layout *l, uint32_t width, uint64_t at, size_t len, uint8_t *dst,
		       struct narrowing *n, struct tfs_read_request *rq)
{
	const struct tfs_tensor *t = l->tensor;
	const uint64_t rows = t->shape[t->ndim - 2], columns = t->shape[t->ndim - 1], size = rows * columns;
	const uint64_t first = at / width, end = (at + len + width - 1) / width;
	cleanup_free uint8_t *elements = malloc((end - first) * width);
	int r = 0;

	if (!elements)
		return no_memory(&rq->err);
	for (uint64_t i = first; i < end && !r;) {
		const uint64_t matrix = i / size, upto = (matrix + 1) * size < end ? (matrix + 1) * size : end;

		r = turn_matrix(x, l, matrix,
				&(struct turned){ i - matrix * size, upto - matrix * size, rows, columns, width,
						  elements + (i - first) * width },
				n, rq);
		i = upto;
	}
	if (!r)
		memcpy(dst, elements + at % width, len);
	return r;
}

/* --- Any -------------------------------------------------------------------------------------------------------------- */

int tfs_values_copy(struct tfs_extractor *x, const struct tfs_tensor *t, const struct tfs_dtype *as, uint64_t at, size_t len,
		    uint8_t *dst, struct tfs_read_request *rq, size_t *ret_too_large)
{
	const uint32_t width = as->block_bytes;
	const bool narrow = width < sizeof(float);
	struct tfs_layout l;
	int r = tfs_view_layout(TFS_F32, t, TFS_VIEW_ALIGN_MIN, &l);
	cleanup_free float *buf = r ? NULL : values_create(l.block);
	cleanup_free uint8_t *small = narrow ? malloc((size_t)PIECE * width) : NULL;
	struct narrowing n = { .values = buf, .small = small };

	*ret_too_large = 0;
	if (r)
		return tfs_error_set(&rq->err, r, TFS_NO_OFFSET, "it has no values");
	if (!buf || (narrow && !small))
		return no_memory(&rq->err);
	if (narrow) {
		n.to = !strcmp(as->name, "BF16") ? tfs_to_bf16() : tfs_to_f16();
		n.odd = tfs_convert_to_odd(t->dtype);
	}
	if (is_turned(t) && len) {
		r = copy_turned(x, &l, width, at, len, dst, &n, rq);
		len = 0;
	}
	while (len && !r) {
		const uint64_t first = at / width, lead = at % width;
		const size_t wanted = (lead + len + width - 1) / width, count = wanted < PIECE ? wanted : PIECE;
		const size_t bytes = count * width - lead < len ? count * width - lead : len;
		const float *values;

		r = make(x, &l, first, count, &n, &values, rq);
		if (r)
			break;
		if (narrow)
			n.too_large += n.to(values, small, count);
		memcpy(dst, (narrow ? small : (const uint8_t *)values) + lead, bytes);
		at += bytes;
		dst += bytes;
		len -= bytes;
	}
	*ret_too_large = n.too_large;
	return r;
}
