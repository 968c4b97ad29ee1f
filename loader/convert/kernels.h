/* SPDX-License-Identifier: MIT */
/*
 * Kernels by level. A level is a set of vector instructions and the kernels that use them: a file or a few, and a row in levels.c
 * in its architecture's folder; meson decides which folder that is. A level need not have every kernel: convert.c lets each, once,
 * override those of the levels below it. F32 is memcpy in all. Only AVX-512 has an instruction for several U64 or I64; one by one
 * is fast enough for types that don't store weights.
 */
#ifndef TFS_CONVERT_KERNELS_H
#define TFS_CONVERT_KERNELS_H

#include <stdbool.h>

#include "convert/codes.h"
#include "convert/convert.h"
#include "convert/narrow.h"

/* The kernels of one CPU. Kernels of another signature need a field of their own here, and lines in each override(). */
struct tfs_kernels {
	tfs_convert_fn *convert[TFS_DTYPES]; /* by the dtype's index; NULL: it has no numeric meaning as float32 */
	tfs_narrow_fn *to_bf16, *to_f16;
	tfs_nibbles_fn *nibbles; /* NULL: none */
};

struct tfs_level {
	const char *name;	 /* "avx2" */
	bool (*supported)(void); /* by this CPU; NULL: by all */
	/* Put all kernels of the level into @k, replacing those of lower levels. */
	void (*override)(struct tfs_kernels *k);
};

/* The levels of this architecture, from the lowest, which is plain C; ended by NULL. */
extern const struct tfs_level *const tfs_levels[];
extern const struct tfs_level tfs_level_scalar;

/* Those of this CPU, and of one without levels above @level; NULL if this one lacks it. */
const struct tfs_kernels *tfs_kernels_best(void);
const struct tfs_kernels *tfs_kernels_for_level(unsigned level);

/* For override(): @fn is the kernel of the built-in dtype of that name. */
void tfs_kernels_put(struct tfs_kernels *k, const char *dtype, tfs_convert_fn *fn);

/*
 * Plain C: scalar.c, and GGUF's block types in quant.c, kquant.c and iquant.c. Every dtype has one, and other levels use it for
 * what is less than a vector.
 */
tfs_convert_fn tfs_boolean_scalar, tfs_u8_scalar, tfs_i8_scalar, tfs_u16_scalar, tfs_i16_scalar, tfs_u32_scalar;
tfs_convert_fn tfs_i32_scalar, tfs_u64_scalar, tfs_i64_scalar, tfs_f64_scalar, tfs_f32_scalar, tfs_f16_scalar;
tfs_convert_fn tfs_bf16_scalar, tfs_e4m3_scalar, tfs_e5m2_scalar, tfs_e8m0_scalar, tfs_e4m3fnuz_scalar;
tfs_convert_fn tfs_e5m2fnuz_scalar, tfs_f4_scalar, tfs_e2m3_scalar, tfs_e3m2_scalar;
tfs_convert_fn tfs_ml_e3m4_scalar, tfs_ml_e4m3_scalar, tfs_ml_e4m3b11fnuz_scalar, tfs_ml_e2m3fn_scalar, tfs_ml_e3m2fn_scalar,
	tfs_ml_e2m1fn_scalar, tfs_ml_int2_scalar, tfs_ml_uint2_scalar, tfs_ml_int4_scalar, tfs_ml_uint4_scalar;
tfs_convert_fn tfs_i4_scalar, tfs_u4_scalar, tfs_i2_scalar, tfs_u2_scalar;
tfs_convert_fn tfs_q4_0_scalar, tfs_q4_1_scalar, tfs_q5_0_scalar, tfs_q5_1_scalar, tfs_q8_0_scalar, tfs_q8_1_scalar;
tfs_convert_fn tfs_q1_0_scalar, tfs_q2_0_scalar, tfs_tq1_0_scalar, tfs_tq2_0_scalar, tfs_mxfp4_scalar, tfs_nvfp4_scalar;
tfs_convert_fn tfs_q2_k_scalar, tfs_q3_k_scalar, tfs_q4_k_scalar, tfs_q5_k_scalar, tfs_q6_k_scalar, tfs_q8_k_scalar;
tfs_convert_fn tfs_iq2_xxs_scalar, tfs_iq2_xs_scalar, tfs_iq2_s_scalar, tfs_iq3_xxs_scalar, tfs_iq3_s_scalar;
tfs_convert_fn tfs_iq1_s_scalar, tfs_iq1_m_scalar, tfs_iq4_nl_scalar, tfs_iq4_xs_scalar;
tfs_narrow_fn tfs_to_bf16_scalar, tfs_to_f16_scalar;

#endif
