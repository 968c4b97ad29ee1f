/* SPDX-License-Identifier: MIT */
#include "residency-impl.h"

#include <assert.h>
#include <errno.h>

int tfs_residency_borrow(struct tfs_residency *r, struct tfs_file_id id)
{
	uint64_t backing = 0;

	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	bool resident = e && e->state == TFS_RESIDENT;
	if (resident) {
		e->borrowed++;
		backing = e->backing;
	}
	pthread_mutex_unlock(&r->lock);
	if (!resident)
		return -ENOENT;
	int fd = tfs_store_reader(r->store, backing);
	if (fd < 0)
		tfs_residency_give_back(r, id);
	return fd;
}

void tfs_residency_give_back(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	assert(e && e->borrowed);
	e->borrowed--;
	pthread_mutex_unlock(&r->lock);
}

bool tfs_residency_is_resident(struct tfs_residency *r, struct tfs_file_id id)
{
	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	bool resident = e && (e->state == TFS_RESIDENT || e->state == TFS_EVICTING);
	pthread_mutex_unlock(&r->lock);
	return resident;
}
