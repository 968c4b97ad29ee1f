/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/prefetch.h"
#include "io/workers.h"
#include "cache/predict.h"
#include "cache/pressure.h"
#include "content/source.h"
#include "cache/store.h"

/* What the prefetcher knows of the opens of one weight set in one view: readers of two views keep each their own order. */
struct set_plan {
	struct tfs_plan plan;
	uint32_t *place; /* of each tensor in file order: the inverse of set->by_offset; NULL before the first open */
	/* The order of the first opens, and the place of each tensor in there or TFS_NO_PLACE. In the same piece of memory. */
	uint32_t *opened, *place_opened;
	uint32_t n_opened;
};

struct tfs_loader {
	const struct tfs_model *model;
	struct tfs_loader_options options;
	struct tfs_sources *sources;
	struct tfs_sched *sched;
	struct tfs_workers *workers;
	struct tfs_store *store;
	struct tfs_residency *residency;
	struct tfs_streams *streams;
	struct tfs_hashes *hashes;

	pthread_mutex_t plan_lock; /* guards the plans; taken before all others */
	struct set_plan *plans;	   /* [set * TFS_VIEW_IDS + view] */

	struct tfs_feeder *feeder;     /* NULL without a store */
	struct tfs_pressure *pressure; /* NULL: the kernel does not tell of it */
	_Atomic uint64_t spooled;      /* bytes of spools */
	_Atomic double pressure_until; /* of tfs_now() */
	_Atomic uint64_t pressures;
};

/* Streams get this share of the budget for their slots, which have bounds of their own. */
#define STREAM_SHARE 8

/* Prefetch runs ahead by at most this share of the budget, so that it can't push out what it has brought in. */
#define WINDOW_SHARE 4
#define WINDOW_MAX ((uint64_t)1 << 30)

/* --- Prefetch ------------------------------------------------------------------------------------------------------ */

static uint32_t tensor_at(const struct tfs_set *set, const struct set_plan *sp, enum tfs_order order, uint32_t place)
{
	return order == TFS_FILE_ORDER ? set->by_offset[place] : order == TFS_NAME_ORDER ? place : sp->opened[place];
}

/* Before the first open. False: out of memory. */
static bool make_places(const struct tfs_set *set, struct set_plan *sp)
{
	size_t n = set->n_tensors;

	if (sp->place)
		return true;
	sp->place = reallocarray(NULL, n, 3 * sizeof *sp->place);
	if (!sp->place)
		return false;
	sp->opened = sp->place + n;
	sp->place_opened = sp->opened + n;
	for (size_t i = 0; i < n; i++) {
		sp->place[set->by_offset[i]] = i;
		sp->place_opened[i] = TFS_NO_PLACE;
	}
	return true;
}

/* Tell the plan of an open: what will probably follow. The lock of the plans is held. NULL: out of memory. */
static struct set_plan *plan_open(struct tfs_loader *l, struct tfs_file_id id, uint64_t max, struct tfs_plan_step *ret_step)
{
	const struct tfs_set *set = &l->model->sets[id.set];
	struct set_plan *sp = &l->plans[(size_t)id.set * TFS_VIEW_IDS + id.view];

	if (!make_places(set, sp))
		return NULL;
	const uint32_t place[TFS_ORDERS] = { sp->place[id.tensor], id.tensor, sp->place_opened[id.tensor] };
	const uint32_t count[TFS_ORDERS] = { set->n_tensors, set->n_tensors, sp->n_opened };
	*ret_step = tfs_plan_opened(&sp->plan, place, count, max);
	if (sp->place_opened[id.tensor] == TFS_NO_PLACE) {
		sp->place_opened[id.tensor] = sp->n_opened;
		sp->opened[sp->n_opened++] = id.tensor;
	}
	return sp;
}

