/* SPDX-License-Identifier: MIT */
#include "cli/moments.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Values that are processed at a time: they stay in the cache for a second look, and lanes can be added without much rounding. */
enum { BLOCK = 2048 };

/* Independent sums, so that a compiler can use vectors without changing what is added to what. */
enum { LANES = 8 };

#define EACH_LANE(j) for (unsigned j = 0; j < LANES; j++)

static double sum_of(const double *lanes)
{
	return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Is a sum of squares as exact in float64 as others are? Not if squares overflowed, or may have become subnormal. */
static bool is_safe(double squares, bool all_zero)
{
	return all_zero ? !squares : squares > 1e-250 && squares < 1e300;
}

/* --- One series ------------------------------------------------------------------------------------------------------------ */

/* The bits of the largest of @n values without their signs: are all finite, and are any other than zero? */
static uint32_t largest(const uint8_t *floats, size_t n)
{
	uint32_t most[LANES] = { 0 }, all = 0;
	const size_t whole = n / LANES * LANES;

	for (size_t i = 0; i < whole; i += LANES) {
		uint32_t bits[LANES];

		memcpy(bits, floats + i * sizeof *bits, sizeof bits);
		EACH_LANE(j)
		most[j] = (bits[j] & 0x7fffffff) > most[j] ? bits[j] & 0x7fffffff : most[j];
	}
	for (size_t i = whole; i < n; i++) {
		uint32_t bits;

		memcpy(&bits, floats + i * sizeof bits, sizeof bits);
		most[0] = (bits & 0x7fffffff) > most[0] ? bits & 0x7fffffff : most[0];
	}
	EACH_LANE(j)
	all = most[j] > all ? most[j] : all;
	return all;
}

enum { INFINITE = 0x7f800000 };

/* Any values. Sums are of differences from one of them, which are as exact as large integers need. */
static void add_any(struct tfs_moments *m, const long double *x, size_t n)
{
	struct tfs_moments b = { .n = n };
	long double origin = 0, sum = 0;
	size_t finite = 0;

	for (size_t i = 0; i < n; i++) {
		b.nan += isnan(x[i]) != 0;
		b.inf += x[i] == (long double)INFINITY;
		b.neg_inf += x[i] == -(long double)INFINITY;
		b.zeros += x[i] == 0;
		if (!isfinite(x[i]))
			continue;
		origin = finite ? origin : x[i];
		b.min = finite && b.min < x[i] ? b.min : x[i];
		b.max = finite && b.max > x[i] ? b.max : x[i];
		sum += x[i] - origin;
		finite++;
	}
	const long double mean = finite ? sum / (long double)finite : 0;
	b.mean = origin + mean;
	for (size_t i = 0; i < n; i++)
		if (isfinite(x[i]))
			b.m2 += (x[i] - origin - mean) * (x[i] - origin - mean);
	tfs_moments_merge(m, &b);
}

/* The same, quickly, of @n > 0 values in room for whole lanes. False, and nothing is added, if any isn't finite, or float64 isn't enough. */
static bool add_doubles(struct tfs_moments *m, double *x, size_t n)
{
	double low[LANES], high[LANES], sum[LANES] = { 0 }, squares[LANES] = { 0 };
	const size_t whole = (n + LANES - 1) / LANES * LANES;
	struct tfs_moments b = { .n = n };

	/* More of the same changes neither the minimum nor the maximum. */
	for (size_t i = n; i < whole; i++)
		x[i] = x[0];
	EACH_LANE(j)
	low[j] = high[j] = x[0];
	for (size_t i = 0; i < whole; i += LANES)
		EACH_LANE(j)
		{
			low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
			high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
			sum[j] += x[i + j] - x[0];
		}
	const double mean = sum_of(sum) / (double)n;
	for (size_t i = 0; i < whole; i += LANES)
		EACH_LANE(j)
	squares[j] += (x[i + j] - x[0] - mean) * (x[i + j] - x[0] - mean);
	b.m2 = (long double)(sum_of(squares) - (double)(whole - n) * mean * mean);
	for (size_t i = 0; i < n; i++)
		b.zeros += x[i] == 0;
	EACH_LANE(j)
	{
		low[0] = low[j] < low[0] ? low[j] : low[0];
		high[0] = high[j] > high[0] ? high[j] : high[0];
	}
	b.min = (long double)low[0];
	b.max = (long double)high[0];
	b.mean = (long double)x[0] + (long double)mean;
	/* What isn't finite makes the squares so. */
	if (!is_safe(sum_of(squares), low[0] == high[0]))
		return false;
	tfs_moments_merge(m, &b);
	return true;
}

void tfs_moments_add(struct tfs_moments *m, const struct tfs_numbers *f, const uint8_t *data, size_t n)
{
	long double any[BLOCK];
	double x[BLOCK];

	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		const uint8_t *block = data + at * f->width;

		if (f->precision <= TFS_DOUBLE) {
			tfs_numbers_doubles(f, block, x, len);
			if (add_doubles(m, x, len))
				continue;
		}
		tfs_numbers_long_doubles(f, block, any, len);
		add_any(m, any, len);
	}
}

