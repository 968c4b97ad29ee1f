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
 * used first, but only once the store's lease test says that no process has them mapped: a mapping is of the backing file, so
 * the kernel reports the close of a file that is still mapped.
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

/* One who waits for a file. Owned by the caller; stays where it is until done() was called or the wait was cancelled. */
struct tfs_wait {
	/*
	 * Called exactly once unless cancelled. @result 0: resident, and a hold was taken for the waiter. -ETIMEDOUT: it takes
	 * longer than the open wait; the load goes on. -ENOSPC: no room in the budget. -EDQUOT: no file of this
	 * process may be that large (RLIMIT_FSIZE). Otherwise what went wrong.
	 */
	void (*done)(struct tfs_wait *w, int result);

	/* Private, guarded by the residency's lock. */
	struct tfs_list of_entry, by_age;
	struct tfs_entry *entry;
	double deadline;
	bool cancelled;
};

/* One who waits for a byte range of a file that is being loaded. */
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
	uint64_t shared, shared_bytes;	 /* files that are resident in another one's backing file, and what they would take */
	uint64_t still_mapped;		 /* evictions that the lease test stopped */
	uint64_t pinned, pinned_bytes;	 /* files, and what they take or will take */
	uint64_t taken_back;		 /* prefetches dropped before they began */
	char last_error[TFS_ERROR_LINE]; /* "" when nothing ever failed */
};

struct tfs_residency;

/* @budget bytes, > 0; @open_wait seconds that an open may take. Nothing is owned but what it makes itself. */
struct tfs_residency *tfs_residency_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_store *store,
					   uint64_t budget, double open_wait);

/*
 * When this returns no callback of the residency's own is under way, and none comes any more. The scheduler is stopped first, its
 * workers gone: that has answered every wait. Takes NULL.
 */
void tfs_residency_stop(struct tfs_residency *rs);
void tfs_residency_destroy(struct tfs_residency *rs); /* stops it, if need be; takes NULL */

#define TFS_QUEUED 1

/*
 * Get a file resident and hold it. 0: it is, and is held. TFS_QUEUED: @w->done() will tell. Otherwise @w is not used:
 * -EFBIG: larger than the whole budget; -ETIMEDOUT: would take longer than the open wait, and is loaded in the background;
 * -ECANCELED: the wait was cancelled before.
 */
int tfs_residency_hold(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_wait *w);

/* True: done() will not be called (again). A wait may be cancelled before it is handed to hold(), which then refuses it. */
bool tfs_residency_cancel(struct tfs_residency *rs, struct tfs_wait *w);

