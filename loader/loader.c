/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cache/download.h"
#include "cache/prefetch.h"
#include "cache/pressure.h"
#include "cache/store.h"
#include "content/source.h"
#include "io/workers.h"

struct tfs_loader {
	const struct tfs_model *model;
	struct tfs_loader_options options;
	struct tfs_sources *sources;
	struct tfs_sched *sched;
	struct tfs_workers *workers;
	struct tfs_store *store, *own_store;
	struct tfs_residency *residency;
	struct tfs_streams *streams;
	struct tfs_hashes *hashes;

	struct tfs_prefetcher *prefetcher;
	struct tfs_originals *originals;
	struct tfs_download *download; /* NULL: none */
	_Atomic bool all_tensors;      /* prefetch=all loads tensors/ */
	_Atomic bool chosen;	       /* prefetch=all: something was opened, which says what all is */
	struct tfs_pressure *pressure; /* NULL: the kernel doesn't report it */
	_Atomic uint64_t staged;       /* bytes of staging buffers */
	_Atomic uint64_t lent;	       /* without a store: bytes of the budget that others have */
	_Atomic uint64_t pressures;
};

/* Streams get this share of the budget for their slots, which have bounds of their own. */
#define STREAM_SHARE 8

/* What one weight's scales, or codes while they are put in order, may take beyond the budget: enough for a matrix of 8,192 x 8,192. */
#define OVERDRAFT ((uint64_t)96 << 20)

/* --- Memory pressure ----------------------------------------------------------------------------------------------- */

/* For this long after the last sign of pressure nothing is prefetched: demand is enough then. */
#define PRESSURE_SECONDS 5

/* At each sign, evict this share of what is resident, but at least this many bytes. */
enum { PRESSURE_SHARE = 8 };
#define PRESSURE_MIN ((uint64_t)64 << 20)

/* tmpfs can't be reclaimed, so the kernel would have to kill a process. It warns seconds before. */
static void on_pressure(void *arg)
{
	struct tfs_loader *l = arg;
	struct tfs_residency_stats s;

	l->pressures++;
	tfs_prefetch_pause(l->prefetcher, PRESSURE_SECONDS);
	tfs_originals_save(l->originals, PRESSURE_SECONDS);
	tfs_residency_drop_prefetch(l->residency);
	tfs_residency_stats(l->residency, &s);
	uint64_t want = s.used / PRESSURE_SHARE;
	uint64_t freed = tfs_residency_shrink(l->residency, want > PRESSURE_MIN ? want : PRESSURE_MIN);
	tfs_streams_trim(l->streams);
	tfs_log_debug("memory pressure: evicted %" PRIu64 " of %" PRIu64 " bytes", freed, s.used);
}

/* --- Opens --------------------------------------------------------------------------------------------------------- */

/* prefetch=all: the first open is of a tensor (@tensors) or of an original. */
static void choose(struct tfs_loader *l, bool tensors)
{
	if (l->options.prefetch != TFS_PREFETCH_ALL || tfs_model_is_remote(l->model) || atomic_exchange(&l->chosen, true) ||
	    !tensors)
		return;
	tfs_originals_all(l->originals, false);
	l->all_tensors = true;
	tfs_prefetch_tensors(l->prefetcher); /* whether it works or not: nothing depends on it */
}

void tfs_loader_original(struct tfs_loader *l, uint32_t node, pid_t tid)
{
	/* A remote one is streamed, by which it is read ahead. */
	if (l->options.prefetch == TFS_PREFETCH_NONE || tfs_model_is_remote(l->model))
		return;
	choose(l, false);
	tfs_originals_opened(l->originals, node, tid);
}

int tfs_loader_hold(struct tfs_loader *l, struct tfs_file_id id, struct tfs_wait *w)
{
	if (!l->residency)
		return -EOPNOTSUPP;
	int r = tfs_residency_hold(l->residency, id, w);
	/* After the demand, so that is queued first. */
	choose(l, id.view == TFS_RAW);
	if (l->options.prefetch == TFS_PREFETCH_AUTO && (r >= 0 || r == -ETIMEDOUT))
		tfs_prefetch_after(l->prefetcher, id);
	return r;
}

