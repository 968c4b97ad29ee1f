/* SPDX-License-Identifier: MIT */
/* Time that only goes forward (CLOCK_MONOTONIC), in seconds since an arbitrary moment. */
#ifndef TFS_BASE_CLOCK_H
#define TFS_BASE_CLOCK_H

#include <time.h>

static inline double tfs_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
