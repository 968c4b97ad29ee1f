/* SPDX-License-Identifier: MIT */
/*
 * What is known of each file that was requested: the table of entries, and the lists and rings that they are in. The lock is held.
 */
#include "cache/residency-impl.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- Rings of those that share a backing file -------------------------------------------------------------------------- */

/* From now on @e has the backing file of @of, which is resident. */
void tfs_entry_ring_join(struct tfs_residency *r, struct tfs_entry *of, struct tfs_entry *e)
{
	assert(!tfs_entry_is_shared(e) && of->state == TFS_RESIDENT);
	if (!of->ring_next)
		of->ring_next = of->ring_prev = of;
	e->ring_next = of->ring_next;
	e->ring_prev = of;
	e->ring_next->ring_prev = e->ring_prev->ring_next = e;
	e->backing = of->backing;
	r->stats.shared++;
	r->stats.shared_bytes += e->cost;
}

/* @e is about to be removed: files that share its backing file keep it. */
static void leave_ring(struct tfs_residency *r, struct tfs_entry *e)
{
	struct tfs_entry *other = e->ring_next;

	if (e->duplicate && e->duplicate->group->at[e->id.view] == e)
		e->duplicate->group->at[e->id.view] = other;
	e->duplicate = NULL;
	if (!other)
		return;
	e->ring_prev->ring_next = e->ring_next;
	e->ring_next->ring_prev = e->ring_prev;
	if (other->ring_next == other)
		other->ring_next = other->ring_prev = NULL;
	e->ring_prev = e->ring_next = NULL;
	r->stats.shared--;
	r->stats.shared_bytes -= e->cost;
}

/* --- The table ----------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const struct tfs_residency *r, struct tfs_file_id id)
{
	uint64_t h = (((uint64_t)id.set << 32 | id.tensor) * TFS_VIEW_IDS + id.view) * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
	return (h >> 32) & (r->n_buckets - 1);
}

struct tfs_entry *tfs_entry_find(const struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_entry *e = r->buckets[bucket_of(r, id)];
	while (e && !tfs_file_id_equal(e->id, id))
		e = e->hash_next;
	return e;
}

static void grow(struct tfs_residency *r)
{
	size_t old_n = r->n_buckets;
	struct tfs_entry **old = r->buckets, **buckets = calloc(old_n * 2, sizeof *buckets);
	if (!buckets)
		return; /* the chains just get longer */
	r->buckets = buckets;
	r->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++)
		for (struct tfs_entry *e = old[i], *next; e; e = next) {
			struct tfs_entry **b = &buckets[bucket_of(r, e->id)];
			next = e->hash_next;
			e->hash_next = *b;
			*b = e;
		}
	free(old);
}

struct tfs_entry *tfs_entry_find_or_add(struct tfs_residency *r, struct tfs_file_id id)
{
	struct tfs_entry *e = tfs_entry_find(r, id);
	if (e)
		return e;
	if (r->n_entries >= r->n_buckets)
		grow(r);
	e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	struct tfs_entry **b = &r->buckets[bucket_of(r, id)];
	e->id = id;
	e->hash_next = *b;
	*b = e;
	r->n_entries++;
	r->stats.files[TFS_ABSENT]++;
	return e;
}

void tfs_entry_forget(struct tfs_residency *r, struct tfs_entry *e)
{
	struct tfs_entry **p = &r->buckets[bucket_of(r, e->id)];
	assert(!e->holds && !e->waits && !e->load);
	leave_ring(r, e);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	r->n_entries--;
	r->stats.files[e->state]--;
	free(e);
}

void tfs_entry_set_state(struct tfs_residency *r, struct tfs_entry *e, enum tfs_state state)
{
	r->stats.files[e->state]--;
	r->stats.files[state]++;
	e->state = state;
}

/* --- Least recently used, holds --------------------------------------------------------------------------------------- */

void tfs_entry_lru_add(struct tfs_residency *r, struct tfs_entry *e)
{
	e->next = r->lru.next;
	e->prev = &r->lru;
	e->next->prev = e->prev->next = e;
}

void tfs_entry_lru_remove(struct tfs_entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->prev = e->next = NULL;
}

void tfs_entry_take_hold(struct tfs_entry *e)
{
	if (!e->holds++ && e->state == TFS_RESIDENT)
		tfs_entry_lru_remove(e);
	if (e->state == TFS_EVICTING || e->borrowed)
		e->reopened = true;
	e->wanted = true;
}

void tfs_entry_drop_hold(struct tfs_residency *r, struct tfs_entry *e)
{
	assert(e->holds);
	if (!--e->holds && e->state == TFS_RESIDENT)
		tfs_entry_lru_add(r, e);
	else if (!e->holds && e->state == TFS_ABSENT)
		tfs_entry_forget(r, e);
}

/* --- Waits ------------------------------------------------------------------------------------------------------------ */

void tfs_entry_wait_add(struct tfs_residency *r, struct tfs_entry *e, struct tfs_wait *w)
{
	w->entry = e;
	w->prev_of_entry = NULL;
	w->next_of_entry = e->waits;
	if (e->waits)
		e->waits->prev_of_entry = w;
	e->waits = w;

	w->deadline = tfs_now() + r->open_wait;
	w->next_by_age = &r->by_age;
	w->prev_by_age = r->by_age.prev_by_age;
	w->prev_by_age->next_by_age = w->next_by_age->prev_by_age = w;
	if (r->by_age.next_by_age == w)
		pthread_cond_signal(&r->timer_wakes);
}

void tfs_entry_wait_remove(struct tfs_wait *w)
{
	if (w->prev_of_entry)
		w->prev_of_entry->next_of_entry = w->next_of_entry;
	else
		w->entry->waits = w->next_of_entry;
	if (w->next_of_entry)
		w->next_of_entry->prev_of_entry = w->prev_of_entry;
	w->prev_by_age->next_by_age = w->next_by_age;
	w->next_by_age->prev_by_age = w->prev_by_age;
	w->entry = NULL;
}
