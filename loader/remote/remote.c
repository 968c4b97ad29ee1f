/* SPDX-License-Identifier: MIT */
#include "remote/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "remote/cache.h"
#include "remote/failures.h"
#include "remote/fetcher.h"
#include "remote/hub.h"
#include "remote/name.h"
#include "remote/object.h"
#include "remote/options.h"
#include "remote/remote-impl.h"

/*
 * While headers are parsed: what is read of a file whose last read wasn't where this one begins; and how much more each time that it was,
 * up to a job. A header has many small parts, and each would be a round trip.
 */
#define AHEAD_FIRST ((uint64_t)256 << 10)
#define AHEAD_MAX   ((uint64_t)4 << 20)

/* Reads of one call of want at once: not all slots, as others need some; and if nobody waits for them. */
enum { WANT_SLOTS = 64, WANT_AHEAD = 16 };

/*
 * How long another process that fetches the same may take, of --remote-timeout, and how often it may have ended without it, until it is
 * fetched here, too.
 */
enum { OTHERS_PART = 3, OTHERS_SECONDS = 10, OTHERS_TRIES = 3 };

/* Grains that fit in one slot. */
#define CLAIM_MAX (TFS_FETCHER_MAX / TFS_GRAIN * TFS_GRAIN)

const struct tfs_remote_table *tfs_remote_files(const struct tfs_remote *r)
{
	return &r->table;
}

/* --- Objects ------------------------------------------------------------------------------------------------------------ */

bool tfs_remote_key(const struct tfs_remote_table *t, uint32_t i, char *key, char *identity)
{
	const struct tfs_fetch_node *n = &t->nodes[i];
	const char *version = tfs_remote_table_string(t, n->version);

	switch (n->kind) {
	case TFS_FETCH_SHA256:
	case TFS_FETCH_GIT_SHA1:
		/* Of one authority: what another one calls the hash of its bytes isn't believed. */
		snprintf(identity, TFS_CACHE_IDENTITY, "%s", t->authority);
		tfs_cache_key(n->kind == TFS_FETCH_SHA256 ? "sha256" : "gitsha1", version, identity, key);
		return true;
	case TFS_FETCH_ETAG:
	case TFS_FETCH_MODIFIED:
		return snprintf(identity, TFS_CACHE_IDENTITY, "%s\n%s\n%s\n%s\n%" PRIu64, t->authority, t->origin,
				tfs_remote_table_string(t, n->path), version, n->size) < TFS_CACHE_IDENTITY &&
		       (tfs_cache_key("url", NULL, identity, key), true);
	default:
		return false; /* another file of that size would be taken for it */
	}
}

static int open_object(struct tfs_remote *r, uint32_t node, struct tfs_object *ret)
{
	const struct tfs_fetch_node *n = &r->table.nodes[node];
	char key[TFS_CACHE_NAME], identity[TFS_CACHE_IDENTITY], about[TFS_CACHE_ABOUT];
	int fd = tfs_hub_blob(&r->table, node);

	if (fd >= 0) {
		tfs_object_open_whole(fd, n->size, ret);
		return 0;
	}
	if (r->cache && tfs_remote_key(&r->table, node, key, identity)) {
		snprintf(about, sizeof about, "%s %s", r->table.origin, tfs_remote_table_string(&r->table, n->path));
		int e = tfs_cache_object(r->cache, key, identity, about, n->size, ret);
		if (!e)
			return 0;
		if (e == -EMSGSIZE)
			tfs_log_warning("%s: %" PRIu64
					" bytes, says the list of files, but there was another size for the same hash: one "
					"list is wrong, and the file isn't kept",
					tfs_remote_table_string(&r->table, n->path), n->size);
		else if (e != -ENOENT) /* of a cache that is only read */
			tfs_cache_failed(r->cache, -e);
	}
	return tfs_object_open_memory(n->size, ret);
}

/* The object of @node, opened if it isn't. NULL: out of memory. */
static struct tfs_object *object_of(struct tfs_remote *r, uint32_t node)
{
	struct tfs_remote_file *f = &r->files[node];
	struct tfs_object *o = atomic_load_explicit(&f->object, memory_order_acquire), *none = NULL;

	if (o)
		return o;
	o = malloc(sizeof *o);
	if (o && open_object(r, node, o)) {
		free(o);
		return NULL;
	}
	if (o && !atomic_compare_exchange_strong(&f->object, &none, o)) { /* another thread was quicker */
		tfs_object_close(o);
		free(o);
		o = none;
	}
	return o;
}

