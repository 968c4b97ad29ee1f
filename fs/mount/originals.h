/* SPDX-License-Identifier: MIT */
/*
 * Original files as backing files. A second keeper (keeper.h) registers them, and does nothing else: their storage may hang when one is
 * closed, and resident tensors and unmounting mustn't wait for that.
 *
 * To register one takes longer than the rest of its open. So what was closed last stays registered for the next open, one of each slot; so
 * does its place on disk, if it is removed meanwhile.
 */
#ifndef TFS_FS_ORIGINALS_H
#define TFS_FS_ORIGINALS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "mount/helper.h"

/* A node's is its number modulo this. */
enum { TFS_ORIGINALS_SLOTS = 256 };

struct tfs_originals {
	struct tfs_helper keeper;
	pthread_mutex_t lock;
	struct {
		uint32_t node;
		int id;		       /* 0: none */
	} closed[TFS_ORIGINALS_SLOTS]; /* what no open file has */
	int *dropped;		       /* registrations that nobody needs, and the keeper hasn't been told of */
	size_t n, room;
};

#define TFS_ORIGINALS_NONE ((struct tfs_originals){ .keeper = TFS_HELPER_NONE, .lock = PTHREAD_MUTEX_INITIALIZER })

/*
 * Register the original file @node, which is @fd, open for reading, and was just found to be what the scan saw. May wait as long as storage
 * does. The kernel's name for it, above 0; -errno.
 */
int tfs_originals_register(struct tfs_originals *o, uint32_t node, int fd);

/* @node is closed, and its registration @id for the next open. Waits for nothing. */
void tfs_originals_closed(struct tfs_originals *o, uint32_t node, int id);

/* What @node was has changed: no open may get it any more. Waits for nothing. */
void tfs_originals_changed(struct tfs_originals *o, uint32_t node);

/* End the keeper, which must no longer be asked. */
void tfs_originals_end(struct tfs_originals *o);

#endif