/* A tensor is being opened: bring in those that will probably follow. Failing to is no error, only slower. */
static void prefetch_after(struct tfs_loader *l, struct tfs_file_id id)
{
	const struct tfs_set *set = &l->model->sets[id.set];
	uint64_t max = l->options.memory / WINDOW_SHARE;
	if (max > WINDOW_MAX)
		max = WINDOW_MAX;
	if (tfs_now() < l->pressure_until)
		return;

	pthread_mutex_lock(&l->plan_lock);
	struct tfs_plan_step step;
	struct set_plan *sp = plan_open(l, id, max, &step);
	if (!sp) {
		pthread_mutex_unlock(&l->plan_lock);
		return;
	}
	uint64_t bytes = 0;
	for (uint32_t i = step.next; i < step.from; i++)
		bytes += tfs_file_loaded_size(l->model, (struct tfs_file_id){ id.set, tensor_at(set, sp, step.order, i), id.view });
	uint32_t i = step.from;
	for (; i < step.to && (bytes < step.window || i == step.next); i++) {
		struct tfs_file_id next = { id.set, tensor_at(set, sp, step.order, i), id.view };
		uint64_t size = tfs_file_loaded_size(l->model, next);
		/* Larger than the whole window, and not the very next one: it would crowd out all that comes before it. */
		if (size > max && i != step.next)
			break;
		bytes += size;
		if (size)
			tfs_residency_prefetch(l->residency, next);
	}
	tfs_plan_did(&sp->plan, step.order, i);
	pthread_mutex_unlock(&l->plan_lock);
}

/* The same for a tensor that is streamed: readahead goes on into the one that will probably follow. */
static void precede(struct tfs_loader *l, struct tfs_stream *st, struct tfs_file_id id)
{
	const struct tfs_set *set = &l->model->sets[id.set];
	struct tfs_plan_step step;
	bool found = false;

	pthread_mutex_lock(&l->plan_lock);
	const struct set_plan *sp = plan_open(l, id, WINDOW_MAX, &step);
	for (uint32_t i = sp ? step.from : 0; sp && i < step.to && !found; i++) {
		struct tfs_file_id next = { id.set, tensor_at(set, sp, step.order, i), id.view };
		found = tfs_file_loaded_size(l->model, next);
		if (found)
			tfs_stream_precede(st, next);
	}
	pthread_mutex_unlock(&l->plan_lock);
}

/* The files beside the weights, which whoever loads the model reads at the same time: into the page cache with them. */
static void prefetch_originals(struct tfs_loader *l)
{
	enum { LARGEST = 64 << 20 }; /* tokenizers reach 30 MB; what is larger is something else */
	bool *is_source = calloc(l->model->n_nodes, sizeof *is_source);
	if (!is_source)
		return;
	for (size_t s = 0; s < l->model->n_sets; s++)
		for (uint32_t i = 0; i < l->model->sets[s].n_sources; i++)
			is_source[l->model->sets[s].sources[i]] = true;
	for (uint32_t n = 0; n < l->model->n_nodes; n++) {
		const struct tfs_node *node = &l->model->nodes[n];
		if (!S_ISREG(node->mode) || is_source[n] || !node->size || node->size > LARGEST ||
		    !l->model->nodes[node->parent].n_sets)
			continue;
		cleanup_fd int fd = tfs_model_open_node(l->model, n, 0);
		if (fd >= 0)
			posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
	}
	free(is_source);
}

/* prefetch=all: all of tensors/, in file order. */
static int feed_all(struct tfs_loader *l)
{
	size_t n = 0, room = 0;

	for (uint32_t s = 0; s < l->model->n_sets; s++)
		room += l->model->sets[s].n_tensors; /* they are all in memory, so the sum fits */
	struct tfs_file_id *ids = reallocarray(NULL, room + 1, sizeof *ids);
	if (!ids)
		return -ENOMEM;
	for (uint32_t s = 0; s < l->model->n_sets; s++)
		for (size_t i = 0; i < l->model->sets[s].n_tensors; i++)
			ids[n++] = (struct tfs_file_id){ s, l->model->sets[s].by_offset[i], TFS_RAW };
	return tfs_feeder_add(l->feeder, ids, n);
}

/* --- Memory pressure ----------------------------------------------------------------------------------------------- */

/* For so long after the last sign of pressure nothing is prefetched: what is wanted is enough then. */
#define PRESSURE_SECONDS 5

/* At each sign of it, this share of what is resident goes, but at least so many bytes. */
enum { PRESSURE_SHARE = 8 };
#define PRESSURE_MIN ((uint64_t)64 << 20)

