/* SPDX-License-Identifier: MIT */
/*
 * What GPTQ and AWQ have in common: P`qweight`, words of 32 bits with several codes each, P`qzeros`, such words of zero points, and
 * P`scales`, mostly the other way round than the weight that they make, P`weight` [out, in]. Private to these two.
 */
#ifndef TFS_MODEL_SCHEME_COLUMNS_H
#define TFS_MODEL_SCHEME_COLUMNS_H

#include "model/schemes.h"

/* How the words of codes are laid out: the shapes tell. */
enum tfs_columns_layout {
	TFS_COLUMNS_NONE,
	TFS_COLUMNS_GPTQ, /* codes [in · bits / 32, out], scales [groups, out] */
	TFS_COLUMNS_GEMM, /* AutoAWQ's: codes [in, out / 8], scales [groups, out] */
	TFS_COLUMNS_GEMV, /* AutoAWQ's: codes [out, in / 8], scales [out, groups and padding] */
	TFS_COLUMNS_SEVERAL,
};

struct tfs_columns {
	const struct tfs_tensor *codes;
	const struct tfs_tensor *scales, *zeros, *groups; /* NULL: not there, or empty; without scales there is no layout */
	enum tfs_columns_layout layout;
	uint64_t group_size; /* GEMV */
};

/*
 * Are @t such codes? That is, words called so, and beside them zero points, or scales of a layout that there is, or a configuration that
 * says so. False too where they are another scheme's.
 */
bool tfs_columns_of(struct tfs_schemes *s, const struct tfs_tensor *t, struct tfs_columns *ret);

/* tfs_schemes_refuse(); and neither zero points nor groups are shown. */
int tfs_columns_refuse(struct tfs_schemes *s, const struct tfs_columns *c, const char *scheme, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* What the configuration calls the format of the checkpoint, or "". */
const char *tfs_columns_format(struct tfs_schemes *s);
/* The same, by AutoAWQ's name too. */
const char *tfs_columns_version(struct tfs_schemes *s);

/* How many of @in inputs, in their order, share one of @n scales. 0: it can't be told. */
uint64_t tfs_columns_group_size(struct tfs_schemes *s, uint64_t in, uint64_t n);

/* Fill @w but for its codes, for a weight [out, in] whose scales [groups, out] are kept as [out, groups]. @group_size 0: has_groups. */
void tfs_columns_spread(struct tfs_scaled *w, const struct tfs_columns *c, uint64_t in, uint64_t group_size);

/* Add it as P`weight` [w->rows, w->cols]. */
int tfs_columns_add(struct tfs_schemes *s, const struct tfs_columns *c, const struct tfs_scaled *w);

/* All scales, from [groups, out] to [out, groups], so that those of a row are near each other. -ENOMEM, @err filled. */
int tfs_columns_scales(const struct tfs_scaled *w, const uint8_t *bytes, float *ret_scale, struct tfs_error *err);

/* 8 codes of @bits each, the first one lowest, in the low bits of @codes: a byte each. What is above them doesn't matter. */
static inline uint64_t tfs_columns_bytes(uint64_t codes, unsigned bits)
{
	const uint64_t four = (1ull << 4 * bits) - 1;
	const uint64_t two = ((1ull << 2 * bits) - 1) * 0x0000000100000001u;
	const uint64_t one = ((1ull << bits) - 1) * 0x0001000100010001u;

	codes = (codes & four) | (codes >> 4 * bits & four) << 32;
	codes = (codes & two) | (codes & two << 2 * bits) << (16 - 2 * bits);
	return (codes & one) | (codes & one << bits) << (8 - bits);
}

#endif
