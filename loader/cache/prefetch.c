/* SPDX-License-Identifier: MIT */
#include "cache/prefetch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sort.h"
#include "base/thread.h"
#include "cache/predict.h"

/* Maximum number of queued prefetches: enough to keep every reading thread busy until the next check. */
#define QUEUE_BYTES (64 * TFS_CHUNK)
enum { QUEUE_FILES = 4096, LOOK_AGAIN_NS = 5000000 };

/* What is known of the opens of one weight set in one view: readers of two views each have their own order. */
struct set_predictor {
	struct tfs_predictor predictor;
	uint32_t n; /* files in the view */
	/*
	 * By order: the tensors in it, and the position of each tensor, or TFS_NO_PLACE; NULL before the first open. In the same
	 * allocation.
	 */
	uint32_t *tensors[TFS_ORDERS], *place[TFS_ORDERS];
	uint32_t n_opened; /* in the order of opens: how many there are so far */
};

/* Prefetch runs ahead by at most this share of the budget, so it can't evict what it has loaded. */
#define WINDOW_SHARE 4
#define WINDOW_MAX   ((uint64_t)1 << 30)

struct list {
	struct tfs_list link;
	struct tfs_file_id *ids;
	size_t n;
};

struct tfs_prefetcher {
	const struct tfs_model *model;
	struct tfs_sched *sched;
	struct tfs_residency *residency; /* NULL: nothing is kept in memory, only streamed */
	uint64_t memory;
	_Atomic double paused_until; /* of tfs_now() */

	pthread_mutex_t opens_lock;	  /* guards the predictors; taken before all other locks */
	struct set_predictor *predictors; /* [set * TFS_VIEW_IDS + view] */

	pthread_mutex_t lock; /* guards all below; taken before the residency's lock */
	pthread_cond_t more;
	struct tfs_list lists;
	const struct list *current; /* the current one, and how many of its files have been requested */
	size_t done;
	bool stopping, running;
	unsigned cleared; /* number of clears: they drop the current list, too */
	pthread_t thread;
};

