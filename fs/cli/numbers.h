/* SPDX-License-Identifier: MIT */
/*
 * The values of a tensor, without rounding: how they are read, and what they are. Most types are exact in float32, F64 and integers of 32 bits
 * in float64, those of 64 bits in long double, which has a precision of 64 bits or more wherever tensorfs runs.
 */
#ifndef TFS_CLI_NUMBERS_H
#define TFS_CLI_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/view.h"
#include "convert/convert.h"
#include "convert/narrow.h"

/* The smallest type in which all of them are exact. */
enum tfs_precision { TFS_FLOAT, TFS_DOUBLE, TFS_LONG_DOUBLE };

struct tfs_numbers {
	enum tfs_view_id view; /* the file to read: TFS_RAW, or TFS_F32 where values aren't stored one by one */
	uint32_t width;	       /* bytes of a value there, little-endian */
	enum tfs_precision precision;
	/* Private. */
	tfs_convert_fn *convert; /* to float32, as f32/ has it; NULL: they are float32 already */
	tfs_convert_fn *to_odd;	 /* the same to narrow it then, unless it is exact */
	void (*to_double)(const uint8_t *src, double *dst, size_t n);	 /* DOUBLE */
	void (*to_long)(const uint8_t *src, long double *dst, size_t n); /* LONG_DOUBLE */
};

/* Those of @t; false if it has none, as codes and complex numbers. */
bool tfs_numbers_of(const struct tfs_tensor *t, struct tfs_numbers *ret);

/*
 * The @n values at @data, at any address, as a type in which they are exact. @buf has room for them; float32 may be at @data itself, not
 * aligned.
 */
const uint8_t *tfs_numbers_floats(const struct tfs_numbers *f, const uint8_t *data, float *buf, size_t n);
void tfs_numbers_doubles(const struct tfs_numbers *f, const uint8_t *data, double *dst, size_t n);
void tfs_numbers_long_doubles(const struct tfs_numbers *f, const uint8_t *data, long double *dst, size_t n);

/*
 * The values, each rounded once: to 2 bytes by @narrow, or to float32 if that is NULL. To @dst, of any alignment. Returns how many were finite,
 * and are infinities now.
 */
size_t tfs_numbers_round(const struct tfs_numbers *f, tfs_narrow_fn *narrow, const uint8_t *data, uint8_t *dst, size_t n);

#endif
