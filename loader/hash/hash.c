/* SPDX-License-Identifier: MIT */
#include "hash/hash.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "base/xxh3.h"
#include "cache/report.h"
#include "cache/stream.h"
#include "hash/hash-table.h"

/*
 * Hashers yield the CPU to readers, but not so much that one holding a lock of the loader keeps everybody waiting: a third of what
 * others get.
 */
enum { NICE = 5 };

/*
 * Slots for all hashers together. For each: the one it is in, two read ahead, and the previous one, which is older and therefore
 * refilled first. A lone hasher reads half of them ahead.
 */
#define SLOTS_BYTES (4 * TFS_HASHERS * TFS_CHUNK)

/* A tensor being hashed, or about to be. */
struct job {
	struct tfs_list link;
	uint32_t set, tensor;
	bool running;
	bool of_pass;	       /* the pass is waiting for it */
	bool known;	       /* only its source is to be checked, most likely */
	struct tfs_list waits; /* struct tfs_hash_wait */
};

/* Maximum number of tensors waiting to be merged by a hasher; later ones aren't merged, which only costs memory. */
enum { MERGES_MAX = 1024 };

/* Hashing everything, in file order. All waiters share one pass. */
struct pass {
	struct tfs_list waits; /* empty: no pass, or an abandoned one that ends when its jobs do */
	uint32_t set;
	size_t place;	  /* in set->by_offset: the next one */
	unsigned jobs;	  /* that belong to it */
	int code;	  /* first failure */
	uint32_t checked; /* the source last found unchanged; UINT32_MAX: none yet */
};

struct tfs_hashes {
	const struct tfs_model *model;
	struct tfs_sources *sources;
	struct tfs_residency *residency;
	struct tfs_streams *streams;

	pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
	pthread_cond_t work;
	struct tfs_hash_table table;
	struct tfs_list jobs;
	struct pass pass;
	struct tfs_file_id merges[MERGES_MAX]; /* the next one last */
	unsigned n_merges;
	bool stopping;
	uint64_t bytes, failures;
	char last_error[TFS_ERROR_LINE];
	unsigned n_hashers;
	/* One more than hash at a time: the last one only checks the sources of hashes that are known, which nobody should wait for. */
	struct hasher {
		struct tfs_hashes *h;
		bool checks;
		pthread_t thread;
		/* Its own, without the lock. */
		XXH3_state_t *state;
		struct tfs_read read;
	} hashers[TFS_HASHERS + 1];
};

static const struct tfs_tensor *tensor_of(const struct tfs_hashes *h, uint32_t set, uint32_t tensor)
{
	return tfs_set_tensor(&h->model->sets[set], tensor);
}

/* --- Lists and what is known; the lock is held --------------------------------------------------------------------- */

static void wait_add(struct tfs_list *waits, struct tfs_hash_wait *w)
{
	tfs_list_add(waits, &w->link);
	w->waiting = true;
}

/* Append all of @from, which is left empty, to @to. They can't be cancelled any more. */
static void take_waits(struct tfs_list *to, struct tfs_list *from)
{
	tfs_list_each(struct tfs_hash_wait, w, from, link)
		w->waiting = false;
	tfs_list_take(to, from);
}

static struct job *find_job(struct tfs_hashes *h, uint32_t set, uint32_t tensor)
{
	tfs_list_each(struct job, j, &h->jobs, link)
		if (j->tensor == tensor && j->set == set)
			return j;
	return NULL;
}

static struct job *add_job(struct tfs_hashes *h, uint32_t set, uint32_t tensor)
{
	struct job *j = calloc(1, sizeof *j);
	if (!j)
		return NULL;
	j->set = set;
	j->tensor = tensor;
	tfs_list_init(&j->waits);
	tfs_list_add(&h->jobs, &j->link);
	return j;
}

static bool is_wanted(const struct tfs_hashes *h, const struct job *j)
{
	return !tfs_list_is_empty(&j->waits) || (j->of_pass && !tfs_list_is_empty(&h->pass.waits));
}

/* --- Computing, without the lock ----------------------------------------------------------------------------------- */