void tfs_moments_check(struct tfs_moments *m, const struct tfs_numbers *f, const uint8_t *data, size_t n)
{
	float x[BLOCK];

	if (f->precision != TFS_FLOAT) {
		tfs_moments_add(m, f, data, n);
		return;
	}
	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		const uint8_t *block = data + at * f->width;
		const uint32_t most = largest(tfs_numbers_floats(f, block, x, len), len);
		struct tfs_moments b = { 0 };

		if (most >= INFINITE)
			tfs_moments_add(&b, f, block, len);
		m->n += len;
		m->nan += b.nan;
		m->inf += b.inf;
		m->neg_inf += b.neg_inf;
		m->zeros += most ? 0 : len;
	}
}

/* Chan, Golub and LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979. */
void tfs_moments_merge(struct tfs_moments *m, const struct tfs_moments *more)
{
	const long double a = (long double)tfs_moments_finite(m), b = (long double)tfs_moments_finite(more),
			  delta = more->mean - m->mean;

	if (b > 0) {
		m->min = a > 0 && m->min < more->min ? m->min : more->min;
		m->max = a > 0 && m->max > more->max ? m->max : more->max;
		m->m2 += more->m2 + delta * delta * (a * b / (a + b));
		m->mean += delta * (b / (a + b));
	}
	m->n += more->n;
	m->nan += more->nan;
	m->inf += more->inf;
	m->neg_inf += more->neg_inf;
	m->zeros += more->zeros;
}

double tfs_moments_deviation(const struct tfs_moments *m)
{
	const uint64_t n = tfs_moments_finite(m);

	return n ? (double)sqrtl(m->m2 / (long double)n) : 0;
}

/* Float64 is enough if both ends are exact there, and so their distance is in its range. */
static bool is_double(const struct tfs_histogram *h)
{
	const double low = (double)h->low, high = (double)h->high;

	return (long double)low == h->low && (long double)high == h->high && isfinite(high - low);
}

double tfs_histogram_edge(const struct tfs_histogram *h, unsigned i)
{
	if (i == h->bins)
		return (double)h->high;
	if (is_double(h))
		return (double)h->low + i * (((double)h->high - (double)h->low) / h->bins);
	return (double)(h->low + i * ((h->high - h->low) / h->bins));
}

/* Rounding may put what is at an edge on the wrong side of it. Once for each type that values may be in. */
#define COUNT(name, type)                                                                           \
	static void name(const struct tfs_histogram *h, uint64_t *counts, const type *x, size_t n)  \
	{                                                                                           \
		const type low = (type)h->low, high = (type)h->high, step = (high - low) / h->bins; \
		const type scale = h->bins / (high - low);                                          \
		const unsigned last = h->bins - 1;                                                  \
                                                                                                    \
		for (size_t i = 0; i < n; i++) {                                                    \
			if (!(x[i] >= low && x[i] <= high))                                         \
				continue;                                                           \
			unsigned bin = (unsigned)((x[i] - low) * scale);                            \
			if (bin > last)                                                             \
				bin = last;                                                         \
			if (x[i] < low + bin * step)                                                \
				bin--;                                                              \
			else if (bin < last && x[i] >= low + (bin + 1) * step)                      \
				bin++;                                                              \
			counts[bin]++;                                                              \
		}                                                                                   \
	}

COUNT(count_doubles, double)
COUNT(count_long_doubles, long double)

