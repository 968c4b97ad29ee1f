/* SPDX-License-Identifier: MIT */
/*
 * What is kept of remote models, on disk, in a directory of the user's own (0700, files 0600):
 *
 *   objects/ab/KEY/data   a file, sparse, with the offsets that it has at its origin
 *   objects/ab/KEY/map    a header of 4 KiB that says what it is of, and a hash for each grain (remote/object.h); its mtime is when it
 *                         was last opened
 *   trees/NAME            the last table of files of an origin (remote/protocol.h), and a hash of it
 *
 * Several daemons use one directory. Who has an object open has a read lock (F_OFD_SETLK) on its map, and only what can be locked for
 * writing is deleted, the least recently used first: of a large file only as much as is needed, as a hole at its end. Who fetches grains has a write lock on their hashes in the map, so that others wait
 * for that instead of fetching them, too. If locks don't work there, an object may be deleted in use, which just goes on
 * with the deleted files; that bytes are right never depends on them.
 *
 * Thread-safe, except opening and closing.
 */
#ifndef TFS_REMOTE_CACHE_H
#define TFS_REMOTE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "remote/object.h"
#include "remote/table.h"

/* Names of objects and trees; a line about an object; what it is the bytes of, in full or cut off. With the NUL. */
enum { TFS_CACHE_NAME = 128, TFS_CACHE_ABOUT = 512, TFS_CACHE_IDENTITY = 1024 };

struct tfs_cache;

/*
 * The cache in @dir, which is created, or only read if it can't be written. @limit: bytes that it may have, or 0: all but a tenth of the
 * disk. -EPERM: it is another user's, or others may write it; -EINVAL: a directory of something else; another -errno; @err filled.
 */
int tfs_cache_open(const char *dir, uint64_t limit, struct tfs_cache **ret_cache, struct tfs_error *err);

/* The same if it is there, else nothing is written. -ENOENT: nothing is, or an empty directory; -EINVAL: a directory of something else. */
int tfs_cache_open_there(const char *dir, struct tfs_cache **ret_cache, struct tfs_error *err);

void tfs_cache_close(struct tfs_cache *c); /* no object may be open; accepts NULL */

/* The default directory: $XDG_CACHE_HOME/tensorfs, else ~/.cache/tensorfs, else of root /var/cache/tensorfs. False: there is none. */
bool tfs_cache_default(char *buf, size_t size);

const char *tfs_cache_path(const struct tfs_cache *c);
int tfs_cache_dir(const struct tfs_cache *c); /* its descriptor */

/* A name in it, of TFS_CACHE_NAME bytes: "PREFIX-HASH-" and a hash of @identity, or without @hash, "PREFIX-" and a longer one. */
void tfs_cache_key(const char *prefix, const char *hash, const char *identity, char *buf);

/*
 * Open the object @key, of @size bytes; it is created if possible. @identity: what it is of, which is compared; @about: a line for
 * people. -EMSGSIZE: there is one of another size, which stays; another -errno: it can't be used.
 */
int tfs_cache_object(struct tfs_cache *c, const char *key, const char *identity, const char *about, uint64_t size,
		     struct tfs_object *ret_object);

/* May @bytes more be written? May delete others' bytes for that. If so, it is to be said when they were. */
bool tfs_cache_room(struct tfs_cache *c, size_t bytes);
void tfs_cache_wrote(struct tfs_cache *c, size_t bytes);

/* Writing to it has failed with @code (an errno): says so, once. */
void tfs_cache_failed(struct tfs_cache *c, int code);

/* The table @name; *@ret_doubted: it was doubted. -ENOENT: there is none that is whole. */
int tfs_cache_get_tree(struct tfs_cache *c, const char *name, struct tfs_remote_table *ret_table, bool *ret_doubted);
/* It may be wrong: to be used only if there is no way to ask for another one. */
void tfs_cache_doubt_tree(struct tfs_cache *c, const char *name);
/* Keep it. Whether that works or not: nothing depends on it. */
void tfs_cache_put_tree(struct tfs_cache *c, const char *name, const struct tfs_remote_table *t);

/* --- For people --------------------------------------------------------------------------------------------------------- */

struct tfs_cache_entry {
	char key[TFS_CACHE_NAME];
	char about[TFS_CACHE_ABOUT];
	uint64_t size;	 /* of the file */
	uint64_t stored; /* bytes on disk, with the map */
	uint64_t data;	 /* of these, without it */
	struct timespec used;
	int mark; /* the caller's; 0 */
};

/* All objects, in an array that the caller frees, the least recently used first. 0 or -errno. */
int tfs_cache_list(struct tfs_cache *c, struct tfs_cache_entry **ret_entries, size_t *ret_n);

/* Open an object that is there, whatever it is of. */
int tfs_cache_object_by_key(struct tfs_cache *c, const char *key, struct tfs_object *ret_object);

/* Delete the object @key: 0; -EBUSY: it is in use; -ENOENT. */
int tfs_cache_remove(struct tfs_cache *c, const char *key);
int tfs_cache_remove_tree(struct tfs_cache *c, const char *name);

/* The names of all trees: as tfs_cache_list(); of TFS_CACHE_NAME bytes each. */
int tfs_cache_trees(struct tfs_cache *c, char (**ret_names)[TFS_CACHE_NAME], size_t *ret_n);

#endif