/* 0, or why the tensor's source can't be read any more. */
static int check_source(struct tfs_hashes *h, uint32_t set, uint32_t tensor, struct tfs_error *err)
{
	return tfs_sources_check(h->sources, tensor_of(h, set, tensor), err);
}

static bool is_resident(struct tfs_hashes *h, uint32_t set, uint32_t tensor)
{
	return h->residency && tfs_residency_is_resident(h->residency, (struct tfs_file_id){ set, tensor, TFS_RAW });
}

static bool is_given_up(struct tfs_hashes *h, const struct job *j)
{
	pthread_mutex_lock(&h->lock);
	bool r = h->stopping || !is_wanted(h, j);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* A resident tensor's bytes, without copying them. -ENOENT: it is not resident, or can't be mapped. */
static int hash_backing(struct hasher *me, const struct job *j)
{
	struct tfs_hashes *h = me->h;
	struct tfs_file_id id = { j->set, j->tensor, TFS_RAW };
	uint64_t nbytes = tensor_of(h, j->set, j->tensor)->nbytes;
	int r = 0;

	cleanup_fd int fd = h->residency ? tfs_residency_borrow(h->residency, id) : -ENOENT;
	if (fd < 0)
		return -ENOENT;
	const uint8_t *map = mmap(NULL, nbytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		r = -ENOENT;
	} else {
		for (uint64_t at = 0; at < nbytes && !r; at += TFS_CHUNK) {
			XXH3_128bits_update(me->state, map + at, nbytes - at < TFS_CHUNK ? nbytes - at : TFS_CHUNK);
			if (is_given_up(h, j))
				r = -ECANCELED;
		}
		munmap((void *)map, nbytes);
	}
	/* Before it may be evicted again: the lease test counts our own descriptors too. */
	close(tfs_steal_fd(&fd));
	tfs_residency_give_back(h->residency, id);
	return r;
}

/* One read at a time; the stream reads ahead. */
static int hash_stream(struct hasher *me, const struct job *j)
{
	struct tfs_hashes *h = me->h;
	uint64_t nbytes = tensor_of(h, j->set, j->tensor)->nbytes;
	struct tfs_stream *st = tfs_stream_open(h->streams, (struct tfs_file_id){ j->set, j->tensor, TFS_RAW });
	int r = st ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < nbytes && !r; at += TFS_STREAM_MAX_READ) {
		if (at % TFS_CHUNK == 0 && is_given_up(h, j)) {
			r = -ECANCELED;
			break;
		}
		me->read.offset = at;
		me->read.len = nbytes - at < TFS_STREAM_MAX_READ ? nbytes - at : TFS_STREAM_MAX_READ;
		r = tfs_stream_read_wait(st, &me->read); /* hashed in place: not worth a copy */
		if (r)
			break;
		assert(me->read.fd < 0); /* these streams know of no backing files */
		for (unsigned i = 0; i < me->read.n_iov; i++)
			XXH3_128bits_update(me->state, me->read.iov[i].iov_base, me->read.iov[i].iov_len);
		tfs_read_release(&me->read);
	}
	if (st)
		tfs_stream_close(st);
	if (r)
		return r;
	/* The stream may have had the bytes from an earlier read. */
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	r = check_source(h, j->set, j->tensor, &err);
	if (r) {
		char line[TFS_ERROR_LINE];
		tfs_report(h->model, tensor_of(h, j->set, j->tensor), 0, r, &err, line);
		pthread_mutex_lock(&h->lock);
		memcpy(h->last_error, line, sizeof line);
		h->failures++;
		pthread_mutex_unlock(&h->lock);
	}
	return r;
}

/* *@ret_checked: its source was found unchanged. *@ret_bytes: the number of bytes hashed for it. */
static int compute(struct hasher *me, const struct job *j, struct tfs_hash *ret_hash, bool *ret_checked, uint64_t *ret_bytes)
{
	uint64_t nbytes = tensor_of(me->h, j->set, j->tensor)->nbytes;
	int r = 0;

	*ret_bytes = 0;
	*ret_checked = false;
	if (tfs_hash_peek(me->h, j->set, j->tensor, ret_hash)) {
		*ret_checked = !check_source(me->h, j->set, j->tensor, NULL);
		if (*ret_checked || is_resident(me->h, j->set, j->tensor))
			return 0;
	}
	XXH3_128bits_reset(me->state);
	if (nbytes) {
		r = hash_backing(me, j);
		if (r == -ENOENT) {
			r = hash_stream(me, j);
			*ret_checked = !r;
		}
	}
	if (!r) {
		XXH128_canonical_t c;
		XXH128_canonicalFromHash(&c, XXH3_128bits_digest(me->state));
		memcpy(ret_hash->bytes, c.digest, sizeof ret_hash->bytes);
		*ret_bytes = nbytes;
	}
	return r;
}

