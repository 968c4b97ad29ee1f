/* SPDX-License-Identifier: MIT */
/* Binary search in anything sorted. */
#ifndef TFS_BASE_SEARCH_H
#define TFS_BASE_SEARCH_H

#include <stddef.h>

/*
 * The first index in [@lo, @hi) for which @before is false, or @hi. @before is an expression in the index, named @i, that is true
 * up to some index and false from there on. tfs_search(i, 0, n, key_of(a[i]) < key)
 */
#define tfs_search(i, lo, hi, before)                           \
	__extension__({                                         \
		size_t lo_ = (lo), hi_ = (hi);                  \
		while (lo_ < hi_) {                             \
			const size_t i = lo_ + (hi_ - lo_) / 2; \
			if (before)                             \
				lo_ = (i) + 1;                  \
			else                                    \
				hi_ = i;                        \
		}                                               \
		lo_;                                            \
	})

#endif