/* Is what is fetched of it kept, so that it pays to fetch more than is needed now? */
static bool keeps(const struct tfs_remote *r, const struct tfs_object *o)
{
	return !o->whole && (o->is_kept ? !o->full : !r->scanned);
}

bool tfs_remote_keeps(struct tfs_remote *r, uint32_t node)
{
	const struct tfs_object *o = object_of(r, node);

	return o && o->is_kept && !o->full;
}

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

#define STALE "changed at its origin since it was mounted"

/* A read of [@from, @end) that was begun at @since has ended with @code, if that isn't 0 for the reason in @err. */
static int ended(struct tfs_remote *r, uint32_t node, uint64_t from, uint64_t end, bool ahead, double since, int code,
		 const struct tfs_error *err)
{
	char *none = NULL, *why;

	/* That the fetcher has ended says nothing of the origin: another one may do better. */
	if (code && code != -ESTALE && tfs_fetcher_is_running(r->fetcher))
		tfs_failures_add(&r->failures, node, from, end, !ahead, since, code, err);
	if (code != -ESTALE)
		return code;
	why = strdup(*err->what ? err->what : STALE);
	if (!why || !atomic_compare_exchange_strong(&r->files[node].stale, &none, why)) {
		free(why);
		return code;
	}
	r->stale++;
	/* Of a commit nothing changes, so it is the list that is wrong. */
	if (r->cache && *r->table.revision)
		tfs_cache_doubt_tree(r->cache, r->tree);
	return code;
}

static int stale(struct tfs_error *err, const char *why)
{
	return tfs_error_set(err, -ESTALE, TFS_NO_OFFSET, "%s", why);
}

static int begin(struct tfs_remote *r, uint32_t node, uint64_t from, uint64_t end, bool ahead, bool wait, unsigned *ret_slot,
		 struct tfs_error *err)
{
	if (r->options.offline)
		return tfs_error_set(err, -EIO, from,
				     "not in the cache %s, and there is no network (" TFS_REMOTE_NO_NETWORK
				     "); a mount with --prefetch=all, with a "
				     "network, brings in all of it",
				     r->cache ? tfs_cache_path(r->cache) : "(there is none)");
	int code = tfs_failures_find(&r->failures, node, from, end, !ahead, err);
	return code ? code :
		      tfs_fetcher_begin(r->fetcher, node, from, (size_t)(end - from), ahead ? TFS_FETCH_PREFETCH : TFS_FETCH_DEMAND,
					wait, ret_slot, err);
}

/* How far to read while headers are parsed, if [@offset, @end) is needed. */
static uint64_t look_ahead(struct tfs_remote_file *f, uint64_t offset, uint64_t end)
{
	uint64_t next = atomic_load_explicit(&f->next, memory_order_relaxed);
	uint64_t ahead = atomic_load_explicit(&f->ahead, memory_order_relaxed);

	if (offset != next)
		ahead = 0;
	else
		ahead = !ahead ? AHEAD_FIRST : ahead < AHEAD_MAX ? ahead * 2 : AHEAD_MAX;
	end = end < offset + ahead ? offset + ahead : end;
	end = (end + TFS_GRAIN - 1) / TFS_GRAIN * TFS_GRAIN;
	atomic_store_explicit(&f->ahead, ahead, memory_order_relaxed);
	atomic_store_explicit(&f->next, end, memory_order_relaxed);
	return end;
}

/* Fetch [@from, @end): 0, and *@ret_data has it until *@ret_slot is released. */
static int fetch_slot(struct tfs_remote *r, uint32_t node, uint64_t from, uint64_t end, bool ahead, unsigned *ret_slot,
		      const uint8_t **ret_data, struct tfs_error *err)
{
	struct tfs_error why = { .offset = TFS_NO_OFFSET };
	const double since = tfs_now();
	unsigned slot = 0;
	int code = begin(r, node, from, end, ahead, true, &slot, err);

	if (code)
		return code;
	code = tfs_fetcher_finish(r->fetcher, slot, ret_data, &why);
	*ret_slot = slot;
	if (!code)
		return 0;
	tfs_fetcher_release(r->fetcher, slot);
	return tfs_error_set(err, ended(r, node, from, end, ahead, since, code, &why), why.offset, "%s", why.what);
}

/* Fetch [@from, @end), which is claimed if it is to be kept, and copy what is in [@offset, @offset + @len). */
static int fetch(struct tfs_remote *r, uint32_t node, struct tfs_object *keep, uint64_t from, uint64_t end, void *buf, size_t len,
		 uint64_t offset, bool ahead, struct tfs_error *err)
{
	const uint8_t *data;
	unsigned slot;
	int code = fetch_slot(r, node, from, end, ahead, &slot, &data, err);

	if (code)
		return code;
	if (keep)
		tfs_object_write(keep, data, (size_t)(end - from), from);
	memcpy(buf, data + (offset - from), len < end - offset ? len : (size_t)(end - offset));
	tfs_fetcher_release(r->fetcher, slot);
	return 0;
}

