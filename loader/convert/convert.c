/* SPDX-License-Identifier: MIT */
#include "convert/convert.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "convert/kernels.h"

enum { LEVELS_MOST = 8 }; /* of one architecture */

/* Written once, under levels_merged: CPUID exits a virtual machine, and every layout of a listing asks for a kernel. */
static struct {
	unsigned n, best;
	struct tfs_kernels of[LEVELS_MOST]; /* each with those of the levels below it; empty if this CPU lacks the level */
} levels;
static pthread_once_t levels_merged = PTHREAD_ONCE_INIT;

void tfs_kernels_put(struct tfs_kernels *k, const char *dtype, tfs_convert_fn *fn)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(dtype, strlen(dtype));

	assert(d);
	k->convert[tfs_dtype_index(d)] = fn;
}

static void merge_levels(void)
{
	struct tfs_kernels k = { 0 };

	for (const struct tfs_level *l; (l = tfs_levels[levels.n]); levels.n++) {
		assert(levels.n < LEVELS_MOST);
		if (l->supported && !l->supported())
			continue;
		l->override(&k);
		levels.of[levels.n] = k;
		levels.best = levels.n;
	}
}

unsigned tfs_simd_levels(void)
{
	pthread_once(&levels_merged, merge_levels);
	return levels.n;
}

const char *tfs_simd_name(unsigned level)
{
	return tfs_levels[level]->name;
}

unsigned tfs_simd_best(void)
{
	pthread_once(&levels_merged, merge_levels);
	return levels.best;
}

const struct tfs_kernels *tfs_kernels_for_level(unsigned level)
{
	return level < tfs_simd_levels() ? &levels.of[level] : NULL;
}

const struct tfs_kernels *tfs_kernels_best(void)
{
	return tfs_kernels_for_level(tfs_simd_best());
}

tfs_narrow_fn *tfs_to_bf16_for_level(unsigned level)
{
	return level < tfs_simd_levels() ? levels.of[level].to_bf16 : NULL;
}

tfs_narrow_fn *tfs_to_f16_for_level(unsigned level)
{
	return level < tfs_simd_levels() ? levels.of[level].to_f16 : NULL;
}

tfs_narrow_fn *tfs_to_bf16(void)
{
	return tfs_to_bf16_for_level(tfs_simd_best());
}

tfs_narrow_fn *tfs_to_f16(void)
{
	return tfs_to_f16_for_level(tfs_simd_best());
}

tfs_convert_fn *tfs_convert_for(const struct tfs_dtype *dtype)
{
	return tfs_convert_for_level(dtype, tfs_simd_best());
}

tfs_convert_fn *tfs_convert_for_level(const struct tfs_dtype *dtype, unsigned level)
{
	size_t i = tfs_dtype_index(dtype);

	return i < TFS_DTYPES && level < tfs_simd_levels() ? levels.of[level].convert[i] : NULL;
}
