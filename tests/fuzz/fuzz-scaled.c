/* SPDX-License-Identifier: MIT */
/*
 * Scaled weights (tensor/scaled.h) of any packing, form and layout, of codes that may be encoded: each part of their values, and of these
 * rounded or turned, is what a loop over all of them computes. What can't be computed has a reason, and memory is given back.
 */
#include "content/values.h"
#include "convert/convert.h"
#include "convert/narrow.h"
#include "encoded-tensors.h"
#include "tensor/scaled.h"

enum { MAX_STEPS = 24, MAX_VALUES = 600000, CODES = 0, SCALES = 1, PARTS = 4 };
enum { ARG_OFFSETS, ARG_GROUPS, ARG_REFUSES };

struct weight {
	struct tfs_scaled how;
	struct tfs_tensor t, part[PARTS];
	struct tfs_encoding e, part_encoding[PARTS];
	const struct tfs_tensor *parts[PARTS];
	uint64_t shape[3], part_shape[PARTS];
	uint8_t *codes; /* as they are unpacked */
	float *scale, *offset;
	uint32_t *group;
	bool wrong; /* nothing can be computed */
	float *want;
};

struct reader {
	struct tfs_extractor *x;
	struct budget budget;
	uint8_t *scratch;
	unsigned reads;
	bool poor;
};

/* --- A scheme --------------------------------------------------------------------------------------------------------- */

static float table_value(unsigned code)
{
	return (float)(code * 37 % 256) / 16 - 5;
}

static int prepare(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret, struct tfs_error *err)
{
	CHECK(!parts[CODES] && !ret->offset == !w->arg[ARG_OFFSETS] && !ret->group == !w->has_groups);
	if (w->arg[ARG_REFUSES])
		return tfs_error_set(err, -EINVAL, TFS_NO_OFFSET, "they contradict each other");
	memcpy(ret->scale, parts[SCALES], w->n_scales * sizeof(float));
	if (ret->offset)
		memcpy(ret->offset, parts[w->arg[ARG_OFFSETS]], w->n_scales * sizeof(float));
	if (ret->group)
		memcpy(ret->group, parts[w->arg[ARG_GROUPS]], w->cols * sizeof(uint32_t));
	for (unsigned i = 0; w->value == TFS_VALUE_TABLE && i < 256; i++)
		ret->table[i] = table_value(i);
	return 0;
}

/* They are stored in reverse. */
static void unpack(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes)
{
	for (uint64_t i = 0, n = w->parts[CODES]->nbytes; i < n; i++)
		ret_codes[i] = stored[n - 1 - i];
}

static const struct tfs_scaled_ops ops = { prepare, unpack };

/* --- What it computes ----------------------------------------------------------------------------------------------------- */

static bool of_bytes(const struct tfs_scaled *w)
{
	return w->packing == TFS_PACKED_OTHERWISE && !w->row_bytes;
}

static unsigned code_at(const struct weight *w, uint64_t row, uint64_t c)
{
	const unsigned bits = w->how.bits, each = 32 / bits;
	const uint8_t *bytes = w->codes + row * w->how.row_bytes;
	unsigned code = 0;
	uint64_t bit = c * bits;

	if (of_bytes(&w->how))
		return w->codes[row * w->how.cols + c];
	if (w->how.packing == TFS_PACKED_WORDS)
		bit = c / each * 32 + c % each * bits;
	if (w->how.packing == TFS_PACKED_HIGH_FIRST)
		bit = (c ^ 1) * bits;
	for (unsigned i = 0; i < bits; i++, bit++)
		code |= (unsigned)(bytes[bit / 8] >> bit % 8 & 1) << i;
	return code;
}

static float converted(const struct tfs_dtype *dtype, const uint8_t *bytes)
{
	float x;

	tfs_convert_for_level(dtype, TFS_SIMD_SCALAR)(bytes, &x, 1);
	return x;
}