/* Bytes that are there before those that precede them; @end 0: none. */
struct tail {
	uint64_t from, end;
};

/*
 * Somebody else has the grain of @offset claimed. What comes after it needn't wait for that: reads that are neighbours share a grain,
 * and each would be a round trip after the one before it. 0, *@ret_tail says what that was; or -errno with @err filled.
 */
static int get_tail(struct tfs_remote *r, uint32_t node, struct tfs_object *o, uint8_t *buf, size_t len, uint64_t offset,
		    bool ahead, struct tail *ret_tail, struct tfs_error *err)
{
	const uint64_t next = (offset / TFS_GRAIN + 1) * TFS_GRAIN, stop = offset + len;
	uint64_t from, end;
	int code;

	if (ret_tail->end || next >= stop)
		return 0;
	end = tfs_object_claim(o, next, stop, CLAIM_MAX, false, &from);
	if (!end)
		return 0;
	code = fetch(r, node, o, from, end, buf + (from - offset), (size_t)(stop - from), from, ahead, err);
	tfs_object_unclaim(o, from, end);
	if (!code)
		*ret_tail = (struct tail){ from, end < stop ? end : stop };
	return code;
}

/*
 * Get bytes from @offset on that aren't here: how many, at most @len; 0: somebody else has got them, or has failed, which *@waited
 * counts, or there is now a *@tail; or -errno with @err filled.
 */
static ssize_t get(struct tfs_remote *r, uint32_t node, struct tfs_object *o, void *buf, size_t len, uint64_t offset, bool ahead,
		   unsigned *waited, struct tail *tail, struct tfs_error *err)
{
	const double patience = r->options.timeout / OTHERS_PART;
	uint64_t from = offset, end = offset + len, had = tail->end;
	int code;

	if (!keeps(r, o)) {
		end = len < TFS_FETCHER_MAX ? end : offset + TFS_FETCHER_MAX;
		code = fetch(r, node, NULL, from, end, buf, len, offset, ahead, err);
		return code ? code : (ssize_t)(end - offset);
	}
	if (!r->scanned)
		end = look_ahead(&r->files[node], offset, end);
	end = tfs_object_claim(o, offset, end, CLAIM_MAX, *waited > OTHERS_TRIES, &from);
	if (!end) {
		if (!ahead)
			tfs_fetcher_raise(r->fetcher, node, offset, 1);
		code = get_tail(r, node, o, buf, len, offset, ahead, tail, err);
		if (code || tail->end != had)
			return code;
		if (tfs_object_wait(o, offset, patience < OTHERS_SECONDS ? patience : OTHERS_SECONDS, &r->stopped))
			++*waited;
		else
			*waited = OTHERS_TRIES + 1;
		return 0;
	}
	code = fetch(r, node, o, from, end, buf, len, offset, ahead, err);
	tfs_object_unclaim(o, from, end);
	return code ? code : (ssize_t)(len < end - offset ? len : end - offset);
}

int tfs_remote_read(struct tfs_remote *r, uint32_t node, void *buf, size_t len, uint64_t offset, bool ahead, struct tfs_error *err)
{
	const char *why = r->files[node].stale;
	struct tfs_object *o;
	struct tail tail = { 0 };
	unsigned waited = 0;
	uint8_t *to = buf;

	if (why)
		return stale(err, why);
	if (offset > r->table.nodes[node].size || len > r->table.nodes[node].size - offset)
		return tfs_error_set(err, -EIO, r->table.nodes[node].size, "the file ends here");
	if (!len)
		return 0;
	o = object_of(r, node);
	if (!o)
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory or no descriptors for a remote file");
	for (;;) {
		unsigned bad;
		size_t part = tail.end ? (size_t)(tail.from - offset) : len;
		size_t n = tfs_object_read(o, to, part, offset, &bad);

		r->bad += bad;
		r->hit_bytes += o->is_kept ? n : 0;
		if (o->whole && n < len)
			return tfs_error_set(err, -EIO, offset,
					     "reading it from the cache of the hub: it was truncated, or is damaged");
		if (n && waited <= OTHERS_TRIES)
			waited = 0;
		if (n < part) {
			ssize_t got = get(r, node, o, to + n, part - n, offset + n, ahead, &waited, &tail, err);
			if (got < 0)
				return (int)got;
			n += (size_t)got;
		}
		if (tail.end && offset + n == tail.from) {
			n += (size_t)(tail.end - tail.from);
			tail.end = 0;
		}
		to += n;
		offset += n;
		len -= n;
		if (!len)
			return 0;
	}
}