/* --- Hashers ------------------------------------------------------------------------------------------------------- */

/* The next tensor of the pass that must be checked, as a job; NULL: none. The lock is held. */
static struct job *next_of_pass(struct tfs_hashes *h)
{
	struct pass *p = &h->pass;
	struct tfs_hash hash;

	tfs_assert_held(&h->lock);
	while (!tfs_list_is_empty(&p->waits) && !p->code && p->set < h->model->n_sets) {
		const struct tfs_set *set = &h->model->sets[p->set];
		if (p->place == set->n_tensors) {
			p->set++;
			p->place = 0;
			continue;
		}
		uint32_t tensor = set->by_offset[p->place];
		/* Known, and the source was checked for an earlier tensor: there can be a million of these. */
		if (set->tensors[tensor].source == p->checked && !tfs_other_files(&set->tensors[tensor]) &&
		    tfs_hash_recall(&h->table, p->set, tensor, &hash)) {
			p->place++;
			continue;
		}
		struct job *j = find_job(h, p->set, tensor);
		bool taken = j && j->running;
		if (!j && !(j = add_job(h, p->set, tensor))) {
			p->code = -ENOMEM;
			break;
		}
		p->place++;
		p->jobs += !j->of_pass;
		j->of_pass = true;
		if (!taken)
			return j;
	}
	return NULL;
}

/* The lock is held. */
static struct job *first_waiting(struct tfs_hashes *h, bool known)
{
	tfs_assert_held(&h->lock);
	tfs_list_each(struct job, j, &h->jobs, link)
		if (!j->running && (j->known || !known))
			return j;
	return NULL;
}

/* Move the waiters of the pass, if it is over, to @out. The lock is held. */
static void end_pass(struct tfs_hashes *h, struct tfs_list *out, int *ret_code)
{
	struct pass *p = &h->pass;

	tfs_assert_held(&h->lock);
	if (!tfs_list_is_empty(&p->waits) && !p->jobs && (p->code || h->stopping || p->set == h->model->n_sets)) {
		*ret_code = h->stopping ? -ECANCELED : p->code;
		take_waits(out, &p->waits);
	}
}

static void answer(struct tfs_list *waits, int result, const struct tfs_hash *hash, bool checked)
{
	tfs_list_each(struct tfs_hash_wait, w, waits, link) {
		if (!result && hash)
			w->hash = *hash;
		w->checked = checked;
		w->done(w, result);
	}
}

static bool is_stopping(void *arg)
{
	struct tfs_hashes *h = arg;
	pthread_mutex_lock(&h->lock);
	bool r = h->stopping;
	pthread_mutex_unlock(&h->lock);
	return r;
}

static void on_duplicate(void *arg, struct tfs_file_id id)
{
	struct tfs_hashes *h = arg;
	pthread_mutex_lock(&h->lock);
	if (h->n_merges < MERGES_MAX) {
		h->merges[h->n_merges++] = id;
		pthread_cond_broadcast(&h->work);
	}
	pthread_mutex_unlock(&h->lock);
}

