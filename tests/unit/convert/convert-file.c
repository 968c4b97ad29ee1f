/* SPDX-License-Identifier: MIT */
/*
 * convert-file: the names of the levels that this CPU has, one a line.
 * convert-file LEVEL DTYPE: packed elements on standard input to float32 on standard output. Exit status 3: no kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/convert.h"

static const struct tfs_dtype *any_dtype(void)
{
	return tfs_dtype_by_name("F32", 3);
}

static int convert(tfs_convert_fn *fn, const struct tfs_dtype *dtype)
{
	/* A page of blocks at a time, as a pipeline would. */
	size_t elems = 4096 * (size_t)dtype->block_elems, n;
	uint8_t *in = malloc(4096 * (size_t)dtype->block_bytes);
	float *out = malloc(elems * sizeof *out);
	int rc = 1;

	if (!in || !out)
		goto done;
	while ((n = fread(in, dtype->block_bytes, 4096, stdin))) {
		fn(in, out, n * dtype->block_elems);
		if (fwrite(out, sizeof *out, n * dtype->block_elems, stdout) != n * dtype->block_elems)
			goto done;
	}
	rc = ferror(stdin) || fflush(stdout) ? 1 : 0;
done:
	free(in);
	free(out);
	return rc;
}

int main(int argc, char **argv)
{
	for (unsigned level = 0; level < tfs_simd_levels(); level++) {
		if (argc == 1 && tfs_convert_for_level(any_dtype(), level))
			puts(tfs_simd_name(level));
		if (argc == 3 && !strcmp(argv[1], tfs_simd_name(level))) {
			const struct tfs_dtype *dtype = tfs_dtype_by_name(argv[2], strlen(argv[2]));
			tfs_convert_fn *fn = dtype ? tfs_convert_for_level(dtype, level) : NULL;

			return fn ? convert(fn, dtype) : 3;
		}
	}
	return argc == 1 ? 0 : 2;
}
