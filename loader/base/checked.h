/* SPDX-License-Identifier: MIT */
/*
 * Checked integer arithmetic with C23's names: ckd_add(&r, a, b) stores a + b in r, wrapped to r's type, and is true if that isn't
 * the exact sum. Every sum and product of numbers that come from a file goes through these.
 */
#ifndef TFS_BASE_CHECKED_H
#define TFS_BASE_CHECKED_H

#if __has_include(<stdckdint.h>)
#include <stdckdint.h>
#else
#define ckd_add(r, a, b) __builtin_add_overflow(a, b, r)
#define ckd_sub(r, a, b) __builtin_sub_overflow(a, b, r)
#define ckd_mul(r, a, b) __builtin_mul_overflow(a, b, r)
#endif

#endif
