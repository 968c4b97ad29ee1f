/* SPDX-License-Identifier: MIT */
/*
 * A scaled weight: the values of a weight of a quantised checkpoint, computed from its codes and their scales and the like. To the
 * rest of the loader it is a tensor of type F32, encoded as TFS_SCALED (tensor/catalog.h), described by this. A scheme
 * (model/schemes.h) finds such weights and describes here how to compute their values; content/scaled.c does that.
 *
 * A value is computed from one code, one scale and, in some schemes, one offset, in float32, in this order, with one rounding per
 * operation:
 *
 *	TFS_SCALED_TIMES           value(code) · scale
 *	TFS_SCALED_MINUS_TIMES    (value(code) − offset) · scale
 *	TFS_SCALED_TIMES_PLUS      value(code) · scale + offset
 *	TFS_SCALED_DIVIDED         value(code) / scale
 *
 * and then multiplied by the factor, if that isn't 1.
 */
#ifndef TFS_TENSOR_SCALED_H
#define TFS_TENSOR_SCALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "tensor/catalog.h"

enum tfs_scaled_form { TFS_SCALED_TIMES, TFS_SCALED_MINUS_TIMES, TFS_SCALED_TIMES_PLUS, TFS_SCALED_DIVIDED };

/* What a code is worth by itself. Those of 8 bits only, and of other sizes, are marked; the others are of @bits bits, 1 to 8. */
enum tfs_scaled_value {
	TFS_VALUE_UNSIGNED,
	TFS_VALUE_SIGNED, /* two's complement */
	TFS_VALUE_E2M1,	  /* 4 bits: sign, 2 exponent, 1 mantissa (OCP Microscaling Formats, 5.3.3) */
	TFS_VALUE_E4M3,	  /* 8 bits, as F8_E4M3 */
	TFS_VALUE_E5M2,	  /* 8 bits, as F8_E5M2 */
	TFS_VALUE_TABLE,  /* struct tfs_scaled_operands.table, which prepare() fills */
	TFS_VALUE_DTYPE,  /* 8, 16, 32 or 64 bits: what f32/ shows of their tensor's own type, whose elements are of so many bits */
};

/* How the codes are stored in their tensor. */
enum tfs_scaled_packing {
	/* Row @r, counted through all experts, begins at byte @r * row_bytes: a bit stream, the first code in the lowest bits. */
	TFS_PACKED_ROWS,
	/* The same for 4 bits, with the first code of a byte in its high half. */
	TFS_PACKED_HIGH_FIRST,
	/* The same with 32 / bits codes in each little-endian 32-bit word, lowest bits first; its highest bits may be unused. */
	TFS_PACKED_WORDS,
	/* Anything else: all codes are read at once, and unpack() brings them to the order of the values. */
	TFS_PACKED_OTHERWISE,
};

/* More than any scheme has of one weight. */
#define TFS_SCALED_PARTS 24

struct tfs_scaled;

/* Filled by prepare(); after that, only the codes of a weight's parts are needed. Zeroed, with the sizes that the weight gives. */
struct tfs_scaled_operands {
	float *scale;	 /* n_scales */
	float *offset;	 /* n_scales, with the same indices; NULL if the form has none */
	uint32_t *group; /* cols, if has_groups: the group of each column, below per_row; else NULL */
	float table[256];
};

/* How a scheme processes a weight's bytes, which are as struct tfs_tensor describes. Pure functions. */
struct tfs_scaled_ops {
	/*
	 * @parts[i]: all bytes of w->parts[i], except for the codes (0), which are NULL here. -EINVAL, @err filled: they contradict
	 * each other.
	 */
	int (*prepare)(const struct tfs_scaled *w, const uint8_t *const *parts, struct tfs_scaled_operands *ret,
		       struct tfs_error *err);
	/*
	 * TFS_PACKED_OTHERWISE: bring all @stored bytes of the codes to the order of the values: a byte for each of the experts * rows *
	 * cols, or, where row_bytes isn't 0, rows as TFS_PACKED_ROWS has them.
	 */
	void (*unpack)(const struct tfs_scaled *w, const uint8_t *stored, uint8_t *ret_codes);
};

struct tfs_scaled {
	const char *scheme;  /* its name in meta/ and warnings: "fp8", "gptq" */
	const char *formula; /* for people: "code * scale" */
	const struct tfs_scaled_ops *ops;
	unsigned n_parts;
	unsigned n_marks; /* after the parts, what only describes the weight, as its shape, and isn't needed to make values */
	const struct tfs_tensor *parts[TFS_SCALED_PARTS]; /* of the same set; the codes first */
	uint8_t bits;					  /* of a code */
	enum tfs_scaled_value value;
	enum tfs_scaled_packing packing;
	enum tfs_scaled_form form;
	float factor;

	/*
	 * The values in C order as @experts matrices of @rows by @cols, as the scales apply to them; that needn't be the weight's
	 * shape. Value (e, r, c) has the scale and offset with index
	 *	e * per_expert + (r / row_block) * per_row + g * per_col
	 * where g is c / col_block, or group[c]. All indices are below n_scales.
	 */
	uint64_t experts, rows, cols;
	uint64_t row_bytes; /* of the codes; OTHERWISE: of those that unpack() makes, 0: a byte for each value */
	uint64_t row_block, col_block;
	uint64_t per_expert, per_row, per_col;
	size_t n_scales;
	bool has_groups;
	uint64_t group_size; /* columns per group, for people; 0: not grouped by columns */

	bool other_way_round;	     /* checkpoints that aren't quantised have the last two axes of this weight swapped */
	uint64_t arg[4];	     /* the scheme's own */
	const float *scales, *zeros; /* the scheme's own: n_scales numbers each, which the file has beside its tensors; or NULL */
};

/* How the scaled weight @t is computed. */
static inline struct tfs_scaled tfs_scaled_of(const struct tfs_tensor *t)
{
	struct tfs_scaled w = *t->encoding->scaled;

	memcpy(w.parts, t->encoding->parts, w.n_parts * sizeof *w.parts);
	return w;
}

#endif