static float value_at(const struct weight *w, uint64_t row, uint64_t c)
{
	static const float e2m1[] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
	const unsigned bits = w->how.bits;

	if (w->how.value == TFS_VALUE_DTYPE)
		return converted(w->part[CODES].dtype,
				 w->codes + (of_bytes(&w->how) ? row * w->how.cols : row * w->how.row_bytes) + c * (bits / 8));
	const unsigned code = code_at(w, row, c);
	const uint8_t byte = (uint8_t)code;
	switch (w->how.value) {
	case TFS_VALUE_SIGNED:
		return code >> (bits - 1) ? (float)code - (float)(1 << bits) : (float)code;
	case TFS_VALUE_E2M1:
		return code < 8 ? e2m1[code] : -e2m1[code - 8];
	case TFS_VALUE_E4M3:
	case TFS_VALUE_E5M2: /* which their tensor's type is */
		return converted(w->part[CODES].dtype, &byte);
	case TFS_VALUE_TABLE:
		return table_value(code);
	default:
		return (float)code;
	}
}

static float compute(const struct weight *w, uint64_t row, uint64_t c)
{
	const struct tfs_scaled *s = &w->how;
	const uint64_t g = w->group ? w->group[c] : c / s->col_block;
	const uint64_t at = row / s->rows * s->per_expert + row % s->rows / s->row_block * s->per_row + g * s->per_col;
	float x = value_at(w, row, c);

	CHECK(at < s->n_scales);
	switch (s->form) {
	case TFS_SCALED_TIMES:
		x *= w->scale[at];
		break;
	case TFS_SCALED_MINUS_TIMES:
		x = (x - w->offset[at]) * w->scale[at];
		break;
	case TFS_SCALED_TIMES_PLUS:
		x = x * w->scale[at] + w->offset[at];
		break;
	case TFS_SCALED_DIVIDED:
		x /= w->scale[at];
	}
	return s->factor != 1 ? x * s->factor : x;
}

/* --- A weight --------------------------------------------------------------------------------------------------------- */

static void choose_codes(struct choices *c, struct weight *w)
{
	static const struct {
		enum tfs_scaled_value value;
		uint8_t bits; /* 0: any up to 8 */
		const char *dtype;
	} kinds[] = {
		{ TFS_VALUE_UNSIGNED, 0, "U8" },  { TFS_VALUE_SIGNED, 0, "U8" },     { TFS_VALUE_E2M1, 4, "U8" },
		{ TFS_VALUE_E4M3, 8, "F8_E4M3" }, { TFS_VALUE_E5M2, 8, "F8_E5M2" },  { TFS_VALUE_TABLE, 0, "U8" },
		{ TFS_VALUE_DTYPE, 8, "I8" },	  { TFS_VALUE_DTYPE, 8, "F8_E5M2" }, { TFS_VALUE_DTYPE, 16, "I16" },
		{ TFS_VALUE_DTYPE, 16, "BF16" },  { TFS_VALUE_DTYPE, 32, "F32" },    { TFS_VALUE_DTYPE, 32, "U32" },
		{ TFS_VALUE_DTYPE, 64, "I64" },	  { TFS_VALUE_UNSIGNED, 4, "U8" },   { TFS_VALUE_SIGNED, 4, "I8" },
	};
	const unsigned kind = (unsigned)choose(c, sizeof kinds / sizeof *kinds);
	struct tfs_scaled *s = &w->how;

	s->value = kinds[kind].value;
	s->bits = kinds[kind].bits ? kinds[kind].bits : (uint8_t)(1 + choose(c, 8));
	s->packing = (enum tfs_scaled_packing)choose(c, 4);
	if ((s->packing == TFS_PACKED_HIGH_FIRST && s->bits != 4) || s->bits > 8)
		s->packing = TFS_PACKED_ROWS;
	w->part[CODES].dtype = tfs_dtype_by_name(kinds[kind].dtype, strlen(kinds[kind].dtype));
	CHECK(w->part[CODES].dtype);
}

