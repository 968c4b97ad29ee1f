/* SPDX-License-Identifier: MIT */
/* What is kept of each file that was asked for: the table of entries, and the lists and rings that they are in. The lock is held. */
#include "cache/residency-impl.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- Rings of those that share a backing file -------------------------------------------------------------------------- */

/* From now on @e has the backing file of @of, which is resident. */
void tfs_entry_ring_join(struct tfs_residency *rs, struct tfs_entry *of, struct tfs_entry *e)
{
	assert(!tfs_entry_is_shared(e) && of->state == TFS_RESIDENT);
	tfs_list_add_first(&of->ring, &e->ring);
	e->backing = of->backing;
	rs->stats.shared++;
	rs->stats.shared_bytes += e->cost;
}

/* @e is about to be forgotten: those who share its backing file keep it. */
static void leave_ring(struct tfs_residency *rs, struct tfs_entry *e)
{
	bool shared = tfs_entry_is_shared(e);
	struct tfs_entry *other = shared ? tfs_container_of(e->ring.next, struct tfs_entry, ring) : NULL;

	if (e->duplicate && e->duplicate->group->at[e->id.view] == e)
		e->duplicate->group->at[e->id.view] = other;
	e->duplicate = NULL;
	if (!shared)
		return;
	tfs_list_remove(&e->ring);
	rs->stats.shared--;
	rs->stats.shared_bytes -= e->cost;
}

/* --- The table ----------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const struct tfs_residency *rs, struct tfs_file_id id)
{
	uint64_t h = (((uint64_t)id.set << 32 | id.tensor) * TFS_VIEW_IDS + id.view) * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	return (h >> 32) & (rs->n_buckets - 1);
}

struct tfs_entry *tfs_entry_find(const struct tfs_residency *rs, struct tfs_file_id id)
{
	struct tfs_entry *e = rs->buckets[bucket_of(rs, id)];
	while (e && !tfs_file_id_equal(e->id, id))
		e = e->hash_next;
	return e;
}

static void grow(struct tfs_residency *rs)
{
	size_t old_n = rs->n_buckets;
	struct tfs_entry **old = rs->buckets, **buckets = calloc(old_n * 2, sizeof *buckets);
	if (!buckets)
		return; /* longer chains, nothing worse */
	rs->buckets = buckets;
	rs->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++)
		for (struct tfs_entry *e = old[i], *next; e; e = next) {
			struct tfs_entry **b = &buckets[bucket_of(rs, e->id)];
			next = e->hash_next;
			e->hash_next = *b;
			*b = e;
		}
	free(old);
}

struct tfs_entry *tfs_entry_find_or_add(struct tfs_residency *rs, struct tfs_file_id id)
{
	struct tfs_entry *e = tfs_entry_find(rs, id);
	if (e)
		return e;
	if (rs->n_entries >= rs->n_buckets)
		grow(rs);
	e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	struct tfs_entry **b = &rs->buckets[bucket_of(rs, id)];
	e->id = id;
	tfs_list_init(&e->ring);
	tfs_list_init(&e->waits);
	e->hash_next = *b;
	*b = e;
	rs->n_entries++;
	rs->stats.files[TFS_ABSENT]++;
	return e;
}

void tfs_entry_forget(struct tfs_residency *rs, struct tfs_entry *e)
{
	struct tfs_entry **p = &rs->buckets[bucket_of(rs, e->id)];
	assert(!e->holds && tfs_list_is_empty(&e->waits) && !e->load);
	leave_ring(rs, e);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	rs->n_entries--;
	rs->stats.files[e->state]--;
	free(e);
}

void tfs_entry_set_state(struct tfs_residency *rs, struct tfs_entry *e, enum tfs_state state)
{
	rs->stats.files[e->state]--;
	rs->stats.files[state]++;
	e->state = state;
}

/* --- Least recently used, holds --------------------------------------------------------------------------------------- */

void tfs_entry_lru_add(struct tfs_residency *rs, struct tfs_entry *e)
{
	tfs_list_add_first(&rs->lru, &e->lru);
}

void tfs_entry_take_hold(struct tfs_entry *e)
{
	if (!e->holds++ && e->state == TFS_RESIDENT)
		tfs_list_remove(&e->lru);
	if (e->state == TFS_EVICTING || e->borrowed)
		e->reopened = true;
	e->wanted = true;
}

void tfs_entry_drop_hold(struct tfs_residency *rs, struct tfs_entry *e)
{
	assert(e->holds);
	if (!--e->holds && e->state == TFS_RESIDENT)
		tfs_entry_lru_add(rs, e);
	else if (!e->holds && e->state == TFS_ABSENT)
		tfs_entry_forget(rs, e);
}

/* --- Waits ------------------------------------------------------------------------------------------------------------ */

void tfs_entry_wait_add(struct tfs_residency *rs, struct tfs_entry *e, struct tfs_wait *w)
{
	w->entry = e;
	w->deadline = tfs_now() + rs->open_wait;
	if (tfs_list_is_empty(&rs->by_age))
		pthread_cond_signal(&rs->timer_wakes);
	tfs_list_add_first(&e->waits, &w->of_entry);
	tfs_list_add(&rs->by_age, &w->by_age);
}

void tfs_entry_wait_remove(struct tfs_wait *w)
{
	tfs_list_remove(&w->of_entry);
	tfs_list_remove(&w->by_age);
	w->entry = NULL;
}