int tfs_remote_lend(struct tfs_remote *r, uint32_t node, size_t len, uint64_t offset, bool ahead, const uint8_t **ret_data,
		    unsigned *ret_loan, struct tfs_error *err)
{
	const char *why = r->files[node].stale;
	struct tfs_object *o = object_of(r, node);

	if (why)
		return stale(err, why);
	if (!o || !r->scanned || keeps(r, o) || !len || len > TFS_FETCHER_MAX || offset > r->table.nodes[node].size ||
	    len > r->table.nodes[node].size - offset || !tfs_object_lacks(o, offset))
		return -EAGAIN;
	return fetch_slot(r, node, offset, offset + len, ahead, ret_loan, ret_data, err);
}

void tfs_remote_repay(struct tfs_remote *r, unsigned loan)
{
	tfs_fetcher_release(r->fetcher, loan);
}

size_t tfs_remote_step(struct tfs_remote *r, uint32_t node)
{
	const struct tfs_object *o = object_of(r, node);

	return o && o->is_kept && !o->whole && (!o->full || r->options.offline) ? TFS_GRAIN : TFS_OBJECT_ALIGN;
}

const char *tfs_remote_stale(const struct tfs_remote *r, uint32_t node)
{
	return r->files[node].stale;
}

/* --- What is wanted ------------------------------------------------------------------------------------------------------ */

/* A read of tfs_remote_want(). */
struct wanted {
	struct tfs_object *object;
	uint64_t from, end;
	double since; /* tfs_now() */
	uint32_t node;
	unsigned slot;
};

/* Those in progress, as a ring. */
struct wants {
	struct tfs_remote *r;
	bool ahead;
	unsigned first, n;
	struct wanted ring[WANT_SLOTS];
};

static void finish_first(struct wants *w)
{
	struct wanted *x = &w->ring[w->first];
	struct tfs_error why = { .offset = TFS_NO_OFFSET };
	const uint8_t *data;
	int code = tfs_fetcher_finish(w->r->fetcher, x->slot, &data, &why);

	ended(w->r, x->node, x->from, x->end, w->ahead, x->since, code, &why);
	if (!code)
		tfs_object_write(x->object, data, (size_t)(x->end - x->from), x->from);
	tfs_fetcher_release(w->r->fetcher, x->slot);
	tfs_object_unclaim(x->object, x->from, x->end);
	w->first = (w->first + 1) % WANT_SLOTS;
	w->n--;
}

/* 0, or why it is no use to go on. What was claimed is begun, or unclaimed. */
static int begin_wanted(struct wants *w, struct wanted x)
{
	int code;

	if (w->n == (w->ahead ? WANT_AHEAD : WANT_SLOTS))
		finish_first(w);
	while ((code = begin(w->r, x.node, x.from, x.end, w->ahead, !w->n, &x.slot, NULL)) == -EAGAIN && w->n)
		finish_first(w); /* who waits for a slot with others in hand could wait for somebody who does the same */
	if (code)
		tfs_object_unclaim(x.object, x.from, x.end);
	else
		w->ring[(w->first + w->n++) % WANT_SLOTS] = x;
	return code;
}

static int want_range(struct wants *w, const struct tfs_remote_range *range)
{
	uint64_t size = w->r->table.nodes[range->node].size, at = range->offset;
	uint64_t end = at < size && range->len < size - at ? at + range->len : size;
	struct tfs_object *o = at < size ? object_of(w->r, range->node) : NULL;
	int code = 0;

	if (!o || !keeps(w->r, o))
		return 0;
	while (at < end && !code) {
		struct wanted x = { .object = o, .node = range->node, .since = tfs_now() };

		x.end = tfs_object_lacks(o, at) ? tfs_object_claim(o, at, end, CLAIM_MAX, false, &x.from) : 0;
		if (x.end)
			code = begin_wanted(w, x);
		at = x.end ? x.end : at / TFS_GRAIN * TFS_GRAIN + TFS_GRAIN;
	}
	return code;
}

void tfs_remote_want(struct tfs_remote *r, const struct tfs_remote_range *ranges, size_t n, bool ahead)
{
	struct wants w = { .r = r, .ahead = ahead };

	for (size_t i = 0; i < n && !r->options.offline; i++)
		if (want_range(&w, &ranges[i]))
			break;
	while (w.n)
		finish_first(&w);
}

