/* SPDX-License-Identifier: MIT */
/*
 * Residency: which virtual files are in memory, and the one budget they share.
 *
 *                 hold                    last chunk written
 *      ABSENT ───────────► LOADING ─────────────────────────► RESIDENT ◄──────────┐
 *        ▲                    │                                  │                │ a hold came in between,
 *        │◄─── no room ───────┤ error                    no holds, memory wanted   │ or the lease says: mapped
 *        │                    ▼                                  ▼                │
 *        │                 FAILED ── hold ──► LOADING        EVICTING ────────────┘
 *        └───────────────────────────────────────────────────────┘ nobody has it open or mapped
 *
 * A hold keeps a file resident; the file system takes one for every open. Files without holds are evicted least recently
 * used first, but only once the store's lease test says that no process has them mapped: mappings are of the backing file, so FUSE
 * sees a file closed that is still mapped.
 *
 * Thread-safe. Callbacks come from any thread and without a lock held; they may call back into this module.
 */
#ifndef TFS_RESIDENCY_H
#define TFS_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "cache/store.h"
#include "content/virtual-file.h"
#include "io/scheduler.h"
#include "model/model.h"

enum tfs_state { TFS_ABSENT, TFS_LOADING, TFS_RESIDENT, TFS_EVICTING, TFS_FAILED, TFS_STATES };

/* "absent", "loading", "resident" …; an evicting file is still "resident", a failed one whose source changed "stale". */
const char *tfs_state_name(enum tfs_state state);

/* A waiter for a file. Owned by the caller; must not move until done() was called or the wait was cancelled. */
struct tfs_wait {
	/*
	 * Called exactly once unless cancelled. @result 0: resident, and a hold was taken for the waiter. -ETIMEDOUT: it takes
	 * longer than the open wait; the load continues. -ENOSPC: no room in the budget. -EDQUOT: larger than a file of this
	 * process may be (RLIMIT_FSIZE). Otherwise the error.
	 */
	void (*done)(struct tfs_wait *w, int result);

	/* Private, guarded by the residency's lock. */
	struct tfs_list of_entry, by_age;
	struct tfs_entry *entry;
	double deadline;
	bool cancelled;
};

/* A waiter for a byte range of a file that is being loaded. */
struct tfs_range_wait {
	void (*done)(struct tfs_range_wait *w, int result);
	uint64_t at, len;

	/* Private. */
	struct tfs_range_wait *next;
	uint64_t backing;
};

struct tfs_residency_stats {
	uint64_t budget, used; /* bytes; used: of loading and resident files, in whole pages, and of streams */
	uint64_t files[TFS_STATES];
	uint64_t hits, waits, loads, prefetched, evictions, failures, timeouts, refusals; /* refusals: no room */
	uint64_t shared, shared_bytes;	 /* files that are resident in another one's backing file, and what they would need */
	uint64_t still_mapped;		 /* evictions prevented by the lease test */
	uint64_t pinned, pinned_bytes;	 /* files, and their current or future size */
	uint64_t taken_back;		 /* prefetches dropped before they began */
	char last_error[TFS_ERROR_LINE]; /* "" if nothing ever failed */
};

struct tfs_residency;

/* @budget bytes, > 0; @open_wait seconds that an open may wait. Owns only what it creates itself. */
struct tfs_residency *tfs_residency_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_store *store,
					   uint64_t budget, double open_wait);

/*
 * When this returns no callback of the residency's own is running, and no more will come. The scheduler must be stopped first, and
 * its workers gone: that has answered every wait. Accepts NULL.
 */
void tfs_residency_stop(struct tfs_residency *rs);
void tfs_residency_destroy(struct tfs_residency *rs); /* stops it if needed; accepts NULL */

#define TFS_QUEUED 1

/*
 * Get a file resident and hold it. 0: it is, and is held. TFS_QUEUED: @w->done() will be called. Otherwise @w is not used: -EFBIG:
 * larger than the whole budget; -ETIMEDOUT: would take longer than the open wait, and is loaded in the background; -ECANCELED: the
 * wait was cancelled before.
 */
int tfs_residency_hold(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_wait *w);

/* True: done() will not be called (again). A wait may be cancelled before it is passed to hold(), which then refuses it. */
bool tfs_residency_cancel(struct tfs_residency *rs, struct tfs_wait *w);

