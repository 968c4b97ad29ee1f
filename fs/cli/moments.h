/* SPDX-License-Identifier: MIT */
/*
 * What can be said of many values: their range, mean and deviation; and of two series of values, how much they differ. Values are
 * given as numbers.h says, in any number of pieces, which several threads may process: the results are merged. Sums of some thousand values
 * are float64 where that is exact enough, all others long double.
 */
#ifndef TFS_CLI_MOMENTS_H
#define TFS_CLI_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/numbers.h"

struct tfs_moments {
	uint64_t n; /* values: finite ones, which the rest is about, and … */
	uint64_t nan, inf, neg_inf;
	uint64_t zeros;
	long double min, max; /* only if any is finite */
	long double mean, m2; /* m2: sum of squares of the differences from the mean */
};

static inline uint64_t tfs_moments_finite(const struct tfs_moments *m)
{
	return m->n - m->nan - m->inf - m->neg_inf;
}

/* Add @n values at @data to @m, which all zero has none. */
void tfs_moments_add(struct tfs_moments *m, const struct tfs_numbers *f, const uint8_t *data, size_t n);
/* The same, but of float32 only n, nan, inf and neg_inf, quickly; and zeros is n only if all are zero. */
void tfs_moments_check(struct tfs_moments *m, const struct tfs_numbers *f, const uint8_t *data, size_t n);
void tfs_moments_merge(struct tfs_moments *m, const struct tfs_moments *more);

/* The standard deviation of all finite values (divided by their number, as numpy.std()); 0 if there are none. */
double tfs_moments_deviation(const struct tfs_moments *m);

/*
 * Values in @bins bins of equal width between @low and @high, as numpy.histogram(): each has its lower edge, the last also its upper
 * one. What is outside or NaN isn't counted.
 */
struct tfs_histogram {
	long double low, high;
	unsigned bins;
};
/* The lower edge of bin @i; the upper edge of the last one if @i is @bins. */
double tfs_histogram_edge(const struct tfs_histogram *h, unsigned i);
void tfs_histogram_add(const struct tfs_histogram *h, uint64_t *counts, const struct tfs_numbers *f, const uint8_t *data, size_t n);

/*
 * Two series, a and b, of the same type or not. Pairs in which one isn't finite are only counted: as equal if they are the same bits of one
 * type, or of two types the same infinity, or both NaN.
 */
struct tfs_difference {
	uint64_t n;
	uint64_t finite;	    /* pairs of finite values, which the figures are about */
	uint64_t not_finite;	    /* pairs that differ, one of which isn't finite */
	uint64_t differ;	    /* pairs of finite values that differ */
	long double max, sum;	    /* of |a - b| */
	long double dd, aa, bb, ab; /* sums of (a - b)², a², b² and a b */
};

void tfs_difference_add(struct tfs_difference *d, const struct tfs_numbers *f, const uint8_t *a, const struct tfs_numbers *g,
			const uint8_t *b, size_t n);
void tfs_difference_merge(struct tfs_difference *d, const struct tfs_difference *more);

/*
 * Maximum and mean of |a - b|, ||a - b|| / ||a||, and the cosine of the angle between a and b. NaN if it isn't defined, as without finite
 * values.
 */
double tfs_difference_max(const struct tfs_difference *d);
double tfs_difference_mean(const struct tfs_difference *d);
double tfs_difference_relative(const struct tfs_difference *d);
double tfs_difference_cosine(const struct tfs_difference *d);

#endif