static void choose_shape(struct choices *c, struct weight *w)
{
	struct tfs_scaled *s = &w->how;
	const uint64_t extra = choose(c, 4) ? 0 : choose(c, 32);

	s->cols = 1 + choose_size(c, choose(c, 64) ? 2000 : MAX_VALUES - 1);
	s->rows = 1 + choose_size(c, (choose(c, 32) ? 20000 : MAX_VALUES) / s->cols);
	s->experts = 1 + choose(c, s->rows * s->cols < MAX_VALUES / 4 ? 4 : 1);
	if (s->packing == TFS_PACKED_OTHERWISE && choose(c, 2))
		return;
	if (s->packing == TFS_PACKED_WORDS)
		s->row_bytes = ((s->cols + 32 / s->bits - 1) / (32 / s->bits) + extra) * 4;
	else
		s->row_bytes = (s->cols * s->bits + 7) / 8 + extra;
}

static void choose_scales(struct choices *c, struct weight *w)
{
	struct tfs_scaled *s = &w->how;
	uint64_t n_groups, last;

	s->form = (enum tfs_scaled_form)choose(c, 4);
	s->factor = choose(c, 4) ? 1 : (float)choose_number(c, 2) / 64;
	s->row_block = 1 + choose_size(c, s->rows - 1);
	s->col_block = choose(c, 4) ? 1 + choose_size(c, s->cols - 1) : 1;
	s->has_groups = !choose(c, 4);
	n_groups = s->has_groups ? 1 + choose(c, 8) : (s->cols - 1) / s->col_block + 1;
	s->per_col = choose(c, 4) ? 1 : choose(c, 3);
	s->per_row = choose(c, 4) ? n_groups * s->per_col : choose(c, 3);
	s->per_expert = choose(c, 4) ? ((s->rows - 1) / s->row_block + 1) * s->per_row : choose(c, 3);
	last = (s->experts - 1) * s->per_expert + (s->rows - 1) / s->row_block * s->per_row;
	s->n_scales = last + (n_groups - 1) * s->per_col + 1 + choose(c, 2);
	if (!s->has_groups)
		return;
	w->group = (uint32_t *)(void *)some_bytes(c, s->cols * sizeof(uint32_t));
	const bool wrong = !choose(c, 8);
	for (uint64_t i = 0; i < s->cols; i++) {
		w->group[i] %= wrong ? n_groups + 1 : n_groups;
		w->wrong |= last + w->group[i] * s->per_col >= s->n_scales;
	}
}

