/* SPDX-License-Identifier: MIT */
/*
 * File names of tensors. A tensor's name may be any string; its file name is the same string except that NUL, '/', '%',
 * control characters, and names that are "." or ".." are %XX-escaped; the empty name is "%" (base/escape.h). A name that would be
 * too long with the longest suffix of any view is truncated and ends in '~' and 16 hex digits of the XXH64 of the whole name: a
 * tensor has the same name in every view, except for the suffix. The names here have no suffix.
 *
 * A set's names are looked up and listed through a table of struct names, created when one of its views is first used.
 */
#ifndef TFS_FS_NAMES_H
#define TFS_FS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

/* NAME_MAX of every Linux file system; FUSE refuses longer ones (FUSE_NAME_MAX is 1024, but VFS clients count on 255). */
enum { TFS_NAME_MAX = 255, TFS_SUFFIX_MAX = sizeof ".json" - 1 };

/* Longer names are truncated. */
enum { TFS_STEM_MAX = TFS_NAME_MAX - TFS_SUFFIX_MAX };

/*
 * The file name of tensor @name (@len bytes) into @buf (TFS_STEM_MAX + 1 bytes), NUL-terminated. @seed is that of the hash: 0, or
 * more to distinguish two names that would be equal after truncation. Returns its length.
 */
size_t tfs_name_of(const char *name, size_t len, uint64_t seed, char *buf);

/* Is a name too long for a file name? */
bool tfs_name_is_cut(const char *name, size_t len);

/* A file name that is truncated even if it needn't be, and ends in '~' and @hash; into @buf as above. Returns its length. */
size_t tfs_name_hashed(const char *name, size_t len, uint64_t hash, char *buf);

struct names;

/* The table for the tensors of @set, which must outlive it. NULL: out of memory. */
struct names *tfs_names_create(const struct tfs_set *set);
void tfs_names_destroy(struct names *n); /* takes NULL */

/*
 * The tensor whose file name is the @len bytes at @name, or UINT32_MAX. Codes and the scaled weight that is computed from them may
 * have the same name: then the codes, and *@ret_other is the weight; else that is UINT32_MAX.
 */
uint32_t tfs_names_find(const struct names *n, const char *name, size_t len, uint32_t *ret_other);

/* The tensor at @place, less than tfs_set_n_all(), sorted by strcmp of the file names. */
uint32_t tfs_names_at(const struct names *n, uint32_t place);

/* The file name of @tensor into @buf as above; returns its length. */
size_t tfs_names_get(const struct names *n, uint32_t tensor, char *buf);

#endif
