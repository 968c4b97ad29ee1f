/* SPDX-License-Identifier: MIT */
/*
 * XXH3 of many bytes. libxxhash's plain functions use the vectors that its compiler was told of, which is SSE2 in distributions. Where
 * it has others that look at the CPU, these are used: 1.6 times as fast with AVX2, from memory, and 3 times from the cache.
 */
#ifndef TFS_BASE_XXH3_H
#define TFS_BASE_XXH3_H

#include "config.h"

#ifdef HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* replaces XXH3_… by macros */
#else
#include <xxhash.h>
#endif

#endif
