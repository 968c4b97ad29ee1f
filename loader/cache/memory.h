/* SPDX-License-Identifier: MIT */
/* How much memory the budget may be. */
#ifndef TFS_CACHE_MEMORY_H
#define TFS_CACHE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Smaller budgets couldn't hold even a few slots of a stream. */
#define TFS_MEMORY_MIN ((uint64_t)64 << 20)

/* What is available now, to the whole machine and within the limits of this process's memory cgroups. The page cache is. */
uint64_t tfs_memory_left(void);

/* Half of that, but at least TFS_MEMORY_MIN. */
uint64_t tfs_memory_default(void);

/*
 * The most that a budget may be: seven eighths of the lowest limit of this process's memory cgroups, as the daemon needs some itself
 * and a group at its limit has a process killed; TFS_MEMORY_MIN at least. UINT64_MAX: no limit.
 */
uint64_t tfs_memory_limit(void);

/* Is less than a quarter left, of the machine's memory or within those limits? True where nothing says. */
bool tfs_memory_is_short(void);

#endif
