/* SPDX-License-Identifier: MIT */
/* How files are evicted: the one budget, and the eviction that enforces it. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "cache/residency-impl.h"

/* The least recently used file that may be evicted, or NULL. Prefetch must not evict prefetched files that haven't been used. */
static struct tfs_entry *pick_victim(struct tfs_residency *r, bool for_prefetch, uint64_t round)
{
	for (struct tfs_entry *e = r->lru.prev; e != &r->lru; e = e->prev)
		if (e->tested < round && !e->borrowed && (e->wanted || !for_prefetch))
			return e;
	return NULL;
}

/*
 * Evict @e, which is resident without holds; the lock is held, but released in between. False: it is mapped, or was held again
 * meanwhile, and stays.
 */
static bool evict(struct tfs_residency *r, struct tfs_entry *e)
{
	uint64_t backing = e->backing, freed = e->cost;
	bool gone = false;

	tfs_assert_held(&r->lock);
	if (tfs_entry_is_shared(e)) {
		/* The backing file is shared, and stays until the last user is evicted. */
		tfs_entry_lru_remove(e);
		tfs_entry_forget(r, e);
		r->stats.evictions++;
		return true;
	}
	r->evicting++;
	tfs_entry_lru_remove(e);
	tfs_entry_set_state(r, e, TFS_EVICTING);
	pthread_mutex_unlock(&r->lock);
	bool mapped = tfs_store_in_use(r->store, backing);
	pthread_mutex_lock(&r->lock);
	tfs_entry_set_state(r, e, TFS_RESIDENT);
	if (mapped || e->reopened) {
		if (!e->holds)
			tfs_entry_lru_add(r, e);
		if (!e->reopened) {
			e->tested = r->round; /* valid for all threads that look for room now */
			r->stats.still_mapped++;
		}
		e->reopened = false;
	} else {
		tfs_entry_forget(r, e);
		r->stats.evictions++;
		pthread_mutex_unlock(&r->lock);
		tfs_store_remove(r->store, backing);
		pthread_mutex_lock(&r->lock);
		r->stats.used -= freed; /* only now is the memory really free */
		gone = true;
	}
	r->evicting--;
	pthread_cond_broadcast(&r->evicted);
	return gone;
}

/*
 * Evict until @cost bytes are free, or nothing more can be evicted; the lock is held, but released in between. Returns how many are
 * free.
 */
static uint64_t make_room(struct tfs_residency *r, uint64_t cost, bool for_prefetch)
{
	uint64_t round = ++r->round;

	tfs_assert_held(&r->lock);
	while (r->stats.used + cost > r->stats.budget) {
		struct tfs_entry *e = pick_victim(r, for_prefetch, round);
		if (e)
			evict(r, e);
		else if (r->evicting)
			pthread_cond_wait(&r->evicted, &r->lock); /* another thread may be about to free what we need */
		else
			break;
	}
	return r->stats.budget - r->stats.used;
}

/* Make room for @cost bytes and take them. -ENOSPC: what is resident is in use. */
int tfs_entry_reserve(struct tfs_residency *r, uint64_t cost, bool for_prefetch)
{
	pthread_mutex_lock(&r->lock);
	bool room = make_room(r, cost, for_prefetch) >= cost;
	if (room)
		r->stats.used += cost;
	pthread_mutex_unlock(&r->lock);
	return room ? 0 : -ENOSPC;
}

uint64_t tfs_residency_reserve_some(struct tfs_residency *r, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	pthread_mutex_lock(&r->lock);
	uint64_t room = r->stats.budget - r->stats.used;
	if (priority != TFS_BACKGROUND)
		room = make_room(r, want, priority != TFS_DEMAND);
	uint64_t taken = room < least ? 0 : room < want ? room : want;
	r->stats.used += taken;
	pthread_mutex_unlock(&r->lock);
	return taken;
}

int tfs_residency_reserve(struct tfs_residency *r, uint64_t bytes)
{
	return tfs_entry_reserve(r, bytes, false);
}

void tfs_residency_unreserve(struct tfs_residency *r, uint64_t bytes)
{
	pthread_mutex_lock(&r->lock);
	r->stats.used -= bytes;
	pthread_mutex_unlock(&r->lock);
}

/* --- On request ---------------------------------------------------------------------------------------------------- */

/* Cancel the load of @e, which nobody waits for; the lock is held. False: it has begun. */
static bool take_back(struct tfs_residency *r, struct tfs_entry *e)
{
	tfs_assert_held(&r->lock);
	if (e->state != TFS_LOADING || e->holds || e->waits || !tfs_sched_take_back(r->sched, &e->load->transfer))
		return false;
	free(tfs_steal(e->load));
	tfs_entry_forget(r, e);
	r->stats.taken_back++;
	return true;
}

int tfs_residency_evict(struct tfs_residency *r, struct tfs_file_id id)
{
	int ret = 0;

	pthread_mutex_lock(&r->lock);
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (!e || e->state == TFS_ABSENT || e->state == TFS_FAILED)
		ret = -ENOENT;
	else if (e->state == TFS_LOADING)
		ret = take_back(r, e) ? 0 : -EBUSY;
	else if (e->state != TFS_RESIDENT || e->holds || e->borrowed || !evict(r, e))
		ret = -EBUSY;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

void tfs_residency_drop_prefetch(struct tfs_residency *r)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n_buckets; i++)
		for (struct tfs_entry *e = r->buckets[i], *next; e; e = next) {
			next = e->hash_next;
			take_back(r, e);
		}
	pthread_mutex_unlock(&r->lock);
}

uint64_t tfs_residency_shrink(struct tfs_residency *r, uint64_t bytes)
{
	uint64_t freed = 0;
	struct tfs_entry *e;

	pthread_mutex_lock(&r->lock);
	uint64_t round = ++r->round;
	while (freed < bytes && (e = pick_victim(r, false, round))) {
		uint64_t cost = tfs_entry_is_shared(e) ? 0 : e->cost;
		if (evict(r, e))
			freed += cost;
	}
	pthread_mutex_unlock(&r->lock);
	return freed;
}
