/* SPDX-License-Identifier: MIT */
/*
 * A merge sort of pointers that exploits existing runs. What we sort is mostly in order already (headers written by name or by
 * offset, shards that are each sorted), and the cost is in comparing long names with long common prefixes; qsort(3) can't exploit
 * that. Stable; O(n log n) comparisons at worst, n if the input is sorted.
 */
#ifndef TFS_BASE_SORT_H
#define TFS_BASE_SORT_H

#include <stddef.h>
#include <string.h>

#include "base/search.h"

/* Order of names, which may contain NUL: memcmp, then length. */
static inline int tfs_name_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

struct tfs_name_part {
	const char *s;
	size_t len;
};

/* The same for @name and the @n parts of a name, one after the other, which needs no memory to put them together. */
static inline int tfs_name_cmp_parts(const char *name, size_t len, const struct tfs_name_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const size_t part = parts[i].len, m = part < len ? part : len;
		int c = m ? memcmp(name, parts[i].s, m) : 0;

		if (c || len < part)
			return c ? c : -1;
		name += part;
		len -= part;
	}
	return len > 0;
}

typedef int tfs_compare_fn(const void *a, const void *b);

struct tfs_sort_run {
	size_t start, len;
};

#define TFS_SORT_INLINE	 static inline __attribute__((always_inline)) /* so @cmp is inlined, too */
#define TFS_SORT_MIN_RUN 12					      /* shorter runs are extended to this length by insertion */

/* First position in the @n sorted pointers at @a whose element is greater than (@after: not less than) @key. */
TFS_SORT_INLINE size_t tfs_sort_bound_(const void *const *a, size_t n, const void *key, int after, tfs_compare_fn *cmp)
{
	return tfs_search(i, 0, n, cmp(a[i], key) < after);
}

/* Do the @n sorted pointers at @a include one equal to @key? */
TFS_SORT_INLINE int tfs_sorted_have(const void *const *a, size_t n, const void *key, tfs_compare_fn *cmp)
{
	size_t at = tfs_sort_bound_(a, n, key, 0, cmp);

	return at < n && !cmp(a[at], key);
}

/* Merge the neighbouring runs a[0, n1) and a[n1, n1 + n2). */
TFS_SORT_INLINE void tfs_sort_merge_(const void **a, size_t n1, size_t n2, const void **tmp, tfs_compare_fn *cmp)
{
	const void **b = a + n1, **out;
	size_t skip, i = 0, j = 0;

	if (cmp(b[-1], b[0]) <= 0)
		return;
	/* What precedes the other run's first element, or follows its last, is in place. */
	skip = tfs_sort_bound_(a, n1, b[0], 1, cmp);
	a += skip;
	n1 -= skip;
	n2 = tfs_sort_bound_(b, n2, a[n1 - 1], 0, cmp);

	memcpy(tmp, a, n1 * sizeof *a);
	for (out = a; i < n1 && j < n2;)
		*out++ = cmp(b[j], tmp[i]) < 0 ? b[j++] : tmp[i++];
	memcpy(out, tmp + i, (n1 - i) * sizeof *a);
}

/* Length of the run at a[0, n), extended to TFS_SORT_MIN_RUN if there are that many. */
TFS_SORT_INLINE size_t tfs_sort_run_(const void **a, size_t n, tfs_compare_fn *cmp)
{
	size_t len = 1, want = n < TFS_SORT_MIN_RUN ? n : TFS_SORT_MIN_RUN;

	while (len < n && cmp(a[len - 1], a[len]) <= 0)
		len++;
	for (; len < want; len++) {
		const void *x = a[len];
		size_t at = tfs_sort_bound_(a, len, x, 1, cmp);

		memmove(a + at + 1, a + at, (len - at) * sizeof *a);
		a[at] = x;
	}
	return len;
}

/* Sort the @n pointers at @a by @cmp; @tmp has room for @n more. */
TFS_SORT_INLINE void tfs_sort(const void **a, size_t n, const void **tmp, tfs_compare_fn *cmp)
{
	/* Each run is at least twice as long as the one above it, so 64 hold any number of them. */
	struct tfs_sort_run runs[64];
	size_t at = 0, depth = 0;

	while (at < n) {
		size_t len = tfs_sort_run_(a + at, n - at, cmp);

		runs[depth++] = (struct tfs_sort_run){ at, len };
		at += len;
		/* The last run merges all, the others only what is too short to wait. */
		while (depth > 1 && (at == n || runs[depth - 2].len < 2 * runs[depth - 1].len)) {
			struct tfs_sort_run *left = &runs[depth - 2];

			tfs_sort_merge_(a + left->start, left->len, left[1].len, tmp, cmp);
			left->len += left[1].len;
			depth--;
		}
	}
}

#endif
