/* SPDX-License-Identifier: MIT */
#include "cli/moments.h"

#include <math.h>
#include <string.h>

/* Values that are processed at a time: they stay in the cache for a second look, and lanes can be added without much rounding. */
enum { BLOCK = 4096 };

/* Independent sums, so that a compiler can use vectors without changing what is added to what. */
enum { LANES = 8 };

#define EACH_LANE(j) for (unsigned j = 0; j < LANES; j++)

static double sum_of(const double *lanes)
{
	return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* --- One series ------------------------------------------------------------------------------------------------------------ */

/* Move what is finite to the front, and count the others. Returns how many there are. */
static size_t sort_out(float *x, size_t n, struct tfs_moments *m)
{
	size_t finite = 0;

	for (size_t i = 0; i < n; i++) {
		m->nan += isnan(x[i]) != 0;
		m->inf += x[i] == INFINITY;
		m->neg_inf += x[i] == -INFINITY;
		if (isfinite(x[i]))
			x[finite++] = x[i];
	}
	return finite;
}

/* Are the @n values all finite? And are any other than zero? By the bits of the largest. */
static uint32_t largest(const float *x, size_t n)
{
	uint32_t most[LANES] = { 0 }, all = 0;
	const size_t whole = n / LANES * LANES;

	for (size_t i = 0; i < whole; i += LANES) {
		uint32_t bits[LANES];

		memcpy(bits, x + i, sizeof bits);
		EACH_LANE(j)
		most[j] = (bits[j] & 0x7fffffff) > most[j] ? bits[j] & 0x7fffffff : most[j];
	}
	for (size_t i = whole; i < n; i++) {
		uint32_t bits;

		memcpy(&bits, x + i, sizeof bits);
		most[0] = (bits & 0x7fffffff) > most[0] ? bits & 0x7fffffff : most[0];
	}
	EACH_LANE(j)
	all = most[j] > all ? most[j] : all;
	return all;
}

enum { INFINITE = 0x7f800000 };

/* Of @n > 0 finite values, in room for whole lanes. */
static void add_finite(struct tfs_moments *m, const float *x, size_t n)
{
	struct tfs_moments b = { .n = n };
	float low[LANES], high[LANES];
	double sum[LANES] = { 0 }, squares[LANES] = { 0 };
	const size_t rest = n % LANES, whole = n - rest;

	EACH_LANE(j)
	low[j] = high[j] = x[0];
	for (size_t i = 0; i < whole; i += LANES)
		EACH_LANE(j)
		{
			low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
			high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
			sum[j] += (double)x[i + j];
		}
	for (size_t i = whole; i < n; i++) {
		low[0] = x[i] < low[0] ? x[i] : low[0];
		high[0] = x[i] > high[0] ? x[i] : high[0];
		sum[0] += (double)x[i];
	}
	b.mean = sum_of(sum) / (double)n;
	for (size_t i = 0; i < whole; i += LANES)
		EACH_LANE(j)
	squares[j] += ((double)x[i + j] - b.mean) * ((double)x[i + j] - b.mean);
	for (size_t i = whole; i < n; i++)
		squares[0] += ((double)x[i] - b.mean) * ((double)x[i] - b.mean);
	b.m2 = sum_of(squares);
	for (size_t i = 0; i < n; i++)
		b.zeros += x[i] == 0;
	b.min = (double)low[0];
	b.max = (double)high[0];
	EACH_LANE(j)
	{
		b.min = (double)low[j] < b.min ? (double)low[j] : b.min;
		b.max = (double)high[j] > b.max ? (double)high[j] : b.max;
	}
	tfs_moments_merge(m, &b);
}

void tfs_moments_add(struct tfs_moments *m, const uint8_t *floats, size_t n)
{
	float x[BLOCK];

	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;
		struct tfs_moments others = { 0 };

		memcpy(x, floats + at * sizeof *x, len * sizeof *x);
		const size_t finite = largest(x, len) < INFINITE ? len : sort_out(x, len, &others);
		others.n = len - finite;
		tfs_moments_merge(m, &others);
		if (finite)
			add_finite(m, x, finite);
	}
}

void tfs_moments_check(struct tfs_moments *m, const uint8_t *floats, size_t n)
{
	float x[BLOCK];

	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK;

		memcpy(x, floats + at * sizeof *x, len * sizeof *x);
		const uint32_t most = largest(x, len);
		m->n += len;
		if (!most)
			m->zeros += len;
		if (most >= INFINITE)
			sort_out(x, len, m);
	}
}

/* Chan, Golub and LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979. */
void tfs_moments_merge(struct tfs_moments *m, const struct tfs_moments *more)
{
	const double a = (double)tfs_moments_finite(m), b = (double)tfs_moments_finite(more), delta = more->mean - m->mean;

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

	return n ? sqrt(m->m2 / (double)n) : 0;
}

double tfs_histogram_edge(const struct tfs_histogram *h, unsigned i)
{
	return i == h->bins ? h->high : h->low + i * ((h->high - h->low) / h->bins);
}

void tfs_histogram_add(const struct tfs_histogram *h, uint64_t *counts, const uint8_t *floats, size_t n)
{
	const double scale = h->bins / (h->high - h->low);

	for (size_t i = 0; i < n; i++) {
		float x;

		memcpy(&x, floats + i * sizeof x, sizeof x);
		const double v = (double)x;
		if (!(v >= h->low && v <= h->high))
			continue;
		unsigned bin = (unsigned)((v - h->low) * scale);
		if (bin >= h->bins)
			bin = h->bins - 1;
		/* What rounding put on the wrong side of an edge. */
		if (v < tfs_histogram_edge(h, bin))
			bin--;
		else if (bin + 1 < h->bins && v >= tfs_histogram_edge(h, bin + 1))
			bin++;
		counts[bin]++;
	}
}

