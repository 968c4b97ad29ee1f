/* SPDX-License-Identifier: MIT */
/*
 * tree/: the tensors of a set as a tree of modules. A name is split into parts at every '.' and '/'; the last part is a file, the
 * others are the directories above it. The rules for the name of an entry:
 *
 *   a.b.weight          a/b/weight
 *   a..b                a/%/b           an empty part is "%"
 *   a beside a.b        a/@, a/b        a tensor that is also a directory is the file "@" in it
 *   a.@                 a/%40           a part that is "@" is escaped; other parts are as in names.h
 *   a.b beside a/b      a/b, a/b~HASH   of names that differ only in separators the first (by memcmp) has the plain path,
 *                                       the others end in '~' and 16 hex digits of the XXH64 of the tensor's whole name
 *   a.<300 bytes>.b     a/<…>~HASH/b    a part that is too long for a file name is truncated, as in names.h
 *
 * A plain name that looks like such a one keeps it; the hash is then computed with the next seed.
 *
 * No directory is stored. Sorted by their parts the tensors of a directory are adjacent: it is identified by the first of them and
 * the number of parts that they have in common. A set needs only that order, if it isn't the set's own, and a row for each entry
 * with a hash in its name. Immutable once created, so any thread may use it.
 */
#ifndef TFS_FS_MODULES_H
#define TFS_FS_MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "tree/names.h"

/*
 * A name has at most this many parts: the last one is the rest of the name, with '/' escaped. So directories are at most one level
 * less deep, which fits in 8 bits of an inode number. Models nest ten deep; PATH_MAX limits paths to 2048 parts.
 */
enum { TFS_MODULE_PARTS = 256 };

/* A directory: the tensors, sorted by their parts, from position @first on that have their first @depth parts in common. */
struct tfs_module {
	uint32_t first;
	uint8_t depth;
};

/* An entry of a directory. */
struct tfs_module_entry {
	bool is_dir;
	struct tfs_module dir; /* if it is */
	uint32_t tensor;       /* if not: index into set->tensors */
};

struct modules;

/* The tree of those tensors of @set, which must outlive it, that have a file in tensors/. NULL: out of memory. */
struct modules *tfs_modules_create(const struct tfs_set *set);
void tfs_modules_destroy(struct modules *m); /* takes NULL */

/* The directory tree/ itself; it may be empty. */
static inline struct tfs_module tfs_modules_root(void)
{
	return (struct tfs_module){ 0, 0 };
}

/* Does this directory exist? Accepts any numbers; the functions below require existing directories. */
bool tfs_modules_valid(const struct modules *m, struct tfs_module dir);

/* The parent of @dir, which isn't the root. */
struct tfs_module tfs_modules_parent(const struct modules *m, struct tfs_module dir);

/* The entry named @name; false: there is none. */
bool tfs_modules_find(const struct modules *m, struct tfs_module dir, const char *name, struct tfs_module_entry *ret_entry);

/*
 * The entry at *@place, and its name into @name (TFS_NAME_MAX + 1 bytes); *@place advances to the next one. The first is at 0, but
 * positions aren't consecutive; one without an entry means the next one that has one. False: there are no more.
 */
bool tfs_modules_entry(const struct modules *m, struct tfs_module dir, uint64_t *place, char *name,
		       struct tfs_module_entry *ret_entry);

#endif