/* Release a hold. */
void tfs_residency_drop(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * Load a file, unless it is resident or loading, with the priority of prefetch. It doesn't evict files that weren't used since they
 * were loaded, and if there is no room it is abandoned when its turn comes. -EALREADY: nothing to do; -EFBIG.
 */
int tfs_residency_prefetch(struct tfs_residency *rs, struct tfs_file_id id);

/* A read-only descriptor of the backing file of a resident file that the caller holds, closed by the caller; or -errno. */
int tfs_residency_open(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * The name of that file in the store; files with equal bytes may share it. It stays the file's as long as it is held. -errno as
 * above.
 */
int tfs_residency_backing(struct tfs_residency *rs, struct tfs_file_id id, uint64_t *ret_name);

/*
 * For reading a file while it loads. attach: hold a file that is loading or resident; -ENOENT otherwise. Release it with
 * tfs_residency_drop(). Then range: 0 when those bytes can be read from the descriptor of tfs_residency_open_range(); TFS_QUEUED:
 * @w->done() will be called; or why the load failed, -ENOSPC if it found no room. Bytes that are waited for are loaded first.
 */
int tfs_residency_attach(struct tfs_residency *rs, struct tfs_file_id id);
int tfs_residency_range(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_range_wait *w);

/*
 * A read-only descriptor of the same backing file in which the range was found ready, closed by the caller. -ENOENT: its load has
 * failed since. (A later load has a new file, in which these bytes may not be written yet.)
 */
int tfs_residency_open_range(struct tfs_residency *rs, const struct tfs_range_wait *w);

/*
 * Look at a resident file without counting as its user: it isn't evicted meanwhile, and its LRU position doesn't change. borrow: a
 * read-only descriptor of its backing file, to be closed before it is given back; -ENOENT: it isn't resident.
 */
int tfs_residency_borrow(struct tfs_residency *rs, struct tfs_file_id id);
void tfs_residency_give_back(struct tfs_residency *rs, struct tfs_file_id id);
bool tfs_residency_is_resident(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * Sharing. The owner of the hashes reports which tensors have equal ones. If files of such tensors are resident and have the same
 * bytes, which is checked, as hash collisions can be constructed, they are merged: one backing file for all, charged to the budget
 * once. From then on those tensors are known to be equal, and one of them needs no loading while another is resident.
 *
 * duplicate: @a and @b (the view is ignored) have the same length and hash. True: tfs_residency_merge() of @b has something to do.
 * merge: compare the tensor's files with resident ones of its duplicates, and share if one of the two isn't open or mapped. Takes
 * as long as reading both; @stop is checked in between. on_duplicate, to be set before the first duplicate: called without a lock
 * when merge() of a tensor that was loaded or released has something to do.
 */
typedef void tfs_duplicate_fn(void *arg, struct tfs_file_id id);
void tfs_residency_on_duplicate(struct tfs_residency *rs, tfs_duplicate_fn *on_duplicate, void *arg);
bool tfs_residency_add_duplicate(struct tfs_residency *rs, struct tfs_file_id a, struct tfs_file_id b);
void tfs_residency_merge(struct tfs_residency *rs, struct tfs_file_id id, bool (*stop)(void *arg), void *arg);

/*
 * Reserve @bytes of the budget for something other than a file, evicting as for demand. 0, and to be given back; or -ENOSPC: what
 * is resident is in use.
 */
int tfs_residency_reserve(struct tfs_residency *rs, uint64_t bytes);
/*
 * The same for as many of @want bytes as available, but at least @least; evicts as @priority allows, TFS_BACKGROUND nothing.
 * Returns how many were reserved; 0: not enough.
 */
uint64_t tfs_residency_reserve_some(struct tfs_residency *rs, uint64_t want, uint64_t least, enum tfs_priority priority);
void tfs_residency_unreserve(struct tfs_residency *rs, uint64_t bytes);
/*
 * Who has reserved memory that it needn't keep: called without a lock when files need @bytes and nothing else is free, it unreserves
 * some and returns how many; 0: it has no more. To be set before anything is loaded.
 */
typedef uint64_t tfs_give_up_fn(void *arg, uint64_t bytes);
void tfs_residency_on_shortage(struct tfs_residency *rs, tfs_give_up_fn *give_up, void *arg);

/*
 * @fn is called without a lock when a file has been loaded, just before it is resident, so it isn't evicted meanwhile; @name is that of
 * its backing file. To be set before anything is loaded.
 */
typedef void tfs_loaded_fn(void *arg, uint64_t name);
void tfs_residency_on_loaded(struct tfs_residency *rs, tfs_loaded_fn *fn, void *arg);

/*
 * Pin a file: it is loaded in the background, unless it is resident, and then stays. 0 also if it was already pinned. -EFBIG:
 * larger than the budget; -ENOSPC: too much is pinned; -ENOENT: the view has no such file.
 */
int tfs_residency_pin(struct tfs_residency *rs, struct tfs_file_id id);
/* Unpin it, if pinned. */
void tfs_residency_unpin(struct tfs_residency *rs, struct tfs_file_id id);
/* The pinned files, unordered, allocated; NULL: out of memory. */
struct tfs_file_id *tfs_residency_pinned(struct tfs_residency *rs, size_t *ret_n);
/* The same for those that are being loaded. */
struct tfs_file_id *tfs_residency_loading(struct tfs_residency *rs, size_t *ret_n);
/* And for those that are in memory. */
struct tfs_file_id *tfs_residency_resident(struct tfs_residency *rs, size_t *ret_n);

/* Evict a file, or drop its prefetch. -ENOENT: it isn't in memory. -EBUSY: it is held, mapped or being loaded. */
int tfs_residency_evict(struct tfs_residency *rs, struct tfs_file_id id);

/* Drop all prefetches that have not begun. */
void tfs_residency_drop_prefetch(struct tfs_residency *rs);

/*
 * Evict files, least recently used first, until @bytes are free that were not, or nothing more can be evicted. Returns how many
 * bytes.
 */
uint64_t tfs_residency_shrink(struct tfs_residency *rs, uint64_t bytes);

/* The value of user.tensorfs.state: tfs_state_name() of the file, "stale" after an -ESTALE. */
const char *tfs_residency_state(struct tfs_residency *rs, struct tfs_file_id id);

void tfs_residency_stats(struct tfs_residency *rs, struct tfs_residency_stats *ret_stats);

#endif