struct tfs_prefetcher *tfs_prefetch_create(const struct tfs_model *model, struct tfs_sched *sched, struct tfs_residency *residency,
					   uint64_t memory)
{
	struct tfs_prefetcher *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->predictors = calloc(model->n_sets * TFS_VIEW_IDS, sizeof *p->predictors);
	if (!p->predictors) {
		free(p);
		return NULL;
	}
	p->model = model;
	p->sched = sched;
	p->residency = residency;
	p->memory = memory;
	tfs_list_init(&p->lists);
	pthread_mutex_init(&p->opens_lock, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	return p;
}

/* --- After an open ------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b, void *set)
{
	const struct tfs_tensor *x = tfs_set_tensor(set, *(const uint32_t *)a), *y = tfs_set_tensor(set, *(const uint32_t *)b);

	return tfs_name_cmp(x->name, x->name_len, y->name, y->name_len);
}

static int by_offset(const void *a, const void *b, void *set)
{
	const struct tfs_tensor *x = tfs_set_tensor(set, *(const uint32_t *)a), *y = tfs_set_tensor(set, *(const uint32_t *)b);

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* The tensors of the set that @view shows, in the order of their names, and in that of their positions in files. */
static void make_orders(const struct tfs_set *set, enum tfs_view_id view, struct set_predictor *sp)
{
	uint32_t *names = sp->tensors[TFS_NAME_ORDER], *offsets = sp->tensors[TFS_FILE_ORDER];
	const bool scaled = set->n_scaled && view == TFS_F32;

	sp->n = 0;
	for (size_t i = 0; i < (scaled ? tfs_set_n_all(set) : set->n_tensors); i++)
		if (!scaled || tfs_view_shows(view, tfs_set_tensor(set, i)))
			names[sp->n++] = i;
	memcpy(offsets, scaled ? names : set->by_offset, sp->n * sizeof *offsets);
	if (scaled) {
		qsort_r(names, sp->n, sizeof *names, by_name, (void *)(uintptr_t)set);
		qsort_r(offsets, sp->n, sizeof *offsets, by_offset, (void *)(uintptr_t)set);
	}
}

/* Before the first open. False: out of memory. */
static bool make_places(const struct tfs_set *set, enum tfs_view_id view, struct set_predictor *sp)
{
	const size_t n = tfs_set_n_all(set);

	if (sp->tensors[0])
		return true;
	uint32_t *memory = reallocarray(NULL, n, 2 * TFS_ORDERS * sizeof *memory);
	if (!memory)
		return false;
	memset(memory, 0xff, n * 2 * TFS_ORDERS * sizeof *memory); /* TFS_NO_PLACE */
	for (int o = 0; o < TFS_ORDERS; o++) {
		sp->tensors[o] = memory + n * o;
		sp->place[o] = memory + n * (TFS_ORDERS + o);
	}
	make_orders(set, view, sp);
	for (uint32_t i = 0; i < sp->n; i++) {
		sp->place[TFS_NAME_ORDER][sp->tensors[TFS_NAME_ORDER][i]] = i;
		sp->place[TFS_FILE_ORDER][sp->tensors[TFS_FILE_ORDER][i]] = i;
	}
	return true;
}

/* Tell the predictor of an open: what will probably come next. The lock of the opens is held. NULL: out of memory. */
static struct set_predictor *note_open(struct tfs_prefetcher *p, struct tfs_file_id id, uint64_t max,
				       struct tfs_prediction *ret_prediction)
{
	struct set_predictor *sp = &p->predictors[(size_t)id.set * TFS_VIEW_IDS + id.view];

	if (!make_places(&p->model->sets[id.set], id.view, sp))
		return NULL;
	uint32_t place[TFS_ORDERS], count[TFS_ORDERS];
	for (int o = 0; o < TFS_ORDERS; o++) {
		place[o] = sp->place[o][id.tensor];
		count[o] = o == TFS_EARLIER_ORDER ? sp->n_opened : sp->n;
	}
	*ret_prediction = tfs_predict_opened(&sp->predictor, place, count, max);
	if (place[TFS_EARLIER_ORDER] == TFS_NO_PLACE) {
		sp->place[TFS_EARLIER_ORDER][id.tensor] = sp->n_opened;
		sp->tensors[TFS_EARLIER_ORDER][sp->n_opened++] = id.tensor;
	}
	return sp;
}

void tfs_prefetch_after(struct tfs_prefetcher *p, struct tfs_file_id id)
{
	uint64_t max = p->memory / WINDOW_SHARE;
	if (max > WINDOW_MAX)
		max = WINDOW_MAX;
	if (tfs_now() < p->paused_until)
		return;

	pthread_mutex_lock(&p->opens_lock);
	struct tfs_prediction next_up;
	struct set_predictor *sp = note_open(p, id, max, &next_up);
	if (!sp) {
		pthread_mutex_unlock(&p->opens_lock);
		return;
	}
	uint64_t bytes = 0;
	for (uint32_t i = next_up.next; i < next_up.from; i++)
		bytes += tfs_file_loaded_size(p->model, (struct tfs_file_id){ id.set, sp->tensors[next_up.order][i], id.view });
	uint32_t i = next_up.from;
	for (; i < next_up.to && (bytes < next_up.window || i == next_up.next); i++) {
		struct tfs_file_id next = { id.set, sp->tensors[next_up.order][i], id.view };
		uint64_t size = tfs_file_loaded_size(p->model, next);
		/* Larger than the whole window, and not the very next one: it would crowd out everything before it. */
		if (size > max && i != next_up.next)
			break;
		bytes += size;
		if (size)
			tfs_residency_prefetch(p->residency, next);
	}
	tfs_predict_did(&sp->predictor, next_up.order, i);
	pthread_mutex_unlock(&p->opens_lock);
}

void tfs_prefetch_into_stream(struct tfs_prefetcher *p, struct tfs_stream *st, struct tfs_file_id id)
{
	struct tfs_prediction next_up;
	bool found = false;

	pthread_mutex_lock(&p->opens_lock);
	const struct set_predictor *sp = note_open(p, id, WINDOW_MAX, &next_up);
	for (uint32_t i = sp ? next_up.from : 0; sp && i < next_up.to && !found; i++) {
		struct tfs_file_id next = { id.set, sp->tensors[next_up.order][i], id.view };
		found = tfs_file_loaded_size(p->model, next);
		if (found)
			tfs_stream_precede(st, next);
	}
	pthread_mutex_unlock(&p->opens_lock);
}

/* --- Lists --------------------------------------------------------------------------------------------------------- */

static void list_free(struct list *l)
{
	free(l->ids);
	free(l);
}

/* Continue with file @i of the list that was started when cleared was @cleared? */
static bool go_on(struct tfs_prefetcher *p, size_t i, unsigned cleared)
{
	pthread_mutex_lock(&p->lock);
	p->done = i;
	bool yes = !p->stopping && p->cleared == cleared;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

static void feed(struct tfs_prefetcher *p, const struct list *l, unsigned cleared)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };

	for (size_t i = 0; i < l->n; i++) {
		uint64_t cost = tfs_store_cost(tfs_file_loaded_size(p->model, l->ids[i]));
		struct tfs_residency_stats res;
		struct tfs_sched_stats sched;

		if (!cost)
			continue;
		for (;; nanosleep(&pause, NULL)) {
			if (!go_on(p, i, cleared))
				return;
			tfs_sched_stats(p->sched, &sched);
			tfs_residency_stats(p->residency, &res);
			if (sched.queued[TFS_PREFETCH] < QUEUE_BYTES && res.files[TFS_LOADING] < QUEUE_FILES)
				break;
		}
		if (res.used + sched.queued[TFS_PREFETCH] + cost > res.budget)
			return;
		tfs_residency_prefetch(p->residency, l->ids[i]);
	}
}