void tfs_histogram_add(const struct tfs_histogram *h, uint64_t *counts, const struct tfs_numbers *f, const uint8_t *data, size_t n)
{
	const bool doubles = f->precision <= TFS_DOUBLE && is_double(h);
	long double any[BLOCK];
	double x[BLOCK];

	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		const uint8_t *block = data + at * f->width;

		if (doubles) {
			tfs_numbers_doubles(f, block, x, len);
			count_doubles(h, counts, x, len);
		} else {
			tfs_numbers_long_doubles(f, block, any, len);
			count_long_doubles(h, counts, any, len);
		}
	}
}

/* --- Two series ------------------------------------------------------------------------------------------------------------ */

static void add_pair(struct tfs_difference *d, long double x, long double y)
{
	const long double e = x - y;

	d->finite++;
	d->differ += x != y;
	d->max = fabsl(e) > d->max ? fabsl(e) : d->max;
	d->sum += fabsl(e);
	d->dd += e * e;
	d->aa += x * x;
	d->bb += y * y;
	d->ab += x * y;
}

/* Any types, and what isn't finite. */
static void add_any_pairs(struct tfs_difference *d, const struct tfs_numbers *f, const uint8_t *a, const struct tfs_numbers *g,
			  const uint8_t *b, size_t n)
{
	const bool same = f->width == g->width && f->convert == g->convert && f->to_double == g->to_double &&
			  f->to_long == g->to_long;
	long double x[BLOCK], y[BLOCK];

	tfs_numbers_long_doubles(f, a, x, n);
	tfs_numbers_long_doubles(g, b, y, n);
	d->n += n;
	for (size_t i = 0; i < n; i++)
		if (isfinite(x[i]) && isfinite(y[i]))
			add_pair(d, x[i], y[i]);
		else if (same)
			d->not_finite += memcmp(a + i * f->width, b + i * f->width, f->width) != 0;
		else
			d->not_finite += x[i] != y[i] && !(isnan(x[i]) && isnan(y[i]));
}

typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t longs __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));

/* Sums of a block, by lanes. */
struct pair_sums {
	doubles max, sum, dd, aa, bb, ab;
	longs equal; /* minus their number */
};

/* What is inlined, once for each type that values are in: whose size @width is. */
#define INLINE static inline __attribute__((always_inline))

INLINE void load(doubles *ret, const uint8_t *p, size_t width)
{
	floats narrow;

	if (width == sizeof(double)) {
		memcpy(ret, p, sizeof *ret);
		return;
	}
	memcpy(&narrow, p, sizeof narrow);
	*ret = __builtin_convertvector(narrow, doubles);
}

INLINE void add_lanes(struct pair_sums *s, const uint8_t *a, const uint8_t *b, size_t width)
{
	const longs no_sign = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	doubles x, y;

	load(&x, a, width);
	load(&y, b, width);
	const doubles e = x - y, size = (doubles)((longs)e & no_sign);
	const longs more = size > s->max;

	s->max = (doubles)(((longs)size & more) | ((longs)s->max & ~more));
	s->sum += size;
	s->dd += e * e;
	s->aa += x * x;
	s->bb += y * y;
	s->ab += x * y;
	s->equal += x == y;
}

INLINE void add_all_of(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n, size_t width)
{
	struct pair_sums s = { 0 };
	const size_t whole = n - n % LANES;

	for (size_t i = 0; i < whole; i += LANES)
		add_lanes(&s, a + i * width, b + i * width, width);
	if (whole < n) {
		uint8_t last[2][sizeof(doubles)] = { 0 }; /* zeros are equal, and add nothing */

		memcpy(last[0], a + whole * width, (n - whole) * width);
		memcpy(last[1], b + whole * width, (n - whole) * width);
		add_lanes(&s, last[0], last[1], width);
	}
	*ret = s;
}

INLINE void add_all_lanes(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n, size_t width)
{
	if (width == sizeof(double))
		add_all_of(ret, a, b, n, sizeof(double));
	else
		add_all_of(ret, a, b, n, sizeof(float));
}

typedef void add_all_lanes_fn(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n, size_t width);

