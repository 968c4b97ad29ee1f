/* SPDX-License-Identifier: MIT */
#include "cli/numbers.h"

#include <assert.h>
#include <string.h>

/* @n values of type @from at @src, at any address. */
#define WIDEN(name, from, to)                                     \
	static void name(const uint8_t *src, to *dst, size_t n)   \
	{                                                         \
		for (size_t i = 0; i < n; i++) {                  \
			from v;                                   \
                                                                  \
			memcpy(&v, src + i * sizeof v, sizeof v); \
			dst[i] = (to)v;                           \
		}                                                 \
	}

WIDEN(f32_to_double, float, double)
WIDEN(f64_to_double, double, double)
WIDEN(i32_to_double, int32_t, double)
WIDEN(u32_to_double, uint32_t, double)
WIDEN(i64_to_long, int64_t, long double)
WIDEN(u64_to_long, uint64_t, long double)

static const struct {
	const char *dtype;
	struct tfs_numbers numbers;
} wide[] = {
	{ "F64", { .precision = TFS_DOUBLE, .to_double = f64_to_double } },
	{ "I32", { .precision = TFS_DOUBLE, .to_double = i32_to_double } },
	{ "U32", { .precision = TFS_DOUBLE, .to_double = u32_to_double } },
	{ "I64", { .precision = TFS_LONG_DOUBLE, .to_long = i64_to_long } },
	{ "U64", { .precision = TFS_LONG_DOUBLE, .to_long = u64_to_long } },
};

bool tfs_numbers_of(const struct tfs_tensor *t, struct tfs_numbers *ret)
{
	*ret = (struct tfs_numbers){ .view = TFS_F32, .width = sizeof(float) };
	if (!tfs_view_shows(TFS_F32, t))
		return false;
	/* Blocks of several values, and what is smaller than a byte, are left to the loader. */
	if (t->dtype->block_elems != 1 || 8 % t->dtype->block_bytes)
		return true;
	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
		if (!strcmp(t->dtype->name, wide[i].dtype))
			*ret = wide[i].numbers;
	ret->view = TFS_RAW;
	ret->width = t->dtype->block_bytes;
	ret->convert = strcmp(t->dtype->name, "F32") != 0 ? tfs_convert_for(t->dtype) : NULL;
	ret->to_odd = tfs_convert_to_odd(t->dtype);
	return true;
}

enum { BLOCK = 1024 };

const uint8_t *tfs_numbers_floats(const struct tfs_numbers *f, const uint8_t *data, float *buf, size_t n)
{
	assert(f->precision == TFS_FLOAT);
	if (!f->convert)
		return data;
	f->convert(data, buf, n);
	return (const uint8_t *)buf;
}

void tfs_numbers_doubles(const struct tfs_numbers *f, const uint8_t *data, double *dst, size_t n)
{
	float floats[BLOCK];

	assert(f->precision <= TFS_DOUBLE);
	if (f->precision == TFS_DOUBLE) {
		f->to_double(data, dst, n);
		return;
	}
	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;

		f32_to_double(tfs_numbers_floats(f, data + at * f->width, floats, len), dst + at, len);
	}
}

void tfs_numbers_long_doubles(const struct tfs_numbers *f, const uint8_t *data, long double *dst, size_t n)
{
	double doubles[BLOCK];

	if (f->precision == TFS_LONG_DOUBLE) {
		f->to_long(data, dst, n);
		return;
	}
	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;

		tfs_numbers_doubles(f, data + at * f->width, doubles, len);
		for (size_t i = 0; i < len; i++)
			dst[at + i] = (long double)doubles[i];
	}
}

size_t tfs_numbers_round(const struct tfs_numbers *f, tfs_narrow_fn *narrow, const uint8_t *data, uint8_t *dst, size_t n)
{
	tfs_convert_fn *convert = narrow && f->to_odd ? f->to_odd : f->convert;
	size_t too_large = 0;
	float floats[BLOCK];

	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		const uint8_t *src = data + at * f->width;

		if (convert)
			convert(src, floats, len);
		else
			memcpy(floats, src, len * sizeof *floats);
		if (narrow) {
			too_large += narrow(floats, dst + at * sizeof(uint16_t), len);
			continue;
		}
		memcpy(dst + at * sizeof *floats, floats, len * sizeof *floats);
		if (f->to_double == f64_to_double)
			too_large += tfs_f64_too_large(src, len);
	}
	return too_large;
}