/* Give a hold back. */
void tfs_residency_drop(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * Load a file, unless it is there or on its way, with the priority of prefetch. It evicts nothing that was not used since
 * it was loaded, and without room is given up when its turn comes. -EALREADY: nothing to do; -EFBIG.
 */
int tfs_residency_prefetch(struct tfs_residency *rs, struct tfs_file_id id);

/* A read-only descriptor of the backing file of a resident file that the caller holds; caller closes. Or -errno. */
int tfs_residency_open(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * For those who read a file while it loads. attach: hold a file that is loading or resident; -ENOENT otherwise. It is given
 * back with tfs_residency_drop(). Then range: 0 when those bytes can be read from the descriptor of
 * tfs_residency_open_range(); TFS_QUEUED: @w->done() will tell; or why the load failed, -ENOSPC if it found no room. Bytes
 * that are waited for are loaded first.
 */
int tfs_residency_attach(struct tfs_residency *rs, struct tfs_file_id id);
int tfs_residency_range(struct tfs_residency *rs, struct tfs_file_id id, struct tfs_range_wait *w);

/*
 * A read-only descriptor of the very backing file in which the range was found ready; caller closes. -ENOENT: its load has
 * failed since. (A later load has a file of its own, which at these bytes may still be empty.)
 */
int tfs_residency_open_range(struct tfs_residency *rs, const struct tfs_range_wait *w);

/*
 * Look at a resident file without counting as its user: it is not evicted meanwhile, and its turn to be does not change. borrow: a
 * read-only descriptor of its backing file, to be closed before it is given back; -ENOENT: it is not resident.
 */
int tfs_residency_borrow(struct tfs_residency *rs, struct tfs_file_id id);
void tfs_residency_give_back(struct tfs_residency *rs, struct tfs_file_id id);
bool tfs_residency_is_resident(struct tfs_residency *rs, struct tfs_file_id id);

/*
 * Sharing. Whoever knows the hashes says which tensors have equal ones. Where files of such tensors are resident and have the same
 * bytes, which is looked at, for hashes can be made to collide, they are merged: one backing file for all, in the budget once. From
 * then on those tensors are known to be equal, and one of them needs no loading while another is resident.
 *
 * duplicate: @a and @b (the view is ignored) are of one length and have one hash. True: tfs_residency_merge() of @b has something to do.
 * merge: compare the tensor's files with resident ones of its duplicates, and share where nobody has one of two open or mapped. Takes as
 * long as reading both; @stop is asked in between. on_duplicate, before the first duplicate: what is called, without a lock, when merge() of a
 * tensor that was loaded or let go has something to do.
 */
typedef void tfs_duplicate_fn(void *arg, struct tfs_file_id id);
void tfs_residency_on_duplicate(struct tfs_residency *rs, tfs_duplicate_fn *on_duplicate, void *arg);
bool tfs_residency_add_duplicate(struct tfs_residency *rs, struct tfs_file_id a, struct tfs_file_id b);
void tfs_residency_merge(struct tfs_residency *rs, struct tfs_file_id id, bool (*stop)(void *arg), void *arg);

/*
 * Take @bytes of the budget for something else than a file, evicting for it as for demand. 0, and to be given back; or -ENOSPC:
 * what is resident is in use.
 */
int tfs_residency_reserve(struct tfs_residency *rs, uint64_t bytes);
/*
 * The same for as many of @want bytes as there are, but at least @least; evicting as @priority may, TFS_BACKGROUND nothing. Returns how
 * many were taken; 0: not so many.
 */
uint64_t tfs_residency_reserve_some(struct tfs_residency *rs, uint64_t want, uint64_t least, enum tfs_priority priority);
void tfs_residency_unreserve(struct tfs_residency *rs, uint64_t bytes);

/*
 * Pin a file: it is loaded in the background, unless it is there, and then stays. 0 also where it was pinned already. -EFBIG: larger
 * than the budget; -ENOSPC: too much is pinned; -ENOENT: the view has no such file.
 */
int tfs_residency_pin(struct tfs_residency *rs, struct tfs_file_id id);
/* Take the pin off, if there is one. */
void tfs_residency_unpin(struct tfs_residency *rs, struct tfs_file_id id);
/* The pinned files, in no order, allocated; NULL: out of memory. */
struct tfs_file_id *tfs_residency_pinned(struct tfs_residency *rs, size_t *ret_n);
/* The same of those that are being loaded. */
struct tfs_file_id *tfs_residency_loading(struct tfs_residency *rs, size_t *ret_n);

/* Evict a file, or drop its prefetch. -ENOENT: it is not in memory. -EBUSY: it is held, mapped or being loaded. */
int tfs_residency_evict(struct tfs_residency *rs, struct tfs_file_id id);

/* Drop all prefetches that have not begun. */
void tfs_residency_drop_prefetch(struct tfs_residency *rs);

/* Evict files, least recently used first, until @bytes are free that were not, or nothing more can go. Returns how many bytes. */
uint64_t tfs_residency_shrink(struct tfs_residency *rs, uint64_t bytes);

/* What user.tensorfs.state says: tfs_state_name() of the file, "stale" after an -ESTALE. */
const char *tfs_residency_state(struct tfs_residency *rs, struct tfs_file_id id);

void tfs_residency_stats(struct tfs_residency *rs, struct tfs_residency_stats *ret_stats);

#endif
