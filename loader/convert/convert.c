/* SPDX-License-Identifier: MIT */
#include "convert/convert.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "convert/kernels.h"

#ifdef TFS_HAVE_X86
#include <cpuid.h>
#endif

/* Kernels of the levels that this architecture has; others aren't even declared. */
#define SCALAR(name) [TFS_SIMD_SCALAR] = tfs_##name##_scalar
#ifdef TFS_HAVE_NEON
#define NEON(name) , [TFS_SIMD_NEON] = tfs_##name##_neon
#else
#define NEON(name)
#endif
#ifdef TFS_HAVE_X86
#define AVX2(name)   , [TFS_SIMD_AVX2] = tfs_##name##_avx2
#define AVX512(name) , [TFS_SIMD_AVX512] = tfs_##name##_avx512
#else
#define AVX2(name)
#define AVX512(name)
#endif
#define ALL(name) SCALAR(name) NEON(name) AVX2(name) AVX512(name)

/*
 * The kernels of each dtype, by name. To add a type, write its scalar kernel, declare it in kernels.h and add a row here; kernels
 * of higher levels go in the same row. Types that aren't here have no f32 view.
 */
/* clang-format off */
static const struct row {
	const char *dtype;
	tfs_convert_fn *kernel[TFS_SIMD_LEVELS]; /* NULL: that of the next level below */
} rows[] = {
	{ "BF16",        { ALL(bf16) } },
	{ "F16",         { ALL(f16) } },
	{ "F32",         { SCALAR(f32) } },
	{ "F64",         { ALL(f64) } },
	{ "F8_E4M3",     { ALL(e4m3) } },
	{ "F8_E5M2",     { ALL(e5m2) } },
	{ "F8_E8M0",     { ALL(e8m0) } },
	{ "F8_E4M3FNUZ", { ALL(e4m3fnuz) } },
	{ "F8_E5M2FNUZ", { ALL(e5m2fnuz) } },
	{ "F4",          { ALL(f4) } },
	{ "F6_E2M3",     { ALL(e2m3) } },
	{ "F6_E3M2",     { ALL(e3m2) } },
	{ "BOOL",        { ALL(boolean) } },
	{ "U8",          { ALL(u8) } },
	{ "I8",          { ALL(i8) } },
	{ "U16",         { ALL(u16) } },
	{ "I16",         { ALL(i16) } },
	{ "U32",         { ALL(u32) } },
	{ "I32",         { ALL(i32) } },
	{ "U64",         { SCALAR(u64) AVX512(u64) } },
	{ "I64",         { SCALAR(i64) AVX512(i64) } },
	{ "I4",          { SCALAR(i4) } },
	{ "U4",          { SCALAR(u4) } },
	{ "I2",          { SCALAR(i2) } },
	{ "U2",          { SCALAR(u2) } },
	{ "float8_e3m4", { SCALAR(ml_e3m4) } },
	{ "float8_e4m3", { SCALAR(ml_e4m3) } },
	{ "float8_e4m3b11fnuz", { SCALAR(ml_e4m3b11fnuz) } },
	{ "float6_e2m3fn", { SCALAR(ml_e2m3fn) } },
	{ "float6_e3m2fn", { SCALAR(ml_e3m2fn) } },
	{ "float4_e2m1fn", { SCALAR(ml_e2m1fn) } },
	{ "int2",        { SCALAR(ml_int2) } },
	{ "uint2",       { SCALAR(ml_uint2) } },
	{ "int4",        { SCALAR(ml_int4) } },
	{ "uint4",       { SCALAR(ml_uint4) } },
	{ "Q4_0",        { ALL(q4_0) } },
	{ "Q4_1",        { SCALAR(q4_1) } },
	{ "Q5_0",        { SCALAR(q5_0) } },
	{ "Q5_1",        { SCALAR(q5_1) } },
	{ "Q8_0",        { ALL(q8_0) } },
	{ "Q8_1",        { SCALAR(q8_1) } },
	{ "Q2_K",        { SCALAR(q2_k) } },
	{ "Q3_K",        { SCALAR(q3_k) } },
	{ "Q4_K",        { ALL(q4_k) } },
	{ "Q5_K",        { ALL(q5_k) } },
	{ "Q6_K",        { ALL(q6_k) } },
	{ "Q8_K",        { SCALAR(q8_k) } },
	{ "IQ2_XXS",     { SCALAR(iq2_xxs) } },
	{ "IQ2_XS",      { SCALAR(iq2_xs) } },
	{ "IQ2_S",       { SCALAR(iq2_s) } },
	{ "IQ3_XXS",     { SCALAR(iq3_xxs) } },
	{ "IQ3_S",       { SCALAR(iq3_s) } },
	{ "IQ1_S",       { SCALAR(iq1_s) } },
	{ "IQ1_M",       { SCALAR(iq1_m) } },
	{ "IQ4_NL",      { SCALAR(iq4_nl) } },
	{ "IQ4_XS",      { SCALAR(iq4_xs) } },
	{ "TQ1_0",       { SCALAR(tq1_0) } },
	{ "TQ2_0",       { SCALAR(tq2_0) } },
	{ "MXFP4",       { ALL(mxfp4) } },
	{ "NVFP4",       { SCALAR(nvfp4) } },
	{ "Q1_0",        { SCALAR(q1_0) } },
	{ "Q2_0",        { SCALAR(q2_0) } },
};
/* clang-format on */