static void add_plainly(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n, size_t width)
{
	add_all_lanes(ret, a, b, n, width);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void add_by_avx2(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n,
							size_t width)
{
	add_all_lanes(ret, a, b, n, width);
}

__attribute__((target("avx512f"))) static void add_by_avx512(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n,
							     size_t width)
{
	add_all_lanes(ret, a, b, n, width);
}

static add_all_lanes_fn *best_way(void)
{
	return __builtin_cpu_supports("avx512f") ? add_by_avx512 : __builtin_cpu_supports("avx2") ? add_by_avx2 : add_plainly;
}
#else
static add_all_lanes_fn *best_way(void)
{
	return add_plainly;
}
#endif

/*
 * Float32 or float64, by their @width. False, and nothing is added, if any isn't finite, or float64 isn't enough for the sums. The order of
 * additions, so the result, is the same on every CPU.
 */
static bool add_block(struct tfs_difference *d, const uint8_t *a, const uint8_t *b, size_t n, size_t width)
{
	struct tfs_difference block = { .n = n, .finite = n };
	struct pair_sums s;
	double max[LANES];
	int64_t equal = 0;

	best_way()(&s, a, b, n, width);
	memcpy(max, &s.max, sizeof max);
	EACH_LANE(j)
	{
		block.max = (long double)max[j] > block.max ? (long double)max[j] : block.max;
		equal -= s.equal[j];
	}
	block.differ = (n + LANES - 1) / LANES * LANES - (uint64_t)equal;
	block.sum = (long double)sum_of((const double *)&s.sum);
	const double dd = sum_of((const double *)&s.dd), aa = sum_of((const double *)&s.aa), bb = sum_of((const double *)&s.bb);
	block.dd = (long double)dd;
	block.aa = (long double)aa;
	block.bb = (long double)bb;
	block.ab = (long double)sum_of((const double *)&s.ab);
	/* Of float32 it is enough unless a value isn't finite. */
	if (width == sizeof(float) ? !isfinite(aa) || !isfinite(bb) :
				     !is_safe(dd, !block.differ) || !is_safe(aa, false) || !is_safe(bb, false))
		return false;
	tfs_difference_merge(d, &block);
	return true;
}

/* As float64 unless both are float32. */
static bool add_quickly(struct tfs_difference *d, const struct tfs_numbers *f, const uint8_t *a, const struct tfs_numbers *g,
			const uint8_t *b, size_t n)
{
	float x[BLOCK], y[BLOCK];
	double v[BLOCK], w[BLOCK];

	if (f->precision == TFS_LONG_DOUBLE || g->precision == TFS_LONG_DOUBLE)
		return false;
	if (f->precision == TFS_FLOAT && g->precision == TFS_FLOAT) {
		const uint8_t *p = tfs_numbers_floats(f, a, x, n);

		return add_block(d, p, a == b ? p : tfs_numbers_floats(g, b, y, n), n, sizeof(float));
	}
	tfs_numbers_doubles(f, a, v, n);
	tfs_numbers_doubles(g, b, w, n);
	return add_block(d, (const uint8_t *)v, (const uint8_t *)w, n, sizeof(double));
}

void tfs_difference_add(struct tfs_difference *d, const struct tfs_numbers *f, const uint8_t *a, const struct tfs_numbers *g,
			const uint8_t *b, size_t n)
{
	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		const uint8_t *p = a + at * f->width, *q = b + at * g->width;

		if (!add_quickly(d, f, p, g, q, len))
			add_any_pairs(d, f, p, g, q, len);
	}
}

void tfs_difference_merge(struct tfs_difference *d, const struct tfs_difference *more)
{
	d->n += more->n;
	d->finite += more->finite;
	d->not_finite += more->not_finite;
	d->differ += more->differ;
	d->max = more->max > d->max ? more->max : d->max;
	d->sum += more->sum;
	d->dd += more->dd;
	d->aa += more->aa;
	d->bb += more->bb;
	d->ab += more->ab;
}

double tfs_difference_max(const struct tfs_difference *d)
{
	return d->finite ? (double)d->max : (double)NAN;
}

double tfs_difference_mean(const struct tfs_difference *d)
{
	return d->finite ? (double)(d->sum / (long double)d->finite) : (double)NAN;
}

double tfs_difference_relative(const struct tfs_difference *d)
{
	return d->aa > 0 ? (double)sqrtl(d->dd / d->aa) : (double)(d->dd > 0 ? INFINITY : d->finite ? 0 : NAN);
}

double tfs_difference_cosine(const struct tfs_difference *d)
{
	const double c = (double)(d->ab / (sqrtl(d->aa) * sqrtl(d->bb)));

	return c > 1 ? 1 : c < -1 ? -1 : c;
}
