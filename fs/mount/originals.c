/* SPDX-License-Identifier: MIT */
#include "mount/originals.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "mount/keeper.h"

/* Replace what is kept of @node's slot, if @any or it is @node's: what was there, or 0. The lock is held. */
static int swap(struct tfs_originals *o, uint32_t node, bool any, int id)
{
	const unsigned slot = node % TFS_ORIGINALS_SLOTS;
	int was = o->closed[slot].id;

	if (was && !any && o->closed[slot].node != node)
		return 0;
	o->closed[slot].node = node;
	o->closed[slot].id = id;
	return was;
}

/*
 * What the keeper can't be told now, as it hangs, or has been told too much to remember, it is told with the next one. Without memory for
 * the name it stays registered until the mount ends. The lock is held.
 */
static void drop(struct tfs_originals *o, int id)
{
	if (id && !tfs_array_room(o->dropped, o->n, o->room))
		o->dropped[o->n++] = id;
	while (o->n && tfs_keeper_forget(&o->keeper, o->dropped[o->n - 1]))
		o->n--;
}

int tfs_originals_register(struct tfs_originals *o, uint32_t node, int fd)
{
	pthread_mutex_lock(&o->lock);
	int id = swap(o, node, false, 0);
	pthread_mutex_unlock(&o->lock);
	return id ? id : tfs_keeper_register(&o->keeper, fd);
}

void tfs_originals_closed(struct tfs_originals *o, uint32_t node, int id)
{
	pthread_mutex_lock(&o->lock);
	drop(o, swap(o, node, true, id));
	pthread_mutex_unlock(&o->lock);
}

void tfs_originals_changed(struct tfs_originals *o, uint32_t node)
{
	pthread_mutex_lock(&o->lock);
	drop(o, swap(o, node, false, 0));
	pthread_mutex_unlock(&o->lock);
}

void tfs_originals_end(struct tfs_originals *o)
{
	tfs_helper_stop(&o->keeper);
	free(tfs_steal(o->dropped));
	o->n = o->room = 0;
}
