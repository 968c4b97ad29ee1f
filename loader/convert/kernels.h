/* SPDX-License-Identifier: MIT */
/* The kernels by name, tfs_DTYPE_LEVEL, for convert.c's table. Each level's are in the file named after it. */
#ifndef TFS_CONVERT_KERNELS_H
#define TFS_CONVERT_KERNELS_H

#include "convert/convert.h"

#if defined(__x86_64__)
#define TFS_HAVE_X86 1
#endif
#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TFS_HAVE_NEON 1
#endif

/* Every dtype has this one. */
tfs_convert_fn tfs_boolean_scalar, tfs_u8_scalar, tfs_i8_scalar, tfs_u16_scalar, tfs_i16_scalar, tfs_u32_scalar;
tfs_convert_fn tfs_i32_scalar, tfs_u64_scalar, tfs_i64_scalar, tfs_f64_scalar, tfs_f32_scalar, tfs_f16_scalar;
tfs_convert_fn tfs_bf16_scalar, tfs_e4m3_scalar, tfs_e5m2_scalar, tfs_e8m0_scalar, tfs_e4m3fnuz_scalar;
tfs_convert_fn tfs_e5m2fnuz_scalar, tfs_f4_scalar, tfs_e2m3_scalar, tfs_e3m2_scalar;
tfs_convert_fn tfs_ml_e3m4_scalar, tfs_ml_e4m3_scalar, tfs_ml_e4m3b11fnuz_scalar, tfs_ml_e2m3fn_scalar, tfs_ml_e3m2fn_scalar,
	tfs_ml_e2m1fn_scalar, tfs_ml_int2_scalar, tfs_ml_uint2_scalar, tfs_ml_int4_scalar, tfs_ml_uint4_scalar;
tfs_convert_fn tfs_i4_scalar, tfs_u4_scalar, tfs_i2_scalar, tfs_u2_scalar;
/* GGUF's block types: quant.c, kquant.c, iquant.c */
tfs_convert_fn tfs_q4_0_scalar, tfs_q4_1_scalar, tfs_q5_0_scalar, tfs_q5_1_scalar, tfs_q8_0_scalar, tfs_q8_1_scalar;
tfs_convert_fn tfs_q1_0_scalar, tfs_q2_0_scalar, tfs_tq1_0_scalar, tfs_tq2_0_scalar, tfs_mxfp4_scalar, tfs_nvfp4_scalar;
tfs_convert_fn tfs_q2_k_scalar, tfs_q3_k_scalar, tfs_q4_k_scalar, tfs_q5_k_scalar, tfs_q6_k_scalar, tfs_q8_k_scalar;
tfs_convert_fn tfs_iq2_xxs_scalar, tfs_iq2_xs_scalar, tfs_iq2_s_scalar, tfs_iq3_xxs_scalar, tfs_iq3_s_scalar;
tfs_convert_fn tfs_iq1_s_scalar, tfs_iq1_m_scalar, tfs_iq4_nl_scalar, tfs_iq4_xs_scalar;

/*
 * F32 is memcpy. Only AVX-512 has an instruction for several U64 or I64; one by one is fast enough for types that don't store
 * weights.
 */
tfs_convert_fn tfs_boolean_neon, tfs_u8_neon, tfs_i8_neon, tfs_u16_neon, tfs_i16_neon, tfs_u32_neon, tfs_i32_neon;
tfs_convert_fn tfs_f64_neon, tfs_f16_neon, tfs_bf16_neon, tfs_e4m3_neon, tfs_e5m2_neon, tfs_e8m0_neon;
tfs_convert_fn tfs_e4m3fnuz_neon, tfs_e5m2fnuz_neon, tfs_f4_neon, tfs_e2m3_neon, tfs_e3m2_neon;
tfs_convert_fn tfs_q4_0_neon, tfs_q8_0_neon, tfs_q4_k_neon, tfs_q5_k_neon, tfs_q6_k_neon, tfs_mxfp4_neon;

tfs_convert_fn tfs_boolean_avx2, tfs_u8_avx2, tfs_i8_avx2, tfs_u16_avx2, tfs_i16_avx2, tfs_u32_avx2, tfs_i32_avx2;
tfs_convert_fn tfs_f64_avx2, tfs_f16_avx2, tfs_bf16_avx2, tfs_e4m3_avx2, tfs_e5m2_avx2, tfs_e8m0_avx2;
tfs_convert_fn tfs_e4m3fnuz_avx2, tfs_e5m2fnuz_avx2, tfs_f4_avx2, tfs_e2m3_avx2, tfs_e3m2_avx2;
tfs_convert_fn tfs_q4_0_avx2, tfs_q8_0_avx2, tfs_q4_k_avx2, tfs_q5_k_avx2, tfs_q6_k_avx2, tfs_mxfp4_avx2;

tfs_convert_fn tfs_boolean_avx512, tfs_u8_avx512, tfs_i8_avx512, tfs_u16_avx512, tfs_i16_avx512, tfs_u32_avx512;
tfs_convert_fn tfs_i32_avx512, tfs_u64_avx512, tfs_i64_avx512, tfs_f64_avx512, tfs_f16_avx512, tfs_bf16_avx512;
tfs_convert_fn tfs_e4m3_avx512, tfs_e5m2_avx512, tfs_e8m0_avx512, tfs_e4m3fnuz_avx512, tfs_e5m2fnuz_avx512;
tfs_convert_fn tfs_f4_avx512, tfs_e2m3_avx512, tfs_e3m2_avx512;
tfs_convert_fn tfs_q4_0_avx512, tfs_q8_0_avx512, tfs_q4_k_avx512, tfs_q5_k_avx512, tfs_q6_k_avx512, tfs_mxfp4_avx512;

#endif
