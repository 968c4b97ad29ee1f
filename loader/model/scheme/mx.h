/* SPDX-License-Identifier: MIT */
/*
 * What MX (OCP Microscaling Formats v1.0) and NVFP4 have in common, whoever writes them: codes of 4 or 8 bits, in groups along the rows,
 * with a scale of 8 bits for each group and, in NVFP4, one of 32 bits above these.
 */
#ifndef TFS_MODEL_SCHEME_MX_H
#define TFS_MODEL_SCHEME_MX_H

#include "model/schemes.h"

struct tfs_mx {
	uint64_t group;	    /* columns that share a scale */
	bool e4m3;	    /* the bytes of the scales are F8_E4M3, whatever their type is called; else F8_E8M0 */
	bool tiled;	    /* the scales are in tiles of 128 by 4, as cuBLAS wants them */
	bool divide;	    /* a scale is divided by the one above it; else multiplied with it, and rounded */
	uint64_t tile_rows; /* the rows that the tiles are for, where these are more than the weight's; else 0 */
};

/* A weight of codes of E2M1; parts, formula and scheme are the caller's. */
#define TFS_MX_FP4                                                                                \
	{                                                                                         \
		.ops = &tfs_mx_ops, .n_parts = 2, .bits = 4, .factor = 1, .value = TFS_VALUE_E2M1 \
	}
extern const struct tfs_scaled_ops tfs_mx_ops;

/* May @t be codes of 4 bits: bytes of two, or F4? */
bool tfs_mx_is_fp4(const struct tfs_tensor *t);

/* The shape of the values of such a @t, into @ret_shape of TFS_MAX_DIMS. False: it has none. */
bool tfs_mx_fp4_shape(const struct tfs_tensor *t, uint64_t *ret_shape);

/*
 * As tfs_schemes_add(), for the codes w->parts[0], with the scales w->parts[1] and those above them, w->parts[2], where w->n_parts is 3:
 * one, one for each expert, or for each half of the rows of each expert. Refuses it where they don't go together.
 */
int tfs_mx_add(struct tfs_schemes *s, const char *name, size_t len, const uint64_t *shape, unsigned ndim, const struct tfs_mx *how,
	       struct tfs_scaled *w);

#endif
