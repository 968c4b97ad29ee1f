/* SPDX-License-Identifier: MIT */
/*
 * File names of tensors. A tensor's name may be any string; its file name is the same string except that NUL, '/', '%',
 * control characters, and names that are "." or ".." are %XX-escaped; the empty name is "%". A name that would be longer than
 * a file name may be is cut and ends in '~' and 16 hex digits of the XXH64 of the whole name.
 *
 * A set's names are looked up and listed through a table of struct names, made when its directory is first looked into.
 */
#ifndef TFS_FS_NAMES_H
#define TFS_FS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "view/view.h"

/* NAME_MAX of every Linux file system; FUSE refuses longer ones (FUSE_NAME_MAX is 1024, but VFS clients count on 255). */
enum { TFS_NAME_MAX = 255 };

/*
 * The file name of tensor @name (@len bytes) with @suffix behind it into @buf (TFS_NAME_MAX + 1 bytes), NUL-terminated. @seed is
 * that of the hash: 0, or more to tell apart two names that would be equal after cutting. Returns its length.
 */
size_t tfs_name_of(const char *name, size_t len, const char *suffix, uint64_t seed, char *buf);

/* Is a name too long for a file name with a suffix of @suffix_len bytes? */
bool tfs_name_is_cut(const char *name, size_t len, size_t suffix_len);

/* A file name that is cut even if it need not be, and ends in '~' and @hash; into @buf as above. Returns its length. */
size_t tfs_name_hashed(const char *name, size_t len, uint64_t hash, char *buf);

struct names;

/*
 * The table for those tensors of @set that loader view @view shows, in files that end in @suffix (which must outlive it).
 * NULL: out of memory.
 */
struct names *tfs_names_create(const struct tfs_set *set, enum tfs_view_id view, const char *suffix);
void tfs_names_destroy(struct names *n); /* takes NULL */

/* The tensor whose file name is @name, or UINT32_MAX. */
uint32_t tfs_names_find(const struct names *n, const char *name);

/* How many there are. */
uint32_t tfs_names_count(const struct names *n);

/* The tensor at @place of the listing, which is sorted by strcmp of the file names; its file name into @buf as above. */
uint32_t tfs_names_at(const struct names *n, uint32_t place, char *buf);

/* The file name of @tensor into @buf as above; returns its length. */
size_t tfs_names_get(const struct names *n, uint32_t tensor, char *buf);

#endif
