/* SPDX-License-Identifier: MIT */
/*
 * Private to the parts of the residency, each of which uses only those after it: residency.c has opens, pins and the timer; load.c
 * loads files; dedup.c lets files with equal content share a backing file; budget.c evicts files; entry.c keeps the table.
 */
#ifndef TFS_RESIDENCY_IMPL_H
#define TFS_RESIDENCY_IMPL_H

#include <pthread.h>

#include "cache/residency.h"

/* A file that was requested at least once. */
struct tfs_entry {
	struct tfs_entry *hash_next;
	struct tfs_list lru; /* while resident without holds */
	struct tfs_file_id id;
	enum tfs_state state;
	int failure; /* FAILED, or ABSENT and held: why */
	unsigned holds;
	bool pinned;		     /* one of the holds is the pin's */
	bool wanted;		     /* held at least once since it was loaded: not an unused prefetch */
	uint64_t backing;	     /* name in the store; a new one for every load, so late readers never get a new file */
	uint64_t cost;		     /* what it uses of the budget while loading or resident */
	uint64_t tested;	     /* the latest eviction round in which it was found mapped */
	bool reopened;		     /* EVICTING or borrowed: was held meanwhile, so the lease test's result is out of date */
	unsigned borrowed;	     /* not evicted meanwhile, but otherwise as if unused */
	struct duplicate *duplicate; /* RESIDENT: others have its hash; NULL: none known */
	struct tfs_list ring;	     /* those with the same backing file, without a head; empty: it has one of its own */
	struct load *load;	     /* LOADING */
	struct tfs_list waits;	     /* the latest first */
};

/* Tensors with equal hashes. Freed with the residency. */
struct group {
	unsigned members;
	bool rooted; /* a tensor was resident: the bytes of the group are that one's */
	/* A resident file of a tensor that has these bytes; NULL: none known. */
	struct tfs_entry *at[TFS_VIEW_IDS];
};

struct duplicate {
	struct duplicate *next; /* of the bucket */
	uint32_t set, tensor;
	struct group *group;
	bool same;  /* has the group's bytes */
	bool other; /* doesn't, despite its hash */
};

/* A load in progress. */
struct load {
	struct tfs_transfer transfer;
	struct tfs_residency *rs;
	struct tfs_entry *entry;
	int fd;	       /* the backing file, from begin() to end() */
	bool reserved; /* the entry's cost is in rs->used */
	struct tfs_layout layout;
	uint64_t first, chunk; /* bytes of the file made from the first chunk, including the prefix, and from any other */
	uint64_t written;      /* of the source's bytes; guarded by the lock like the two below */
	struct tfs_range_wait *ranges;
	uint8_t ready[]; /* one byte per chunk */
};

/* The chunk that the byte at @at of the file is made from. */
static inline uint64_t tfs_load_chunk_at(const struct load *l, uint64_t at)
{
	return at < l->first ? 0 : (at - l->first) / l->chunk + 1;
}

struct tfs_residency {
	const struct tfs_model *model;
	struct tfs_sched *sched;
	struct tfs_store *store;
	double open_wait;

	/* Guards everything below, and every entry. Taken before the scheduler's lock. Never held across IO or a callback. */
	pthread_mutex_t lock;
	struct tfs_entry **buckets;
	size_t n_buckets, n_entries;
	struct tfs_list lru; /* entries, the most recently used first */
	uint64_t next_backing;
	uint64_t round;		/* of eviction */
	unsigned evicting;	/* files whose lease is being tested or whose memory is being freed */
	pthread_cond_t evicted; /* one of these is done */
	struct tfs_residency_stats stats;

	tfs_give_up_fn *give_up; /* immutable, like the next ones */
	void *give_up_arg;
	tfs_loaded_fn *loaded;
	void *loaded_arg;

	struct duplicate **duplicates; /* hash table of the tensors whose hashes are equal to others' */
	size_t n_duplicates, n_duplicate_buckets;
	tfs_duplicate_fn *on_duplicate; /* immutable once there are duplicates */
	void *on_duplicate_arg;

	/* The timer answers opens that have waited long enough. All have the same wait, so the oldest is due first. */
	struct tfs_list by_age; /* waits, the oldest first */
	pthread_cond_t timer_wakes;
	pthread_t timer;
	bool stopping;
};

/* --- entry.c; the lock is held -------------------------------------------------------------------------------------- */

struct tfs_entry *tfs_entry_find(const struct tfs_residency *rs, struct tfs_file_id id);  /* or NULL */
struct tfs_entry *tfs_entry_find_or_add(struct tfs_residency *rs, struct tfs_file_id id); /* NULL: out of memory */
void tfs_entry_set_state(struct tfs_residency *rs, struct tfs_entry *e, enum tfs_state state);
/* Remove an entry that nobody holds or waits for. */
void tfs_entry_forget(struct tfs_residency *rs, struct tfs_entry *e);
void tfs_entry_lru_add(struct tfs_residency *rs, struct tfs_entry *e);
void tfs_entry_take_hold(struct tfs_entry *e);
void tfs_entry_drop_hold(struct tfs_residency *rs, struct tfs_entry *e);
/* Let @w wait for @e, for at most the open wait. */
void tfs_entry_wait_add(struct tfs_residency *rs, struct tfs_entry *e, struct tfs_wait *w);
/* Remove a wait from its entry and the timer. */
void tfs_entry_wait_remove(struct tfs_wait *w);

/* Does @e share its backing file? */
static inline bool tfs_entry_is_shared(const struct tfs_entry *e)
{
	return !tfs_list_is_empty(&e->ring);
}
/* From now on @e has the backing file of @of, which is resident. */
void tfs_entry_ring_join(struct tfs_residency *rs, struct tfs_entry *of, struct tfs_entry *e);

/* --- load.c -------------------------------------------------------------------------------------------------------- */

/* The lock is held. Start loading @e, which is absent or failed. On error the entry is unchanged. */
int tfs_entry_load(struct tfs_residency *rs, struct tfs_entry *e, enum tfs_priority priority);

/* --- budget.c ------------------------------------------------------------------------------------------------------ */

/* Without the lock. Make room for @cost bytes and charge them. -ENOSPC: what is resident is in use. */
int tfs_entry_reserve(struct tfs_residency *rs, uint64_t cost, bool for_prefetch);

/* --- dedup.c; the lock is held ------------------------------------------------------------------------------------- */

/*
 * Make @e, if it is absent or failed, resident at once with the backing file of another one with the same content. False: there is
 * none.
 */
bool tfs_entry_share(struct tfs_residency *rs, struct tfs_entry *e);
/* @e has become resident. True: on_duplicate() is due, without the lock. */
bool tfs_entry_has_duplicate(struct tfs_residency *rs, struct tfs_entry *e);
/* Everything is stopped. */
void tfs_duplicates_free(struct tfs_residency *rs);

static inline const struct tfs_tensor *tfs_entry_tensor(const struct tfs_residency *rs, struct tfs_file_id id)
{
	return tfs_set_tensor(&rs->model->sets[id.set], id.tensor);
}

#endif
