/* SPDX-License-Identifier: MIT */
#include "mount/originals.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "mount/keeper.h"

int tfs_originals_register(struct tfs_originals *o, int fd)
{
	return tfs_keeper_register(&o->keeper, fd);
}

/*
 * What it can't be told now, as it hangs, or has been told too much to remember, it is told with the next one. Without memory for the
 * name it stays registered until the mount ends.
 */
void tfs_originals_unregister(struct tfs_originals *o, int id)
{
	pthread_mutex_lock(&o->lock);
	if (!tfs_array_room(o->dropped, o->n, o->room))
		o->dropped[o->n++] = id;
	while (o->n && tfs_keeper_forget(&o->keeper, o->dropped[o->n - 1]))
		o->n--;
	pthread_mutex_unlock(&o->lock);
}

void tfs_originals_end(struct tfs_originals *o)
{
	tfs_helper_stop(&o->keeper);
	free(tfs_steal(o->dropped));
	o->n = o->room = 0;
}