static void run(struct hasher *me, struct job *j)
{
	struct tfs_hashes *h = me->h;
	struct tfs_list waits, of_pass;
	struct tfs_hash hash;
	struct tfs_first first = { 0 };
	bool checked, duplicate = false;
	uint64_t bytes;
	int r = compute(me, j, &hash, &checked, &bytes), pass_code = 0;

	tfs_list_init(&waits);
	tfs_list_init(&of_pass);
	pthread_mutex_lock(&h->lock);
	if (r == -ECANCELED && !h->stopping && is_wanted(h, j)) {
		/* A new waiter arrived after all. */
		j->running = false;
		pthread_mutex_unlock(&h->lock);
		return;
	}
	if (!r)
		r = tfs_hash_remember(&h->table, j->set, j->tensor, &hash);
	/* Scaled weights aren't compared with stored tensors. */
	if (!r && h->residency && tensor_of(h, j->set, j->tensor)->nbytes && j->tensor < h->model->sets[j->set].n_tensors)
		duplicate = tfs_hash_first(&h->table, j->set, j->tensor, &first);
	h->bytes += bytes;
	if (j->of_pass) {
		h->pass.jobs--;
		if (!r && checked)
			h->pass.checked = tensor_of(h, j->set, j->tensor)->source;
		if (r && !h->pass.code && r != -ECANCELED)
			h->pass.code = r;
	}
	tfs_list_remove(&j->link);
	take_waits(&waits, &j->waits);
	end_pass(h, &of_pass, &pass_code);
	pthread_mutex_unlock(&h->lock);
	answer(&waits, r, &hash, !r && checked);
	answer(&of_pass, pass_code, NULL, false);
	if (duplicate) {
		struct tfs_file_id id = { j->set, j->tensor, TFS_RAW };
		if (tfs_residency_add_duplicate(h->residency, (struct tfs_file_id){ first.set, first.tensor, TFS_RAW }, id))
			tfs_residency_merge(h->residency, id, is_stopping, h);
	}
	free(j);
}

