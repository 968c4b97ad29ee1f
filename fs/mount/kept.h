/* SPDX-License-Identifier: MIT */
/*
 * Backing files of resident tensors that stay registered with the kernel after the last close, as the next open would have to ask
 * another process to register them again. They are by their names in the store, so files that share one have one registration. An
 * entry is taken out when its file is removed from the store. Thread-safe.
 */
#ifndef TFS_FS_KEPT_H
#define TFS_FS_KEPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many are kept: each costs some 400 bytes of kernel memory. What is registered beyond that is unregistered with its last close. */
enum { TFS_KEPT_MAX = 1 << 16 };

struct tfs_kept_entry;

struct tfs_kept {
	pthread_mutex_t lock;
	struct tfs_kept_entry **buckets; /* NULL: nothing was kept so far */
	size_t n;
};

void tfs_kept_init(struct tfs_kept *k);
void tfs_kept_fini(struct tfs_kept *k);

/* The registration of @name; 0: none. */
int tfs_kept_find(struct tfs_kept *k, uint64_t name);

/* Keep @id. False: there are too many, or @name has another already, or out of memory; @id is the caller's to unregister. */
bool tfs_kept_add(struct tfs_kept *k, uint64_t name, int id);

/* Are as many kept as may be? */
bool tfs_kept_is_full(struct tfs_kept *k);

/* Take out the registration of @name, which the caller unregisters; 0: none. */
int tfs_kept_take(struct tfs_kept *k, uint64_t name);

#endif
