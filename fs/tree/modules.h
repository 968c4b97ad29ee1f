/* SPDX-License-Identifier: MIT */
/*
 * tree/: the tensors of a set as a tree of modules. A name is split into parts at every '.' and '/'; the last part is a file, the
 * others are the directories above it. The rules for the name of an entry:
 *
 *   a.b.weight          a/b/weight
 *   a..b                a/%/b           an empty part is "%"
 *   a beside a.b        a/@, a/b        a tensor that is a directory, too, is the file "@" in it
 *   a.@                 a/%40           a part that is "@" is escaped; other parts are as in names.h
 *   a.b beside a/b      a/b, a/b~HASH   of names that differ in nothing but separators the first (by memcmp) has the plain path,
 *                                       the others end in '~' and 16 hex digits of the XXH64 of the tensor's whole name
 *   a.<300 bytes>.b     a/<…>~HASH/b    a part that is too long for a file name is cut, as in names.h
 *
 * A name that is written just as such a one would be keeps its own; the hash is then taken with the next seed.
 *
 * No directory is stored. In the order of their parts the tensors of a directory are neighbours: it is known by the first of them
 * and the number of parts that they have in common. What a set needs is that order, where it isn't the set's own, and a row
 * for each entry with a hash in its name. Immutable once made, so any thread may use it.
 */
#ifndef TFS_FS_MODULES_H
#define TFS_FS_MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "tree/names.h"

/*
 * A name has at most this many parts: the last one is all that is left, in which '/' is escaped. So directories are at most one
 * less deep, which fits 8 bits of an inode number. Models nest ten deep; PATH_MAX lets nobody name more than 2048.
 */
enum { TFS_MODULE_PARTS = 256 };

/* A directory: the tensors, in the order of their parts, from place @first on that have their first @depth parts in common. */
struct tfs_module {
	uint32_t first;
	uint8_t depth;
};

/* What is in a directory. */
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

/* Is there such a directory? Any numbers may be asked about; the functions below take directories that there are. */
bool tfs_modules_valid(const struct modules *m, struct tfs_module dir);

/* The directory that @dir, not the root, stands in. */
struct tfs_module tfs_modules_parent(const struct modules *m, struct tfs_module dir);

/* The entry called @name; false: there is none. */
bool tfs_modules_find(const struct modules *m, struct tfs_module dir, const char *name, struct tfs_module_entry *ret_entry);

/*
 * The entry at *@place, and its name into @name (TFS_NAME_MAX + 1 bytes); *@place moves on to the next one. The first is at 0,
 * but they are not counted one by one; what is no entry's place is taken for the next one that is. False: there are no more.
 */
bool tfs_modules_entry(const struct modules *m, struct tfs_module dir, uint64_t *place, char *name,
		       struct tfs_module_entry *ret_entry);

#endif
