/* SPDX-License-Identifier: MIT */
/*
 * The loader: brings tensors from storage into memory, and gives access to them. It connects the parts (sources, scheduler,
 * workers, store, residency, streams, prefetch) and knows nothing of FUSE.
 *
 * Two ways to a file's bytes: tfs_loader_hold() makes it resident, in a backing file that the caller may pass to the kernel;
 * tfs_loader_stream() reads it in pieces, if hold() says that it can't or shouldn't be resident. Thread-safe unless noted.
 */
#ifndef TFS_LOADER_H
#define TFS_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/memory.h"
#include "cache/originals.h"
#include "cache/residency.h"
#include "cache/stream.h"
#include "hash/hash.h"
#include "io/scheduler.h"
#include "model/model.h"

/* ALL: once, the view that is opened first, and until then the originals. */
enum tfs_prefetch_mode { TFS_PREFETCH_AUTO, TFS_PREFETCH_ALL, TFS_PREFETCH_ALL_TENSORS, TFS_PREFETCH_NONE };

struct tfs_loader_options {
	uint64_t memory;      /* budget in bytes; tfs_memory_default() */
	double open_wait;     /* seconds */
	unsigned threads;     /* maximum of reads at once; TFS_THREADS_DEFAULT */
	unsigned threads_min; /* the least that storage may limit them to; TFS_THREADS_MIN_DEFAULT */
	enum tfs_tier engine; /* the first to try */
	bool engine_forced;   /* fail without it */
	bool resident;	      /* false: don't create a store; everything is streamed */
	enum tfs_prefetch_mode prefetch;
	bool small_files;    /* of a remote model: bring in what programs read beside weights */
	bool originals_only; /* files of TFS_RAW can't be opened: prefetch=all only loads originals */
	/*
	 * What takes privileges that the caller may have given up by now; NULL: the loader opens it. The store stays the
	 * caller's, who closes it after tfs_loader_destroy(); pressure is what tfs_pressure_open() fills, and is taken over if
	 * tfs_loader_create() succeeds with a store.
	 */
	struct tfs_store *store;
	const int *pressure;
	tfs_loaded_fn *loaded; /* for tfs_residency_on_loaded(), or NULL */
	void *loaded_arg;
};

/*
 * Requests in flight, at 4 MiB of buffer each. It begins with 8, which got all that a local disk gave (docs/decisions.md), and
 * changes by what the storage gains from it.
 */
enum { TFS_THREADS_MIN_DEFAULT = 2, TFS_THREADS_DEFAULT = 32, TFS_THREADS_MAX = 64 };

struct tfs_loader;

/*
 * @model must outlive the loader. With @options->resident, failing to create a store is an error: the caller decides whether to go
 * on without. Starts threads.
 */
int tfs_loader_create(const struct tfs_model *model, const struct tfs_loader_options *options, struct tfs_loader **ret_loader,
		      struct tfs_error *err);

/*
 * No more loads are started, and all waiters are answered with -ECANCELED before this returns. Requests meanwhile, or later, get
 * the same. Call it once.
 */
void tfs_loader_stop(struct tfs_loader *l);

/* Reads that wait for a network, and all later ones that would, fail, with -ECANCELED. In any thread; stop it all the same. */
void tfs_loader_cancel(struct tfs_loader *l);
void tfs_loader_destroy(struct tfs_loader *l); /* after stop, and after every stream was closed; accepts NULL */

/* Like tfs_residency_hold(); -EOPNOTSUPP without a store. Also tells the prefetcher. */
int tfs_loader_hold(struct tfs_loader *l, struct tfs_file_id id, struct tfs_wait *w);

/* Like tfs_stream_open() on tfs_loader_streams(). Without a store it also tells the readahead which tensor comes next. */
struct tfs_stream *tfs_loader_stream(struct tfs_loader *l, struct tfs_file_id id);

/*
 * The file @node is being opened as it is, by the thread @tid (0: not known): bring it, and then the others of its set, into the page
 * cache. See cache/originals.h.
 */
void tfs_loader_original(struct tfs_loader *l, uint32_t node, pid_t tid);

/*
 * Load these @n files in the background, in this order, as far as the budget has room. The loader takes ownership of @ids
 * (malloc'd). -EOPNOTSUPP without a store; -ENOMEM, -EAGAIN.
 */
int tfs_loader_prefetch(struct tfs_loader *l, struct tfs_file_id *ids, size_t n);

/* What is being loaded, or queued for loading, allocated; NULL: out of memory. */
struct tfs_file_id *tfs_loader_queued(struct tfs_loader *l, size_t *ret_n);

/* Resident files can't be served any more: drop what is queued for loading, and release what nobody has open or mapped. */
void tfs_loader_give_up_residency(struct tfs_loader *l);

/*
 * Reserve @bytes of the budget for something of the caller's, evicting as for demand; and give them back. False: what is there is in
 * use.
 */
bool tfs_loader_lend(struct tfs_loader *l, uint64_t bytes);
void tfs_loader_give_back(struct tfs_loader *l, uint64_t bytes);

/* NULL without a store. */
struct tfs_residency *tfs_loader_residency(struct tfs_loader *l);
struct tfs_streams *tfs_loader_streams(struct tfs_loader *l);
struct tfs_hashes *tfs_loader_hashes(struct tfs_loader *l);

struct tfs_loader_stats {
	struct tfs_residency_stats residency; /* without a store: only the budget, and what others use of it */
	struct tfs_stream_stats streams;
	struct tfs_hash_stats hashes;
	struct tfs_sched_stats sched;
	struct tfs_originals_stats originals;
	uint64_t prefetch_total, prefetch_done; /* bytes of what is wanted: of originals, or of tensors by prefetch=all */
	uint64_t store_used;			/* bytes of memory used by backing files, as the kernel counts them */
	uint64_t staged;    /* bytes of tensors that are inflated ahead (content/staging.h), now; in the budget */
	uint64_t pressures; /* times that the kernel reported memory pressure */
	unsigned threads;
	const char *engine; /* name of the last one that read; before that, of the one tried first */
};
void tfs_loader_stats(struct tfs_loader *l, struct tfs_loader_stats *ret_stats);

#endif
