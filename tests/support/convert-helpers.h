/* SPDX-License-Identifier: MIT */
/* What the tests of kernels share: numbers that are the same in every run, and a check of what a kernel touches. */
#ifndef TEST_CONVERT_HELPERS_H
#define TEST_CONVERT_HELPERS_H

#include "support/helpers.h"

#include <stdbool.h>

#include "convert/convert.h"

static inline uint32_t bits_of(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	return bits;
}

/* splitmix64: the same numbers in every run. */
static inline uint64_t next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline const struct tfs_dtype *dtype_named(const char *name)
{
	const struct tfs_dtype *d = tfs_dtype_by_name(name, strlen(name));

	assert_non_null(d);
	return d;
}

static inline void print_levels(void)
{
	for (unsigned level = 0; level < tfs_simd_levels(); level++) {
		bool has = tfs_convert_for_level(dtype_named("BF16"), level);

		printf("# %s: %s\n", tfs_simd_name(level), has ? "tested" : "SKIP: this CPU lacks it");
	}
}

/* @len bytes in front of a page that can't be touched, in a mapping of @map_len. */
static inline uint8_t *before_the_wall(size_t len, void **ret_map, size_t *ret_map_len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page;
	uint8_t *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
	*ret_map = map;
	*ret_map_len = room + page;
	return map + room - len;
}

/* Up to @most elements of @d by every level: as the scalar kernel has them, at any alignment, and not a byte beyond. */
static inline void check_reach(const struct tfs_dtype *d, size_t most)
{
	enum { ROOM = 16 };
	tfs_convert_fn *scalar = tfs_convert_for_level(d, TFS_SIMD_SCALAR);
	size_t most_bytes = most / d->block_elems * d->block_bytes;
	uint8_t *bytes = malloc(most_bytes + 1), *shifted = malloc(most_bytes + 64);
	float *want = malloc((most + 1) * sizeof *want), *out = malloc((ROOM + most + ROOM) * sizeof *out), sentinel;
	uint64_t seed = 1;

	assert_true(bytes && shifted && want && out);
	memset(&sentinel, 0xa5, sizeof sentinel);
	for (size_t i = 0; i < most_bytes; i++)
		bytes[i] = (uint8_t)next(&seed);
	scalar(bytes, want, most);

	for (unsigned level = 0; level < tfs_simd_levels(); level++) {
		tfs_convert_fn *fn = tfs_convert_for_level(d, level);

		for (size_t n = 0; fn && n <= most; n += d->block_elems) {
			size_t len = n / d->block_elems * d->block_bytes, src_len, dst_len;
			void *src_map, *dst_map;
			uint8_t *src = before_the_wall(len, &src_map, &src_len);
			float *dst = (float *)(void *)before_the_wall(n * sizeof *dst, &dst_map, &dst_len);

			/* Up to the last byte that may be read and written. */
			memcpy(src, bytes, len);
			fn(src, dst, n);
			assert_memory_equal(dst, want, n * sizeof *dst);
			munmap(src_map, src_len);
			munmap(dst_map, dst_len);

			/* Any alignment, and nothing in front or behind. */
			for (size_t by = 0; by < 64; by += 1 + by / 9) {
				float *at = out + ROOM - by % ROOM;

				for (size_t i = 0; i < ROOM + most + ROOM; i++)
					out[i] = sentinel;
				memcpy(shifted + by, bytes, len);
				fn(shifted + by, at, n);
				assert_memory_equal(at, want, n * sizeof *at);
				for (size_t i = 0; i < ROOM + most + ROOM; i++)
					if (&out[i] < at || &out[i] >= at + n)
						assert_memory_equal(&out[i], &sentinel, sizeof sentinel);
			}
		}
	}
	free(bytes);
	free(shifted);
	free(want);
	free(out);
}

#endif