/* tmpfs can't be reclaimed, so the kernel would have to kill somebody. It says so seconds before. */
static void on_pressure(void *arg)
{
	struct tfs_loader *l = arg;
	struct tfs_residency_stats s;

	l->pressure_until = tfs_now() + PRESSURE_SECONDS;
	l->pressures++;
	tfs_feeder_clear(l->feeder);
	tfs_residency_drop_prefetch(l->residency);
	tfs_residency_stats(l->residency, &s);
	uint64_t want = s.used / PRESSURE_SHARE;
	uint64_t freed = tfs_residency_shrink(l->residency, want > PRESSURE_MIN ? want : PRESSURE_MIN);
	tfs_streams_trim(l->streams);
	tfs_log_debug("memory pressure: evicted %" PRIu64 " of %" PRIu64 " bytes", freed, s.used);
}

/* --- Opens --------------------------------------------------------------------------------------------------------- */

int tfs_loader_hold(struct tfs_loader *l, struct tfs_file_id id, struct tfs_wait *w)
{
	if (!l->residency)
		return -EOPNOTSUPP;
	int r = tfs_residency_hold(l->residency, id, w);
	/* After the demand, so that it is queued first. */
	if (l->options.prefetch == TFS_PREFETCH_AUTO && (r >= 0 || r == -ETIMEDOUT))
		prefetch_after(l, id);
	return r;
}

struct tfs_stream *tfs_loader_stream(struct tfs_loader *l, struct tfs_file_id id)
{
	struct tfs_stream *st = tfs_stream_open(l->streams, id);
	/* With a store it is hold() that tells the prefetcher. */
	if (st && !l->residency && l->options.prefetch == TFS_PREFETCH_AUTO)
		precede(l, st, id);
	return st;
}

int tfs_loader_feed(struct tfs_loader *l, struct tfs_file_id *ids, size_t n)
{
	if (l->feeder)
		return tfs_feeder_add(l->feeder, ids, n);
	free(ids);
	return -EOPNOTSUPP;
}

struct tfs_file_id *tfs_loader_queued(struct tfs_loader *l, size_t *ret_n)
{
	size_t n_loading = 0, n_queued = 0;

