/* SPDX-License-Identifier: MIT */
/* How files are evicted: the one budget, and the eviction that enforces it. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "cache/residency-impl.h"

/* The least recently used file that may be evicted, or NULL. Prefetch must not evict prefetched files that haven't been used. */
static struct tfs_entry *pick_victim(struct tfs_residency *rs, bool for_prefetch, uint64_t round)
{
	for (struct tfs_entry *e = tfs_list_last(&rs->lru, struct tfs_entry, lru); e; e = tfs_list_prev(&rs->lru, e, lru))
		if (e->tested < round && !e->borrowed && (e->wanted || !for_prefetch))
			return e;
	return NULL;
}

/*
 * Evict @e, which is resident without holds; the lock is held, but released in between. False: it is mapped, or was held again
 * meanwhile, and stays.
 */
static bool evict(struct tfs_residency *rs, struct tfs_entry *e)
{
	uint64_t backing = e->backing, freed = e->cost;
	bool gone = false;

	tfs_assert_held(&rs->lock);
	if (tfs_entry_is_shared(e)) {
		/* The backing file is shared, and stays until the last user is evicted. */
		tfs_list_remove(&e->lru);
		tfs_entry_forget(rs, e);
		rs->stats.evictions++;
		return true;
	}
	rs->evicting++;
	tfs_list_remove(&e->lru);
	tfs_entry_set_state(rs, e, TFS_EVICTING);
	pthread_mutex_unlock(&rs->lock);
	bool mapped = tfs_store_in_use(rs->store, backing);
	pthread_mutex_lock(&rs->lock);
	tfs_entry_set_state(rs, e, TFS_RESIDENT);
	if (mapped || e->reopened) {
		if (!e->holds)
			tfs_entry_lru_add(rs, e);
		if (!e->reopened) {
			e->tested = rs->round; /* valid for all threads that look for room now */
			rs->stats.still_mapped++;
		}
		e->reopened = false;
	} else {
		tfs_entry_forget(rs, e);
		rs->stats.evictions++;
		pthread_mutex_unlock(&rs->lock);
		tfs_store_remove(rs->store, backing);
		pthread_mutex_lock(&rs->lock);
		rs->stats.used -= freed; /* only now is the memory really free */
		gone = true;
	}
	rs->evicting--;
	pthread_cond_broadcast(&rs->evicted);
	return gone;
}

/*
 * Evict until @cost bytes are free, or nothing more can be evicted; the lock is held, but released in between. Returns how many are
 * free.
 */
static uint64_t make_room(struct tfs_residency *rs, uint64_t cost, bool for_prefetch)
{
	uint64_t round = ++rs->round;

	tfs_assert_held(&rs->lock);
	while (rs->stats.used + cost > rs->stats.budget) {
		if (rs->give_up) {
			uint64_t short_by = rs->stats.used + cost - rs->stats.budget;
			pthread_mutex_unlock(&rs->lock);
			uint64_t given = rs->give_up(rs->give_up_arg, short_by);
			pthread_mutex_lock(&rs->lock);
			if (given)
				continue;
		}
		struct tfs_entry *e = pick_victim(rs, for_prefetch, round);
		if (e)
			evict(rs, e);
		else if (rs->evicting)
			pthread_cond_wait(&rs->evicted, &rs->lock); /* another thread may be about to free what we need */
		else
			break;
	}
	return rs->stats.budget - rs->stats.used;
}

/* Make room for @cost bytes and take them. -ENOSPC: what is resident is in use. */
int tfs_entry_reserve(struct tfs_residency *rs, uint64_t cost, bool for_prefetch)
{
	pthread_mutex_lock(&rs->lock);
	bool room = make_room(rs, cost, for_prefetch) >= cost;
	if (room)
		rs->stats.used += cost;
	pthread_mutex_unlock(&rs->lock);
	return room ? 0 : -ENOSPC;
}

uint64_t tfs_residency_reserve_some(struct tfs_residency *rs, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	pthread_mutex_lock(&rs->lock);
	uint64_t room = rs->stats.budget - rs->stats.used;
	if (priority != TFS_BACKGROUND)
		room = make_room(rs, want, priority != TFS_DEMAND);
	uint64_t taken = room < least ? 0 : room < want ? room : want;
	rs->stats.used += taken;
	pthread_mutex_unlock(&rs->lock);
	return taken;
}

void tfs_residency_on_shortage(struct tfs_residency *rs, tfs_give_up_fn *give_up, void *arg)
{
	rs->give_up = give_up;
	rs->give_up_arg = arg;
}

void tfs_residency_on_loaded(struct tfs_residency *rs, tfs_loaded_fn *fn, void *arg)
{
	rs->loaded = fn;
	rs->loaded_arg = arg;
}

int tfs_residency_reserve(struct tfs_residency *rs, uint64_t bytes)
{
	return tfs_entry_reserve(rs, bytes, false);
}

void tfs_residency_unreserve(struct tfs_residency *rs, uint64_t bytes)
{
	pthread_mutex_lock(&rs->lock);
	rs->stats.used -= bytes;
	pthread_mutex_unlock(&rs->lock);
}

/* --- On request ---------------------------------------------------------------------------------------------------- */

/* Cancel the load of @e, which nobody waits for; the lock is held. False: it has begun. */
static bool take_back(struct tfs_residency *rs, struct tfs_entry *e)
{
	tfs_assert_held(&rs->lock);
	if (e->state != TFS_LOADING || e->holds || !tfs_list_is_empty(&e->waits) ||
	    !tfs_sched_take_back(rs->sched, &e->load->transfer))
		return false;
	free(tfs_steal(e->load));
	tfs_entry_forget(rs, e);
	rs->stats.taken_back++;
	return true;
}

int tfs_residency_evict(struct tfs_residency *rs, struct tfs_file_id id)
{
	int r = 0;

	pthread_mutex_lock(&rs->lock);
	struct tfs_entry *e = tfs_entry_find(rs, id);
	if (!e || e->state == TFS_ABSENT || e->state == TFS_FAILED)
		r = -ENOENT;
	else if (e->state == TFS_LOADING)
		r = take_back(rs, e) ? 0 : -EBUSY;
	else if (e->state != TFS_RESIDENT || e->holds || e->borrowed || !evict(rs, e))
		r = -EBUSY;
	pthread_mutex_unlock(&rs->lock);
	return r;
}

void tfs_residency_drop_prefetch(struct tfs_residency *rs)
{
	pthread_mutex_lock(&rs->lock);
	for (size_t i = 0; i < rs->n_buckets; i++)
		for (struct tfs_entry *e = rs->buckets[i], *next; e; e = next) {
			next = e->hash_next;
			take_back(rs, e);
		}
	pthread_mutex_unlock(&rs->lock);
}

uint64_t tfs_residency_shrink(struct tfs_residency *rs, uint64_t bytes)
{
	uint64_t freed = 0;
	struct tfs_entry *e;

	pthread_mutex_lock(&rs->lock);
	uint64_t round = ++rs->round;
	while (freed < bytes && (e = pick_victim(rs, false, round))) {
		uint64_t cost = tfs_entry_is_shared(e) ? 0 : e->cost;
		if (evict(rs, e))
			freed += cost;
	}
	pthread_mutex_unlock(&rs->lock);
	return freed;
}