void tfs_remote_scanned(struct tfs_remote *r)
{
	if (atomic_exchange(&r->scanned, true))
		return;
	for (uint32_t i = 0; i < r->table.n; i++) {
		struct tfs_object *o = r->files[i].object;

		if (o && !o->is_kept)
			tfs_object_forget(o);
	}
	tfs_remote_trim(r);
}

void tfs_remote_trim(struct tfs_remote *r)
{
	if (r->fetcher)
		tfs_fetcher_trim(r->fetcher);
}

int tfs_remote_whole(struct tfs_remote *r, uint32_t node)
{
	struct tfs_object *o = r->files[node].stale || !r->table.nodes[node].size ? NULL : object_of(r, node);

	return o && o->is_kept && tfs_object_is_complete(o) ? tfs_object_reopen(o) : -1;
}

int tfs_remote_cache_dir(const struct tfs_remote *r)
{
	return r->cache ? tfs_cache_dir(r->cache) : -1;
}

/* --- Opening ------------------------------------------------------------------------------------------------------------ */

/* Give the fetcher the table to which reads refer. */
static int hand_over(struct tfs_remote *r, struct tfs_error *err)
{
	int fd = memfd_create("tensorfs-table", MFD_CLOEXEC);

	if (fd < 0 || write(fd, r->table.bytes, r->table.size) != (ssize_t)r->table.size) {
		int code = -errno;

		if (fd >= 0)
			close(fd);
		return tfs_error_set(err, code, TFS_NO_OFFSET, "handing over the table of files: %s", strerror(-code));
	}
	tfs_fetcher_set_table(r->fetcher, fd);
	return 0;
}

/* A directory of something else was given by mistake; what else is wrong with a cache costs no more than the cache. */
static int open_cache(struct tfs_remote *r, struct tfs_error *err)
{
	struct tfs_error why = { .offset = TFS_NO_OFFSET };
	int code = *r->options.cache ? tfs_cache_open(r->options.cache, r->options.cache_size, &r->cache, &why) : 0;

	if (code == -EINVAL)
		return tfs_error_set(err, code, TFS_NO_OFFSET, "%s", why.what);
	if (code)
		tfs_log_warning("%s; nothing is kept", why.what);
	return 0;
}

int tfs_remote_open(const char *url, struct tfs_remote **ret_remote, struct tfs_error *err)
{
	struct tfs_remote *r = calloc(1, sizeof *r);
	cleanup_free char *hello = malloc(TFS_FETCH_MAX_MESSAGE / 2), *name = tfs_remote_name(url);
	int code;

	if (!r || !hello || !name) {
		free(r);
		return tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "out of memory");
	}
	code = tfs_remote_options_get(&r->options, err);
	int len = code ? code : tfs_remote_hello(name, &r->options, hello, TFS_FETCH_MAX_MESSAGE / 2, err);
	if (len < 0)
		code = len;
	if (!code) {
		code = tfs_fetcher_create(hello, (size_t)len, r->options.timeout, &r->fetcher);
		if (code)
			tfs_error_set(err, code, TFS_NO_OFFSET, "memory to share with tensorfs-fetch: %s", strerror(-code));
		else
			tfs_failures_init(&r->failures, &tfs_fetcher_counters(r->fetcher)->network_bytes, r->options.timeout);
	}
	if (!code)
		code = open_cache(r, err);
	if (!code)
		code = tfs_remote_find_table(r, name, err);
	if (!code)
		code = hand_over(r, err);
	if (!code) {
		r->files = calloc((size_t)r->table.n + 1, sizeof *r->files);
		code = r->files ? 0 : tfs_error_set(err, -ENOMEM, TFS_NO_OFFSET, "no memory for %u remote files", r->table.n);
	}
	if (code)
		tfs_remote_close(r);
	else
		*ret_remote = r;
	return code;
}

void tfs_remote_stop(struct tfs_remote *r)
{
	r->stopped = true;
	tfs_fetcher_stop(r->fetcher);
}

void tfs_remote_resume(struct tfs_remote *r)
{
	r->stopped = false;
	tfs_fetcher_resume(r->fetcher);
}

void tfs_remote_close(struct tfs_remote *r)
{
	if (!r)
		return;
	if (r->fetcher)
		tfs_failures_fini(&r->failures);
	tfs_fetcher_destroy(r->fetcher);
	for (uint32_t i = 0; r->files && i < r->table.n; i++) {
		free(r->files[i].stale);
		if (r->files[i].object) {
			tfs_object_close(r->files[i].object);
			free(r->files[i].object);
		}
	}
	free(r->files);
	tfs_remote_table_fini(&r->table);
	tfs_cache_close(r->cache);
	free(r);
}