/* --- Two series ------------------------------------------------------------------------------------------------------------ */

static void add_pair(struct tfs_difference *d, float a, float b)
{
	const double x = (double)a, y = (double)b, e = x - y;

	d->differ += a != b;
	d->max = fabs(e) > d->max ? fabs(e) : d->max;
	d->sum += fabs(e);
	d->dd += e * e;
	d->aa += x * x;
	d->bb += y * y;
	d->ab += x * y;
}

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static void add_slowly(struct tfs_difference *d, const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float x, y;

		memcpy(&x, a + i * sizeof x, sizeof x);
		memcpy(&y, b + i * sizeof y, sizeof y);
		if (isfinite(x) && isfinite(y))
			add_pair(d, x, y);
		else
			d->not_finite += bits_of(x) != bits_of(y);
	}
}

typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t longs __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));

/* Sums of a block, by lanes. */
struct pair_sums {
	doubles max, sum, dd, aa, bb, ab;
	ints equal; /* minus their number */
};

static inline __attribute__((always_inline)) void add_lanes(struct pair_sums *s, const uint8_t *a, const uint8_t *b)
{
	const longs no_sign = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	floats fa, fb;

	memcpy(&fa, a, sizeof fa);
	memcpy(&fb, b, sizeof fb);
	const doubles x = __builtin_convertvector(fa, doubles), y = __builtin_convertvector(fb, doubles), e = x - y;
	const doubles size = (doubles)((longs)e & no_sign);
	const longs more = size > s->max;

	s->max = (doubles)(((longs)size & more) | ((longs)s->max & ~more));
	s->sum += size;
	s->dd += e * e;
	s->aa += x * x;
	s->bb += y * y;
	s->ab += x * y;
	s->equal += fa == fb;
}

static inline __attribute__((always_inline)) void add_all_lanes(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n)
{
	struct pair_sums s = { 0 };
	const size_t whole = n - n % LANES;

	for (size_t i = 0; i < whole; i += LANES)
		add_lanes(&s, a + i * sizeof(float), b + i * sizeof(float));
	if (whole < n) {
		uint8_t last[2][sizeof(floats)] = { 0 }; /* zeros are equal, and add nothing */

		memcpy(last[0], a + whole * sizeof(float), (n - whole) * sizeof(float));
		memcpy(last[1], b + whole * sizeof(float), (n - whole) * sizeof(float));
		add_lanes(&s, last[0], last[1]);
	}
	*ret = s;
}

typedef void add_all_lanes_fn(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n);

static void add_plainly(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n)
{
	add_all_lanes(ret, a, b, n);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void add_by_avx2(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n)
{
	add_all_lanes(ret, a, b, n);
}

__attribute__((target("avx512f"))) static void add_by_avx512(struct pair_sums *ret, const uint8_t *a, const uint8_t *b, size_t n)
{
	add_all_lanes(ret, a, b, n);
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

/* All values are finite if the sums are. The order of additions, so the result, is the same on every CPU. */
static void add_block(struct tfs_difference *d, const uint8_t *a, const uint8_t *b, size_t n)
{
	struct pair_sums s;
	double max[LANES];
	int32_t equal = 0;

	best_way()(&s, a, b, n);
	memcpy(max, &s.max, sizeof max);
	EACH_LANE(j)
	{
		d->max = max[j] > d->max ? max[j] : d->max;
		equal -= s.equal[j];
	}
	d->differ = (n + LANES - 1) / LANES * LANES - (uint64_t)equal;
	d->sum = sum_of((const double *)&s.sum);
	d->dd = sum_of((const double *)&s.dd);
	d->aa = sum_of((const double *)&s.aa);
	d->bb = sum_of((const double *)&s.bb);
	d->ab = sum_of((const double *)&s.ab);
}

void tfs_difference_add(struct tfs_difference *d, const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t at = 0; at < n; at += BLOCK) {
		const size_t len = n - at < BLOCK ? n - at : BLOCK, offset = at * sizeof(float);
		struct tfs_difference block = { 0 };

		add_block(&block, a + offset, b + offset, len);
		/* Squares of finite float32 don't overflow, so then some value isn't finite. */
		if (!isfinite(block.aa) || !isfinite(block.bb)) {
			block = (struct tfs_difference){ 0 };
			add_slowly(&block, a + offset, b + offset, len);
		}
		block.n = len;
		tfs_difference_merge(d, &block);
	}
}

void tfs_difference_merge(struct tfs_difference *d, const struct tfs_difference *more)
{
	d->n += more->n;
	d->not_finite += more->not_finite;
	d->differ += more->differ;
	d->max = more->max > d->max ? more->max : d->max;
	d->sum += more->sum;
	d->dd += more->dd;
	d->aa += more->aa;
	d->bb += more->bb;
	d->ab += more->ab;
}

double tfs_difference_mean(const struct tfs_difference *d)
{
	return d->n ? d->sum / (double)d->n : NAN;
}

double tfs_difference_relative(const struct tfs_difference *d)
{
	return d->aa > 0 ? sqrt(d->dd / d->aa) : d->dd > 0 ? INFINITY : d->n ? 0 : NAN;
}

double tfs_difference_cosine(const struct tfs_difference *d)
{
	const double c = d->ab / (sqrt(d->aa) * sqrt(d->bb));

	return c > 1 ? 1 : c < -1 ? -1 : c;
}