struct tfs_stream *tfs_loader_stream(struct tfs_loader *l, struct tfs_file_id id)
{
	struct tfs_stream *st = tfs_stream_open(l->streams, id);
	/* With a store, hold() tells the prefetcher. */
	if (st && !l->residency && l->options.prefetch == TFS_PREFETCH_AUTO)
		tfs_prefetch_into_stream(l->prefetcher, st, id);
	return st;
}

int tfs_loader_prefetch(struct tfs_loader *l, struct tfs_file_id *ids, size_t n)
{
	return tfs_prefetch_list(l->prefetcher, ids, n);
}

struct tfs_file_id *tfs_loader_queued(struct tfs_loader *l, size_t *ret_n)
{
	size_t n_loading = 0, n_queued = 0;

	*ret_n = 0;
	if (!l->residency)
		return calloc(1, sizeof(struct tfs_file_id));
	/* In this order: what begins to load meanwhile is in both, and not in neither. */
	cleanup_free struct tfs_file_id *queued = tfs_prefetch_queued(l->prefetcher, &n_queued);
	struct tfs_file_id *loading = tfs_residency_loading(l->residency, &n_loading);
	struct tfs_file_id *all = loading && queued ? reallocarray(loading, n_loading + n_queued + 1, sizeof *all) : NULL;
	if (!all) {
		free(loading);
		return NULL;
	}
	memcpy(all + n_loading, queued, n_queued * sizeof *all);
	*ret_n = n_loading + n_queued;
	return all;
}

void tfs_loader_give_up_residency(struct tfs_loader *l)
{
	if (!l->residency)
		return;
	tfs_prefetch_pause(l->prefetcher, 0);
	tfs_residency_drop_prefetch(l->residency);
	tfs_residency_shrink(l->residency, UINT64_MAX);
}

struct tfs_residency *tfs_loader_residency(struct tfs_loader *l)
{
	return l->residency;
}

struct tfs_streams *tfs_loader_streams(struct tfs_loader *l)
{
	return l->streams;
}

struct tfs_hashes *tfs_loader_hashes(struct tfs_loader *l)
{
	return l->hashes;
}

/* How far prefetch=all has got with tensors/. */
static void count_tensors(const struct tfs_loader *l, struct tfs_loader_stats *stats)
{
	stats->prefetch_total = 0;
	for (size_t s = 0; s < l->model->n_sets; s++)
		stats->prefetch_total += l->model->sets[s].total_bytes;
	/* In whole pages, and a tensor that is being loaded counts, as does what is loaded besides. */
	uint64_t used = stats->residency.used - stats->originals.held;
	stats->prefetch_done = used < stats->prefetch_total ? used : stats->prefetch_total;
}

void tfs_loader_stats(struct tfs_loader *l, struct tfs_loader_stats *ret_stats)
{
	*ret_stats = (struct tfs_loader_stats){ .threads = tfs_workers_count(l->workers) };
	tfs_sched_stats(l->sched, &ret_stats->sched);
	ret_stats->staged = l->staged;
	enum tfs_tier tier = tfs_workers_tier(l->workers);
	if (ret_stats->sched.last_tier > tier)
		tier = ret_stats->sched.last_tier;
	ret_stats->engine = tfs_all_engines[tier]->name;
	tfs_originals_stats(l->originals, &ret_stats->originals);
	if (l->options.prefetch == TFS_PREFETCH_NONE)
		ret_stats->originals.state = "off: --prefetch=none";
	ret_stats->prefetch_total = ret_stats->originals.total;
	ret_stats->prefetch_done = ret_stats->originals.done;
	tfs_streams_stats(l->streams, &ret_stats->streams);
	tfs_hashes_stats(l->hashes, &ret_stats->hashes);
	if (l->residency) {
		tfs_residency_stats(l->residency, &ret_stats->residency);
		if (l->all_tensors)
			count_tensors(l, ret_stats);
		ret_stats->store_used = tfs_store_used(l->store);
		ret_stats->pressures = l->pressures;
	} else {
		ret_stats->residency.budget = l->options.memory;
		ret_stats->residency.used = l->staged + l->lent + ret_stats->originals.held;
	}
}