/* Part @i, whose @len bytes are stored as they are, or encoded. */
static void put_part(struct choices *c, struct weight *w, unsigned i, const uint8_t *bytes, size_t len)
{
	struct tfs_tensor *t = &w->part[i];
	struct tfs_encoding *e = &w->part_encoding[i];
	const unsigned file = (unsigned)choose(c, MEMORY_FILES), how = (unsigned)choose(c, 5);
	uLongf room = compressBound(len) + 16;
	uint8_t *copy = new_bytes(room + len);

	put_gap(c, file);
	memcpy(copy, bytes, len);
	*t = (struct tfs_tensor){ .name = "part", .name_len = 4, .dtype = t->dtype, .shape = &w->part_shape[i], .ndim = 1 };
	t->nbytes = len;
	w->part_shape[i] = len / t->dtype->block_bytes;
	t->source = 1 + file;
	*e = (struct tfs_encoding){ .length = len };
	if (how == 3 && len % 4 == 0) {
		for (size_t k = 0; k < len; k += 4)
			reverse(copy + k, 4);
		e->swap = 4;
		t->encoding = e;
	} else if (how == 4) {
		z_stream z = { 0 };

		CHECK(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
		z.next_in = (uint8_t *)(uintptr_t)bytes;
		z.avail_in = (uInt)len;
		z.next_out = copy;
		z.avail_out = (uInt)(room + len);
		CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
		*e = (struct tfs_encoding){ .coding = TFS_DEFLATED, .length = z.total_out, .unpacked = len };
		e->crc = (uint32_t)crc32(0, bytes, (uInt)len);
		deflateEnd(&z);
		t->encoding = e;
	}
	t->offset = memory_put(file, copy, e->length);
	free(copy);
	w->parts[i] = t;
}

static void put_codes(struct choices *c, struct weight *w)
{
	const struct tfs_scaled *s = &w->how;
	const uint64_t n = s->experts * s->rows * (of_bytes(s) ? s->cols : s->row_bytes);
	uint8_t *stored = new_bytes(n);

	w->codes = some_bytes(c, n);
	for (uint64_t i = 0; of_bytes(s) && i < n; i++)
		w->codes[i] &= (uint8_t)((1u << s->bits) - 1);
	for (uint64_t i = 0; i < n; i++)
		stored[i] = w->codes[s->packing == TFS_PACKED_OTHERWISE ? n - 1 - i : i];
	put_part(c, w, CODES, stored, n);
	free(stored);
}

static void make_weight(struct choices *c, struct weight *w)
{
	struct tfs_scaled *s = &w->how;
	unsigned n = SCALES + 1;

	memset(w, 0, sizeof *w);
	*s = (struct tfs_scaled){ .scheme = "any", .formula = "any", .ops = &ops };
	choose_codes(c, w);
	choose_shape(c, w);
	choose_scales(c, w);
	for (unsigned i = SCALES; i < PARTS; i++)
		w->part[i].dtype = tfs_dtype_by_name("F32", 3);
	put_codes(c, w);
	w->scale = (float *)(void *)some_bytes(c, s->n_scales * sizeof(float));
	put_part(c, w, SCALES, (const uint8_t *)w->scale, s->n_scales * sizeof(float));
	if (s->form == TFS_SCALED_MINUS_TIMES || s->form == TFS_SCALED_TIMES_PLUS) {
		w->offset = (float *)(void *)some_bytes(c, s->n_scales * sizeof(float));
		s->arg[ARG_OFFSETS] = n;
		put_part(c, w, n++, (const uint8_t *)w->offset, s->n_scales * sizeof(float));
	}
	if (s->has_groups) {
		s->arg[ARG_GROUPS] = n;
		put_part(c, w, n++, (const uint8_t *)w->group, s->cols * sizeof(uint32_t));
	}
	s->n_parts = n;
	s->arg[ARG_REFUSES] = !choose(c, 16);
	w->wrong |= s->arg[ARG_REFUSES];
	s->other_way_round = choose(c, 2);
	memcpy(s->parts, w->parts, sizeof w->parts);
	w->e = (struct tfs_encoding){ .coding = TFS_SCALED, .length = w->part[CODES].nbytes, .scaled = s, .parts = w->parts };
	w->shape[0] = s->experts;
	w->shape[1] = s->rows;
	w->shape[2] = s->cols;
	w->t = (struct tfs_tensor){ .name = "weight", .name_len = 6, .dtype = tfs_dtype_by_name("F32", 3), .shape = w->shape };
	w->t.ndim = 3;
	w->t.nbytes = s->experts * s->rows * s->cols * sizeof(float);
	w->t.source = w->part[CODES].source;
	w->t.offset = w->part[CODES].offset;
	w->t.encoding = &w->e;
	w->want = malloc(w->t.nbytes);
	CHECK(w->want);
	for (uint64_t i = 0; i < w->t.nbytes / sizeof(float) && !w->wrong; i++)
		w->want[i] = compute(w, i / s->cols, i % s->cols);
}

static void fini_weight(struct weight *w)
{
	free(w->codes);
	free(w->scale);
	free(w->offset);
	free(w->group);
	free(w->want);
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

/* NaNs are equal: which payload one has depends on the instruction. */
static bool same(const uint8_t *a, const uint8_t *b, size_t len, uint32_t width, uint32_t infinity)
{
	const uint32_t no_sign = width == 4 ? 0x7fffffff : 0x7fff;

	for (size_t i = 0; i + width <= len && memcmp(a, b, len); i += width) {
		uint32_t x = 0, y = 0;

		memcpy(&x, a + i, width);
		memcpy(&y, b + i, width);
		if (x != y && ((le32toh(x) & no_sign) <= infinity || (le32toh(y) & no_sign) <= infinity))
			return false;
	}
	return true;
}

static bool is_stale(const struct weight *w)
{
	bool stale = false;

	for (unsigned i = 0; i < w->how.n_parts; i++)
		stale |= memory_model.files[w->part[i].source - 1].stale;
	return stale;
}

static bool check_result(const struct reader *rd, const struct weight *w, int r, const struct tfs_read_request *rq)
{
	const bool storage_failed = memory_model.fails_at > rd->reads && memory_model.fails_at <= memory_model.reads;
	const bool failed = read_failed(r, &rq->err, w->wrong || is_stale(w) || storage_failed || rd->poor);

	CHECK(r != -ENOMEM || rd->poor);
	CHECK(failed || !(w->wrong || is_stale(w) || storage_failed));
	return failed;
}

static void read_at(struct reader *rd, const struct weight *w, uint64_t at, uint64_t n)
{
	uint8_t *buf = read_buffer(n * sizeof(float));
	struct tfs_read_request rq = { .at = at * sizeof(float), .len = n * sizeof(float), .buf = buf, .scratch = rd->scratch };
	const struct tfs_content c = tfs_content_of_tensor(&w->t);

	CHECK(!c.ops->extent && !c.ops->in_order);
	rd->reads = memory_model.reads;
	if (!check_result(rd, w, c.ops->read(c.of, rd->x, &rq), &rq))
		CHECK(same(rq.data, (const uint8_t *)(w->want + at), rq.len, 4, 0x7f800000));
	free(buf);
}

/* Values [first, end), in the type and the order that copies of them have. */
static uint8_t *turned(const struct weight *w, const struct tfs_dtype *as, uint64_t first, uint64_t end)
{
	const uint64_t rows = w->how.rows, cols = w->how.cols;
	tfs_narrow_fn *to = !strcmp(as->name, "BF16") ? tfs_to_bf16_for_level(0) : tfs_to_f16_for_level(0);
	uint8_t *all = new_bytes((end - first) * as->block_bytes), *at = all;

	for (uint64_t i = first; i < end; i++, at += as->block_bytes) {
		const uint64_t e = i / (rows * cols), c = i % (rows * cols) / rows, r = i % rows;
		const float *from = &w->want[w->how.other_way_round ? (e * rows + r) * cols + c : i];

		if (as->block_bytes == sizeof *from)
			memcpy(at, from, sizeof *from);
		else
			to(from, at, 1);
	}
	return all;
}

static void copy_some(struct choices *c, struct reader *rd, const struct weight *w)
{
	static const char *const names[] = { "F32", "F16", "BF16" };
	static const uint32_t infinities[] = { 0x7f800000, 0x7c00, 0x7f80 };
	const unsigned which = (unsigned)choose(c, 3);
	const struct tfs_dtype *as = tfs_dtype_by_name(names[which], strlen(names[which]));
	const uint64_t size = w->t.nbytes / sizeof(float) * as->block_bytes;
	const uint64_t at = choose_size(c, size - 1), len = choose_size(c, size - at);
	struct tfs_read_request rq = { .scratch = rd->scratch };
	uint8_t *dst = new_bytes(len);
	size_t too_large;

	rd->reads = memory_model.reads;
	const int r = tfs_values_copy(rd->x, &w->t, as, at, len, dst, &rq, &too_large);
	if (len && !check_result(rd, w, r, &rq)) {
		const uint64_t width = as->block_bytes, first = (at + width - 1) / width, end = (at + len) / width;
		uint8_t *whole = first < end ? turned(w, as, first, end) : NULL;

		/* Only whole ones can be compared. */
		CHECK(!whole || same(dst + (first * width - at), whole, (end - first) * width, as->block_bytes, infinities[which]));
		free(whole);
	}
	free(dst);
}

/* The same of a tensor that isn't scaled: the scales themselves. */
static void copy_scales(struct choices *c, struct reader *rd, const struct weight *w)
{
	const struct tfs_tensor *t = &w->part[SCALES];
	const uint64_t n = w->how.n_scales, at = choose_size(c, n - 1), len = 1 + choose_size(c, n - at - 1);
	struct tfs_read_request rq = { .scratch = rd->scratch };
	uint8_t *dst = new_bytes(len * 2), *want = new_bytes(len * 2);
	size_t too_large;

	CHECK(tfs_has_values(t) && !tfs_valued(t) && tfs_valued(&w->t) && tfs_values_dim(t, 0) == n);
	CHECK(tfs_values_dim(&w->t, 1) == (w->how.other_way_round ? w->how.cols : w->how.rows));
	rd->reads = memory_model.reads;
	const int r = tfs_values_copy(rd->x, t, tfs_dtype_by_name("BF16", 4), at * 2, len * 2, dst, &rq, &too_large);
	const bool storage_failed = memory_model.fails_at > rd->reads && memory_model.fails_at <= memory_model.reads;
	read_failed(r, &rq.err, storage_failed || memory_model.files[t->source - 1].stale);
	tfs_to_bf16_for_level(0)(w->scale + at, want, len);
	CHECK(r || same(dst, want, len * 2, 2, 0x7f80));
	free(dst);
	free(want);
}

static void take_step(struct choices *c, struct reader *rd, const struct weight *w)
{
	const uint64_t n = w->t.nbytes / sizeof(float), at = choose_size(c, n - 1);

	switch (choose(c, 8)) {
	case 0:
		tfs_extractor_trim(rd->x, (int)choose(c, 2));
		break;
	case 1:
		memory_model.files[choose(c, MEMORY_FILES)].stale ^= true;
		break;
	case 2:
		memory_model.fails_at = memory_model.storage.name ? memory_model.reads + 1 + (unsigned)choose(c, 8) : 0;
		break;
	case 3:
		copy_scales(c, rd, w);
		break;
	case 4:
		copy_some(c, rd, w);
		break;
	default:
		read_at(rd, w, at, 1 + choose_size(c, n - at - 1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { MAX_WEIGHTS = 3 };
	static struct weight weights[MAX_WEIGHTS];
	static uint8_t *scratch;
	struct choices c = choices_of(data, size);
	const unsigned flags = (unsigned)choose_number(&c, 1), n = 1 + flags / 16 % MAX_WEIGHTS;
	struct reader rd = { .budget.limit = UINT64_MAX };

	if (!scratch)
		scratch = read_buffer(TFS_EXTRACT_SCRATCH);
	rd.scratch = scratch;
	memory_model_begin(flags & 1);
	for (unsigned i = 0; i < n; i++)
		make_weight(&c, &weights[i]);
	memory_model_end(0);
	struct tfs_staging_memory memory = { budget_take, budget_give, &rd.budget, 0 };
	if (flags & 2)
		rd.budget.limit = choose_number(&c, 3);
	if (flags & 4)
		memory.overdraft = choose_number(&c, 3);
	rd.poor = flags & 2;
	struct tfs_sources *sources = tfs_sources_create(&memory_model.model, false);
	rd.x = tfs_extractor_create(sources, flags & 8 ? &(struct tfs_staging_memory){ 0 } : &memory);
	CHECK(sources && rd.x);
	for (unsigned i = 0; i < MAX_STEPS && c.at < c.end; i++)
		take_step(&c, &rd, &weights[choose(&c, n)]);
	for (unsigned i = 0; i < MEMORY_FILES; i++)
		memory_model.files[i].stale = false;
	memory_model.fails_at = 0;
	for (unsigned i = 0; i < n; i++)
		read_at(&rd, &weights[i], 0, weights[i].t.nbytes / sizeof(float));
	tfs_extractor_trim(rd.x, 0);
	CHECK(!rd.budget.used);
	tfs_extractor_destroy(rd.x);
	tfs_sources_destroy(sources);
	for (unsigned i = 0; i < n; i++)
		fini_weight(&weights[i]);
	return 0;
}