static void *run(void *arg)
{
	struct tfs_prefetcher *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		struct list *l = tfs_list_first(&p->lists, struct list, link);
		if (!l) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		tfs_list_remove(&l->link);
		unsigned cleared = p->cleared;
		p->current = l;
		p->done = 0;
		pthread_mutex_unlock(&p->lock);
		feed(p, l, cleared);
		pthread_mutex_lock(&p->lock);
		p->current = NULL;
		list_free(l);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* The lock is held. */
static int start(struct tfs_prefetcher *p)
{
	tfs_assert_held(&p->lock);
	if (p->running)
		return 0;
	p->running = !tfs_thread_start(&p->thread, "tfs-prefetch", run, p);
	return p->running ? 0 : -EAGAIN;
}

int tfs_prefetch_list(struct tfs_prefetcher *p, struct tfs_file_id *ids, size_t n)
{
	struct list *l = p->residency ? malloc(sizeof *l) : NULL;
	int r = l ? 0 : p->residency ? -ENOMEM : -EOPNOTSUPP;

	pthread_mutex_lock(&p->lock);
	if (!r)
		r = p->stopping ? -ECANCELED : start(p);
	if (!r) {
		*l = (struct list){ .ids = ids, .n = n };
		tfs_list_add(&p->lists, &l->link);
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->lock);
	if (r) {
		free(ids);
		free(l);
	}
	return r;
}

struct tfs_file_id *tfs_prefetch_queued(struct tfs_prefetcher *p, size_t *ret_n)
{
	size_t n = 0;

	pthread_mutex_lock(&p->lock);
	size_t done = p->current ? p->done : 0, count = p->current ? p->current->n - done : 0;
	tfs_list_each(struct list, l, &p->lists, link)
		count += l->n;
	struct tfs_file_id *ids = calloc(count + 1, sizeof *ids);
	for (size_t i = done; ids && p->current && i < p->current->n; i++)
		ids[n++] = p->current->ids[i];
	tfs_list_each(struct list, l, &p->lists, link)
		for (size_t i = 0; ids && i < l->n; i++)
			ids[n++] = l->ids[i];
	pthread_mutex_unlock(&p->lock);
	*ret_n = n;
	return ids;
}

static void clear_lists(struct tfs_prefetcher *p)
{
	struct tfs_list lists;

	tfs_list_init(&lists);
	pthread_mutex_lock(&p->lock);
	tfs_list_take(&lists, &p->lists);
	p->cleared++;
	pthread_mutex_unlock(&p->lock);
	tfs_list_each(struct list, l, &lists, link)
		list_free(l);
}

void tfs_prefetch_pause(struct tfs_prefetcher *p, double seconds)
{
	p->paused_until = tfs_now() + seconds;
	clear_lists(p);
}

/* --- All ----------------------------------------------------------------------------------------------------------- */

void tfs_prefetch_small_files(struct tfs_prefetcher *p)
{
	enum { LARGEST = 64 << 20 }; /* tokenizers reach 30 MB; anything larger is something else */
	bool *is_source = tfs_model_is_remote(p->model) ? NULL : calloc(p->model->n_nodes, sizeof *is_source);
	if (!is_source) /* cache/download.h does that of remote ones */
		return;
	for (size_t s = 0; s < p->model->n_sets; s++)
		for (uint32_t i = 0; i < p->model->sets[s].n_sources; i++)
			is_source[p->model->sets[s].sources[i]] = true;
	for (uint32_t n = 0; n < p->model->n_nodes; n++) {
		const struct tfs_node *node = &p->model->nodes[n];
		if (!S_ISREG(node->mode) || is_source[n] || !node->id.size || node->id.size > LARGEST ||
		    !p->model->nodes[node->parent].n_sets)
			continue;
		cleanup_fd int fd = tfs_model_open_node(p->model, n, 0);
		if (fd >= 0)
			posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
	}
	free(is_source);
}

int tfs_prefetch_tensors(struct tfs_prefetcher *p)
{
	size_t n = 0, room = 0;

	for (uint32_t s = 0; s < p->model->n_sets; s++)
		room += p->model->sets[s].n_tensors; /* they are all in memory, so the sum fits */
	struct tfs_file_id *ids = reallocarray(NULL, room + 1, sizeof *ids);
	if (!ids)
		return -ENOMEM;
	for (uint32_t s = 0; s < p->model->n_sets; s++)
		for (size_t i = 0; i < p->model->sets[s].n_tensors; i++)
			ids[n++] = (struct tfs_file_id){ s, p->model->sets[s].by_offset[i], TFS_RAW };
	return tfs_prefetch_list(p, ids, n);
}

/* --- The end ------------------------------------------------------------------------------------------------------- */

void tfs_prefetch_stop(struct tfs_prefetcher *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->more);
	bool running = p->running;
	pthread_mutex_unlock(&p->lock);
	if (running)
		pthread_join(p->thread, NULL);
	p->running = false;
}

void tfs_prefetch_destroy(struct tfs_prefetcher *p)
{
	if (!p)
		return;
	tfs_prefetch_stop(p);
	clear_lists(p);
	for (size_t i = 0; i < p->model->n_sets * TFS_VIEW_IDS; i++)
		free(p->predictors[i].tensors[0]);
	free(p->predictors);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->opens_lock);
	free(p);
}