/* --- Beginning and end --------------------------------------------------------------------------------------------- */

static bool on_idle(void *arg)
{
	struct tfs_loader *l = arg;
	bool left = tfs_streams_trim(l->streams);

	left |= tfs_hashes_trim(l->hashes);
	/* Not only what workers read uses that, so there may be some whenever they sleep. */
	if (l->model->storage->ops->idle) {
		l->model->storage->ops->idle(l->model->storage);
		left = true;
	}
	return left;
}

/* Memory for a staging buffer. Without a store the budget is only for them and the streams. */
static uint64_t take_for_staging(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct tfs_loader *l = arg;
	uint64_t limit = l->options.memory - l->options.memory / STREAM_SHARE, taken = 0;

	if (l->residency) {
		taken = tfs_residency_reserve_some(l->residency, want, least, priority);
		l->staged += taken;
		return taken;
	}
	uint64_t used = l->staged;
	do {
		uint64_t others = used + l->lent, room = others < limit ? limit - others : 0;
		taken = room < least ? 0 : room < want ? room : want;
	} while (!atomic_compare_exchange_weak(&l->staged, &used, used + taken));
	return taken;
}

static void give_from_staging(void *arg, uint64_t bytes)
{
	struct tfs_loader *l = arg;

	l->staged -= bytes;
	if (l->residency)
		tfs_residency_unreserve(l->residency, bytes);
}

bool tfs_loader_lend(struct tfs_loader *l, uint64_t bytes)
{
	const uint64_t limit = l->options.memory - l->options.memory / STREAM_SHARE;

	if (l->residency)
		return tfs_residency_reserve_some(l->residency, bytes, bytes, TFS_DEMAND);
	l->lent += bytes;
	if (l->staged + l->lent <= limit)
		return true;
	l->lent -= bytes;
	return false;
}

void tfs_loader_give_back(struct tfs_loader *l, uint64_t bytes)
{
	if (l->residency)
		tfs_residency_unreserve(l->residency, bytes);
	else
		l->lent -= bytes;
}

/*
 * Reads at once, at least. What local storage gains by more can be measured; over a network that changes too much from one moment to
 * the next, each of them mostly waits for a round trip, and the fetcher finds out how many connections pay.
 */
static unsigned least_threads(const struct tfs_loader *l)
{
	enum { REMOTE = 16 };
	unsigned most = l->options.threads, least = l->options.threads_min;

	if (!tfs_model_is_remote(l->model) || (least && least != TFS_THREADS_MIN_DEFAULT))
		return least;
	return most < REMOTE ? most : REMOTE;
}

static int start_workers(struct tfs_loader *l, struct tfs_error *err)
{
	struct tfs_workers_options o = {
		.threads = l->options.threads,
		.threads_min = least_threads(l),
		.tier = l->options.engine,
		.memory = { .take = take_for_staging, .give = give_from_staging, .arg = l, .overdraft = OVERDRAFT },
		.idle = on_idle,
		.arg = l,
	};
	int r = l->options.engine_forced ? tfs_engine_probe(tfs_all_engines, o.tier) : 0;

	if (r == -EOPNOTSUPP)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the requested engine isn't built in");
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the engine %s isn't available here: %s", tfs_all_engines[o.tier]->name,
				     strerror(-r));
	r = tfs_workers_start(l->sched, l->sources, &o, &l->workers);
	if (r)
		tfs_error_set(err, r, TFS_NO_OFFSET, "couldn't start any reading thread");
	return r;
}

/* Whether it works or not: nothing depends on it. */
static void prefetch_all(struct tfs_loader *l)
{
	enum tfs_prefetch_mode mode = l->options.prefetch;
	bool tensors = mode == TFS_PREFETCH_ALL_TENSORS && l->residency && !l->options.originals_only;

	if (mode != TFS_PREFETCH_ALL && mode != TFS_PREFETCH_ALL_TENSORS)
		return;
	if (!tensors && tfs_model_is_remote(l->model))
		return; /* its originals are downloaded */
	l->all_tensors = tensors;
	l->chosen = tensors || !l->residency || l->options.originals_only;
	tfs_prefetch_small_files(l->prefetcher);
	if (tensors)
		tfs_prefetch_tensors(l->prefetcher);
	else
		tfs_originals_all(l->originals, true);
}

