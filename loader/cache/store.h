/* SPDX-License-Identifier: MIT */
/*
 * Where resident bytes live: a private tmpfs with huge pages, mounted detached, so it has no path. Every backing file holds exactly
 * the bytes of one virtual file. Huge pages come from the mount option, because for a memfd they depend on a sysctl that is "never"
 * by default.
 *
 * A file is written through the descriptor of tfs_store_create() and afterwards only opened for reading. It is never truncated or
 * punched: a reader may have it mapped long after the kernel told us that it was closed. Removing its name is always safe; its
 * memory is freed with the last mapping.
 *
 * Thread-safe: the store itself is immutable after creation.
 */
#ifndef TFS_STORE_H
#define TFS_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct tfs_store;

/*
 * Needs CAP_SYS_ADMIN and Linux >= 5.2. @limit: limit in bytes that the file system itself enforces, as a backstop for the budget's
 * own accounting; 0 for none. -EPERM, -ENOSYS: not available here.
 */
int tfs_store_open(uint64_t limit, struct tfs_store **ret_store, struct tfs_error *err);

/* The same for another user, who will use the store: @uid and @gid own its directory. */
int tfs_store_open_for(uint64_t limit, uid_t uid, gid_t gid, struct tfs_store **ret_store, struct tfs_error *err);

/* Give its directory to @uid and @gid instead. 0 or -errno. */
int tfs_store_give(struct tfs_store *s, uid_t uid, gid_t gid);

/* Its directory: a descriptor opened with O_PATH, which the store owns. */
int tfs_store_dir(const struct tfs_store *s);

/* Call @fn before file @id is removed, from whichever thread removes it. To be set before there are files. */
typedef void tfs_store_removed_fn(void *arg, uint64_t id);
void tfs_store_on_remove(struct tfs_store *s, tfs_store_removed_fn *fn, void *arg);

/*
 * Ask @fn for a file to become @id, which is to be created: the name of an empty one; or 0: none is ready. It is called in the thread that
 * creates it, and may create files itself, without a size. To be set before there are files.
 */
typedef uint64_t tfs_store_ready_fn(void *arg, uint64_t id);
void tfs_store_on_create(struct tfs_store *s, tfs_store_ready_fn *fn, void *arg);

/* Create an empty file named @id, for such. 0 or -errno. */
int tfs_store_make_ready(struct tfs_store *s, uint64_t id);

void tfs_store_close(struct tfs_store *s); /* takes NULL */

/* Create a file named @id of @size zero bytes. Returns a descriptor for writing, owned by the caller, or -errno. */
int tfs_store_create(struct tfs_store *s, uint64_t id, uint64_t size);

/* A read-only descriptor of file @id, owned by the caller, or -errno. */
int tfs_store_reader(struct tfs_store *s, uint64_t id);

/* The same opened with O_PATH: it names the file without using it, so tfs_store_in_use() may still say no. */
int tfs_store_path(struct tfs_store *s, uint64_t id);

/*
 * Does any process have file @id open or mapped? This process must have no descriptor of it. A write lease is granted only to the
 * sole opener of a file, and a mapping counts as an opener until it is unmapped (fcntl(2), F_SETLEASE; the kernel's
 * check_conflicting_open()). In doubt: true.
 */
bool tfs_store_in_use(struct tfs_store *s, uint64_t id);

void tfs_store_remove(struct tfs_store *s, uint64_t id);

/* Bytes of memory that the files use, including removed but still mapped ones. Without a limit the kernel doesn't count: 0. */
uint64_t tfs_store_used(struct tfs_store *s);

/* What a file of @size bytes costs in the budget: whole pages. */
uint64_t tfs_store_cost(uint64_t size);

#endif