static void *hasher(void *arg)
{
	struct hasher *me = arg;
	struct tfs_hashes *h = me->h;
	struct tfs_list of_pass;
	int pass_code = 0;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* failing to is harmless */
	pthread_mutex_lock(&h->lock);
	while (!h->stopping) {
		struct job *j = first_waiting(h, me->checks);
		if (!j && h->n_merges && !me->checks) {
			struct tfs_file_id id = h->merges[--h->n_merges];
			pthread_mutex_unlock(&h->lock);
			tfs_residency_merge(h->residency, id, is_stopping, h);
			pthread_mutex_lock(&h->lock);
			continue;
		}
		if (!j && !me->checks)
			j = next_of_pass(h);
		if (j) {
			j->running = true;
			pthread_mutex_unlock(&h->lock);
			run(me, j);
			pthread_mutex_lock(&h->lock);
			continue;
		}
		/* Everything was known already. */
		tfs_list_init(&of_pass);
		end_pass(h, &of_pass, &pass_code);
		if (!tfs_list_is_empty(&of_pass)) {
			pthread_mutex_unlock(&h->lock);
			answer(&of_pass, pass_code, NULL, false);
			pthread_mutex_lock(&h->lock);
			continue;
		}
		pthread_cond_wait(&h->work, &h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* All hashers, or fewer if the system refuses some. The lock is held. 0, or -EAGAIN: there are none. */
static int start_hashers(struct tfs_hashes *h)
{
	tfs_assert_held(&h->lock);
	while (h->n_hashers < TFS_HASHERS + 1) {
		struct hasher *me = &h->hashers[h->n_hashers];
		if (!me->state && !(me->state = XXH3_createState()))
			break;
		if (tfs_thread_start(&me->thread, "tfs-hash", hasher, me))
			break;
		h->n_hashers++;
	}
	return h->n_hashers ? 0 : -EAGAIN;
}

/* --- What others call ---------------------------------------------------------------------------------------------- */

int tfs_hash_get(struct tfs_hashes *h, uint32_t set, uint32_t tensor, struct tfs_hash_wait *w)
{
	bool known = tfs_hash_peek(h, set, tensor, &w->hash);

	if (known && is_resident(h, set, tensor))
		return 0;
	pthread_mutex_lock(&h->lock);
	int r = w->cancelled || h->stopping ? -ECANCELED : start_hashers(h);
	struct job *j = r ? NULL : find_job(h, set, tensor);
	if (!r && !j)
		j = add_job(h, set, tensor);
	if (!r && !j)
		r = -ENOMEM;
	if (!r) {
		j->known = known;
		wait_add(&j->waits, w);
		pthread_cond_broadcast(&h->work);
		r = TFS_QUEUED;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

int tfs_hash_all(struct tfs_hashes *h, struct tfs_hash_wait *w)
{
	struct pass *p = &h->pass;

	pthread_mutex_lock(&h->lock);
	int r = w->cancelled || h->stopping ? -ECANCELED : start_hashers(h);
	if (!r) {
		if (tfs_list_is_empty(&p->waits)) {
			/* Also if the last pass was abandoned and skipped what it was working on. */
			p->set = 0;
			p->place = 0;
			p->code = 0;
			p->checked = UINT32_MAX;
		}
		wait_add(&p->waits, w);
		pthread_cond_broadcast(&h->work);
		r = TFS_QUEUED;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

bool tfs_hash_cancel(struct tfs_hashes *h, struct tfs_hash_wait *w)
{
	pthread_mutex_lock(&h->lock);
	bool waiting = w->waiting;
	if (waiting)
		tfs_list_remove(&w->link);
	w->waiting = false;
	w->cancelled = true;
	pthread_mutex_unlock(&h->lock);
	return waiting;
}

bool tfs_hash_peek(struct tfs_hashes *h, uint32_t set, uint32_t tensor, struct tfs_hash *ret_hash)
{
	pthread_mutex_lock(&h->lock);
	bool known = tfs_hash_recall(&h->table, set, tensor, ret_hash);
	pthread_mutex_unlock(&h->lock);
	return known;
}

bool tfs_hashes_trim(struct tfs_hashes *h)
{
	return tfs_streams_trim(h->streams);
}

void tfs_hashes_stats(struct tfs_hashes *h, struct tfs_hash_stats *ret_stats)
{
	struct tfs_stream_stats s;

	tfs_streams_stats(h->streams, &s);
	memset(ret_stats, 0, sizeof *ret_stats);
	pthread_mutex_lock(&h->lock);
	ret_stats->failures = s.failures + h->failures;
	memcpy(ret_stats->last_error, h->last_error[0] ? h->last_error : s.last_error, sizeof ret_stats->last_error);
	ret_stats->known = h->table.known;
	ret_stats->bytes = h->bytes;
	pthread_mutex_unlock(&h->lock);
}

/* --- Beginning and end --------------------------------------------------------------------------------------------- */

struct tfs_hashes *tfs_hashes_create(const struct tfs_model *model, struct tfs_sources *sources, struct tfs_sched *sched,
				     struct tfs_residency *residency)
{
	struct tfs_hashes *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->model = model;
	h->sources = sources;
	h->residency = residency;
	tfs_list_init(&h->jobs);
	tfs_list_init(&h->pass.waits);
	/* Without the residency: these streams neither join loads nor push anything out of the budget. */
	h->streams = tfs_streams_create(model, sched, NULL, SLOTS_BYTES, true);
	if (residency)
		tfs_residency_on_duplicate(residency, on_duplicate, h);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	for (int i = 0; i < TFS_HASHERS + 1; i++)
		h->hashers[i].h = h;
	h->hashers[TFS_HASHERS].checks = true;
	if (tfs_hash_table_init(&h->table, model) || !h->streams) {
		tfs_hashes_destroy(h);
		return NULL;
	}
	return h;
}

void tfs_hashes_stop(struct tfs_hashes *h)
{
	struct tfs_list waits;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true; /* no more hashers are started */
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
	/* Readers get their answer, and then notice. */
	tfs_streams_stop(h->streams);
	while (h->n_hashers)
		pthread_join(h->hashers[--h->n_hashers].thread, NULL);
	/* What is left was never started. */
	tfs_list_init(&waits);
	pthread_mutex_lock(&h->lock);
	tfs_list_each(struct job, j, &h->jobs, link) {
		take_waits(&waits, &j->waits);
		tfs_list_remove(&j->link);
		free(j);
	}
	take_waits(&waits, &h->pass.waits);
	pthread_mutex_unlock(&h->lock);
	answer(&waits, -ECANCELED, NULL, false);
}

void tfs_hashes_destroy(struct tfs_hashes *h)
{
	if (!h)
		return;
	tfs_hash_table_fini(&h->table);
	tfs_streams_destroy(h->streams);
	for (int i = 0; i < TFS_HASHERS + 1; i++) {
		XXH3_freeState(h->hashers[i].state);
	}
	pthread_cond_destroy(&h->work);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