/* Of a file; a remote one has none, and its reads end in time. */
static uint64_t device_of(const void *model, uint32_t node)
{
	return ((const struct tfs_model *)model)->nodes[node].id.dev;
}

int tfs_loader_create(const struct tfs_model *model, const struct tfs_loader_options *options, struct tfs_loader **ret_loader,
		      struct tfs_error *err)
{
	struct tfs_loader *l = calloc(1, sizeof *l);
	int r = 0;

	if (!l)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	l->model = model;
	l->options = *options;
	if (model->storage->ops->resume)
		model->storage->ops->resume(model->storage); /* another loader may have stopped it */
	l->sources = tfs_sources_create(model, options->engine != TFS_TIER_BUFFERED);
	l->sched = tfs_sched_create();
	if (!l->sources || !l->sched)
		r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	else
		tfs_sched_set_storages(l->sched, device_of, model);
	if (!r && options->resident)
		r = options->store ? 0 : tfs_store_open(options->memory, &l->own_store, err);
	l->store = options->store ? options->store : l->own_store;
	if (!r && options->resident) {
		l->residency = tfs_residency_create(model, l->sched, l->store, options->memory, options->open_wait);
		if (!l->residency)
			r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory or threads");
	}
	if (!r && l->residency)
		tfs_residency_on_loaded(l->residency, options->loaded, options->loaded_arg);
	if (!r) {
		l->streams = tfs_streams_create(model, l->sched, l->residency, options->memory / STREAM_SHARE, false);
		l->hashes = tfs_hashes_create(model, l->sources, l->sched, l->residency);
		l->prefetcher = tfs_prefetch_create(model, l->sched, l->residency, options->memory);
		l->originals = tfs_originals_create(model, l->sources, l->sched, l->residency, options->memory);
		if (!l->streams || !l->hashes || !l->prefetcher || !l->originals)
			r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	}
	if (!r)
		r = start_workers(l, err);
	if (r) {
		tfs_loader_destroy(l);
		return r;
	}
	if (l->residency)
		l->pressure = options->pressure ? tfs_pressure_watch_sources(options->pressure, on_pressure, l) :
						  tfs_pressure_watch(on_pressure, l);
	if (l->residency)
		tfs_residency_on_shortage(l->residency, tfs_originals_give_up, l->originals);
	prefetch_all(l);
	if (l->options.small_files && l->options.prefetch != TFS_PREFETCH_NONE)
		l->download = tfs_download_start(model, l->options.prefetch == TFS_PREFETCH_ALL);
	*ret_loader = l;
	return 0;
}

void tfs_loader_cancel(struct tfs_loader *l)
{
	if (l->model->storage->ops->stop)
		l->model->storage->ops->stop(l->model->storage);
}

void tfs_loader_stop(struct tfs_loader *l)
{
	tfs_pressure_stop(l->pressure);
	l->pressure = NULL;
	tfs_prefetch_stop(l->prefetcher);
	tfs_originals_stop(l->originals);
	tfs_sched_stop(l->sched);
	tfs_download_stop(l->download);
	tfs_loader_cancel(l); /* what workers wait for */
	tfs_workers_join(l->workers);
	/* The timer may be answering a request right now, which still needs what the caller destroys next. */
	tfs_residency_stop(l->residency);
	tfs_streams_stop(l->streams);
	tfs_hashes_stop(l->hashes);
}

void tfs_loader_destroy(struct tfs_loader *l)
{
	if (!l)
		return;
	tfs_workers_destroy(l->workers);
	tfs_download_destroy(l->download);
	tfs_hashes_destroy(l->hashes);
	tfs_prefetch_destroy(l->prefetcher);
	tfs_originals_destroy(l->originals);
	tfs_residency_destroy(l->residency);
	tfs_streams_destroy(l->streams);
	tfs_store_close(l->own_store);
	tfs_sched_destroy(l->sched);
	tfs_sources_destroy(l->sources);
	free(l);
}