static bool probe(enum tfs_simd level)
{
	switch (level) {
	case TFS_SIMD_SCALAR:
		return true;
#ifdef TFS_HAVE_NEON
	case TFS_SIMD_NEON:
		return true; /* part of the architecture */
#endif
#ifdef TFS_HAVE_X86
	case TFS_SIMD_AVX2: {
		unsigned a, b, c, d;

		/* clang's __builtin_cpu_supports() has no f16c before 19. avx2 implies that the system saves the registers. */
		return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
	}
	case TFS_SIMD_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
	default:
		return false;
	}
}

static bool cpu_has(enum tfs_simd level)
{
	/*
	 * 0: not determined yet. Every thread gets the same result. Cached, as CPUID exits a virtual machine, and each file of a
	 * listing needs it.
	 */
	static _Atomic signed char known[TFS_SIMD_LEVELS];
	signed char k = atomic_load_explicit(&known[level], memory_order_relaxed);

	if (!k) {
		k = probe(level) ? 1 : -1;
		atomic_store_explicit(&known[level], k, memory_order_relaxed);
	}
	return k > 0;
}

enum tfs_simd tfs_simd_best(void)
{
	int level = TFS_SIMD_LEVELS - 1;

	while (!cpu_has((enum tfs_simd)level))
		level--;
	return (enum tfs_simd)level;
}

const char *tfs_simd_name(enum tfs_simd level)
{
	static const char *const names[TFS_SIMD_LEVELS] = { "scalar", "neon", "avx2", "avx512" };

	return names[level];
}

/* Indexed by dtype: every layout of a listing looks one up. */
static tfs_convert_fn *best_kernels[TFS_DTYPES];
static pthread_once_t best_kernels_found = PTHREAD_ONCE_INIT;

static void find_best_kernels(void)
{
	for (size_t i = 0; i < TFS_DTYPES; i++)
		best_kernels[i] = tfs_convert_for_level(tfs_dtype_at(i), tfs_simd_best());
}

tfs_convert_fn *tfs_convert_for(const struct tfs_dtype *dtype)
{
	size_t i = tfs_dtype_index(dtype);

	pthread_once(&best_kernels_found, find_best_kernels);
	return i < TFS_DTYPES ? best_kernels[i] : NULL;
}

tfs_convert_fn *tfs_convert_for_level(const struct tfs_dtype *dtype, enum tfs_simd level)
{
	if (!cpu_has(level))
		return NULL;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strcmp(rows[i].dtype, dtype->name))
			continue;
		/* The CPU has the lower levels, too: a level that it lacks has no kernel here, or has been superseded. */
		for (int l = level; l >= 0; l--)
			if (rows[i].kernel[l] && cpu_has((enum tfs_simd)l))
				return rows[i].kernel[l];
	}
	return NULL;
}
