/* SPDX-License-Identifier: MIT */
/*
 * Original files as backing files. A second keeper (keeper.h) registers them, and does nothing else: their storage may hang when one is
 * closed, and resident tensors and unmounting mustn't wait for that.
 */
#ifndef TFS_FS_ORIGINALS_H
#define TFS_FS_ORIGINALS_H

#include <pthread.h>
#include <stddef.h>

#include "mount/helper.h"

struct tfs_originals {
	struct tfs_helper keeper;
	pthread_mutex_t lock;
	int *dropped; /* registrations that nobody needs, and the keeper hasn't been told of */
	size_t n, room;
};

#define TFS_ORIGINALS_NONE ((struct tfs_originals){ .keeper = TFS_HELPER_NONE, .lock = PTHREAD_MUTEX_INITIALIZER })

/* Register the original file @fd, open for reading. May wait as long as storage does. The kernel's name for it, above 0; -errno. */
int tfs_originals_register(struct tfs_originals *o, int fd);

/* Have it unregistered, at some time; waits for nothing. */
void tfs_originals_unregister(struct tfs_originals *o, int id);

/* End the keeper, which must no longer be asked. */
void tfs_originals_end(struct tfs_originals *o);

#endif
