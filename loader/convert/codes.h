/* SPDX-License-Identifier: MIT */
/*
 * Decoding of codes, also of less than a byte, and scaling: the steps that compute the values of a quantised weight
 * (tensor/scaled.h). All in float32, with one rounding per operation, never contracted to a fused one (meson.build), so the bits
 * are the same on every CPU. Functions without state.
 */
#ifndef TFS_CONVERT_CODES_H
#define TFS_CONVERT_CODES_H

#include <stddef.h>
#include <stdint.h>

struct tfs_code_pairs;

/*
 * The values of the two codes in each of @n bytes at @src, as @pairs has them. Returns for how many bytes: a multiple of a vector, the
 * rest is left to plain C.
 */
typedef size_t tfs_nibbles_fn(const uint8_t *src, size_t n, const struct tfs_code_pairs *pairs, float *dst);

/* For each byte, the values of the two 4-bit codes in it. */
struct tfs_code_pairs {
	float of[256][2];
	float table[16]; /* of one code */
	int high_first;
	tfs_nibbles_fn *nibbles; /* for this CPU, or NULL */
};

/* @table: the value of each code. @high_first: the first one is the high half. */
void tfs_code_pairs_make(const float table[16], int high_first, struct tfs_code_pairs *ret_pairs);

/* @n values from code @first on of those at @src, two per byte. */
void tfs_codes_by_pairs(const uint8_t *src, uint64_t first, size_t n, const struct tfs_code_pairs *pairs, float *dst);

/* The same for codes of @bits, 1 to 8, in a bit stream, lowest first; reads nothing of @src beyond the last code's byte. */
void tfs_codes_by_bits(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst);

/* The same for 32 / bits codes in each little-endian 32-bit word. */
void tfs_codes_by_words(const uint8_t *src, uint64_t first, size_t n, unsigned bits, const float *table, float *dst);

/* The same for one code per byte. */
void tfs_codes_by_bytes(const uint8_t *src, size_t n, const float *table, float *dst);

/* In place, for @n values: x · s; (x − z) · s; x · s + z; x / s. */
void tfs_scale_times(float *x, size_t n, float s);
void tfs_scale_minus_times(float *x, size_t n, float z, float s);
void tfs_scale_times_plus(float *x, size_t n, float s, float z);
void tfs_scale_divided(float *x, size_t n, float s);
/* The same with a scale, and an offset, for each value. */
void tfs_scale_each_times(float *x, size_t n, const float *s);
void tfs_scale_each_minus_times(float *x, size_t n, const float *z, const float *s);
void tfs_scale_each_times_plus(float *x, size_t n, const float *s, const float *z);
void tfs_scale_each_divided(float *x, size_t n, const float *s);

#endif