	*ret_n = 0;
	if (!l->residency)
		return calloc(1, sizeof(struct tfs_file_id));
	struct tfs_file_id *loading = tfs_residency_loading(l->residency, &n_loading);
	cleanup_free struct tfs_file_id *queued = tfs_feeder_queued(l->feeder, &n_queued);
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
	tfs_feeder_clear(l->feeder);
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

void tfs_loader_stats(struct tfs_loader *l, struct tfs_loader_stats *ret_stats)
{
	*ret_stats = (struct tfs_loader_stats){ .threads = tfs_workers_count(l->workers) };
	tfs_sched_stats(l->sched, &ret_stats->sched);
	ret_stats->spooled = l->spooled;
	enum tfs_tier tier = tfs_workers_tier(l->workers);
	if (ret_stats->sched.last_tier > tier)
		tier = ret_stats->sched.last_tier;
	ret_stats->engine = tfs_all_engines[tier]->name;
	tfs_streams_stats(l->streams, &ret_stats->streams);
	tfs_hashes_stats(l->hashes, &ret_stats->hashes);
	if (l->residency) {
		tfs_residency_stats(l->residency, &ret_stats->residency);
		ret_stats->store_used = tfs_store_used(l->store);
		ret_stats->pressures = l->pressures;
	}
}

/* --- Beginning and end --------------------------------------------------------------------------------------------- */

static void on_idle(void *arg)
{
	struct tfs_loader *l = arg;
	tfs_streams_trim(l->streams);
	tfs_hashes_trim(l->hashes);
}

/* Memory for a spool. Without a store the budget is for them, and the streams. */
static uint64_t take_for_spool(void *arg, uint64_t want, uint64_t least, enum tfs_priority priority)
{
	struct tfs_loader *l = arg;
	uint64_t limit = l->options.memory - l->options.memory / STREAM_SHARE, taken = 0;

	if (l->residency) {
		taken = tfs_residency_reserve_some(l->residency, want, least, priority);
		l->spooled += taken;
		return taken;
	}
	uint64_t used = l->spooled;
	do {
		uint64_t room = used < limit ? limit - used : 0;
		taken = room < least ? 0 : room < want ? room : want;
	} while (!atomic_compare_exchange_weak(&l->spooled, &used, used + taken));
	return taken;
}

static void give_from_spool(void *arg, uint64_t bytes)
{
	struct tfs_loader *l = arg;

	l->spooled -= bytes;
	if (l->residency)
		tfs_residency_unreserve(l->residency, bytes);
}

static int start_workers(struct tfs_loader *l, struct tfs_error *err)
{
	struct tfs_workers_options o = {
		.threads = l->options.threads,
		.tier = l->options.engine,
		.memory = { .take = take_for_spool, .give = give_from_spool, .arg = l },
		.idle = on_idle,
		.arg = l,
	};
	int r = l->options.engine_forced ? tfs_engine_probe(tfs_all_engines, o.tier) : 0;

	if (r == -EOPNOTSUPP)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the engine that was asked for was not built in");
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "the engine %s is not to be had here: %s",
				     tfs_all_engines[o.tier]->name, strerror(-r));
	r = tfs_workers_start(l->sched, l->sources, &o, &l->workers);
	if (r)
		tfs_error_set(err, r, TFS_NO_OFFSET, "could not start a single thread for reading");
	return r;
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
	pthread_mutex_init(&l->plan_lock, NULL);
	l->plans = calloc(model->n_sets * TFS_VIEW_IDS, sizeof *l->plans);
	l->sources = tfs_sources_create(model, options->engine != TFS_TIER_BUFFERED);
	l->sched = tfs_sched_create();
	if (!l->plans || !l->sources || !l->sched)
		r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	if (!r && options->resident)
		r = tfs_store_open(options->memory, &l->store, err);
	if (!r && options->resident) {
		l->residency = tfs_residency_create(model, l->sched, l->store, options->memory, options->open_wait);
		l->feeder = tfs_feeder_create(model, l->sched, l->residency);
		if (!l->residency || !l->feeder)
			r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory or threads");
	}
	if (!r) {
		l->streams = tfs_streams_create(model, l->sched, l->residency, options->memory / STREAM_SHARE, false);
		l->hashes = tfs_hashes_create(model, l->sources, l->sched, l->residency);
		if (!l->streams || !l->hashes)
			r = tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	}
	if (!r) {
		r = start_workers(l, err);
	}
	if (r) {
		tfs_loader_destroy(l);
		return r;
	}
	if (l->residency)
		l->pressure = tfs_pressure_watch(on_pressure, l);
	if (options->prefetch == TFS_PREFETCH_ALL && l->residency) {
		prefetch_originals(l);
		if (!options->originals_only)
			feed_all(l); /* or not: nothing depends on it */
	}
	*ret_loader = l;
	return 0;
}

void tfs_loader_stop(struct tfs_loader *l)
{
	tfs_pressure_stop(l->pressure);
	l->pressure = NULL;
	tfs_feeder_stop(l->feeder);
	tfs_sched_stop(l->sched);
	tfs_workers_join(l->workers);
	/* The timer may be answering somebody right now, whose answer still needs what the caller takes apart next. */
	tfs_residency_stop(l->residency);
	tfs_streams_stop(l->streams);
	tfs_hashes_stop(l->hashes);
}

void tfs_loader_destroy(struct tfs_loader *l)
{
	if (!l)
		return;
	tfs_workers_destroy(l->workers);
	tfs_hashes_destroy(l->hashes);
	tfs_feeder_destroy(l->feeder);
	tfs_residency_destroy(l->residency);
	tfs_streams_destroy(l->streams);
	tfs_store_close(l->store);
	tfs_sched_destroy(l->sched);
	tfs_sources_destroy(l->sources);
	for (size_t i = 0; l->plans && i < l->model->n_sets * TFS_VIEW_IDS; i++)
		free(l->plans[i].place);
	free(l->plans);
	pthread_mutex_destroy(&l->plan_lock);
	free(l);
}
