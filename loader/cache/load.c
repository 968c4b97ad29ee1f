/* SPDX-License-Identifier: MIT */
/* How files become resident. */
#include "cache/residency-impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "cache/report.h"

static const struct tfs_transfer_ops load_ops;

/* --- Loading ------------------------------------------------------------------------------------------------------- */

/* Start loading @e, which is absent or failed; the lock is held. On an error the entry is as it was. */
int tfs_entry_load(struct tfs_residency *rs, struct tfs_entry *e, enum tfs_priority priority)
{
	struct tfs_layout layout = tfs_file_layout(rs->model, e->id);
	tfs_assert_held(&rs->lock);
	/*
	 * Chunks are chosen by destination: each one but the last ends where a huge page of the backing file does, so no huge page
	 * is written in two parts, the first of which would zero the rest of it. (Or less than a block earlier, if the prefix is
	 * shorter than some blocks.)
	 */
	uint64_t per_huge_page = TFS_SCRATCH / layout.out * layout.in;
	uint64_t step = TFS_CHUNK / per_huge_page * per_huge_page;
	assert(step); /* nothing shrinks to less than half */
	uint64_t chunk = step / layout.in * layout.out;
	struct tfs_transfer transfer = {
		.ops = &load_ops,
		.content = layout.content,
		.len = layout.tensor->nbytes,
		.first = (chunk - layout.prefix) / layout.out * layout.in,
		.step = step,
		.priority = priority,
	};
	struct load *l = calloc(1, sizeof *l + tfs_transfer_chunks(&transfer));

	if (!l)
		return -ENOMEM;
	l->rs = rs;
	l->entry = e;
	l->fd = -1;
	l->layout = layout;
	l->first = layout.prefix + transfer.first / layout.in * layout.out;
	l->chunk = chunk;
	l->transfer = transfer;
	int r = tfs_sched_add(rs->sched, &l->transfer);
	if (r) {
		free(l);
		return r;
	}
	/* A worker may already have it, but it accesses the entry under the lock. */
	e->backing = rs->next_backing++;
	e->cost = tfs_store_cost(layout.size);
	e->failure = 0;
	e->wanted = e->holds;
	e->load = l;
	tfs_entry_set_state(rs, e, TFS_LOADING);
	rs->stats.loads++;
	if (priority == TFS_PREFETCH)
		rs->stats.prefetched++;
	return 0;
}

static int load_begin(struct tfs_transfer *t, struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_residency *rs = l->rs;

	pthread_mutex_lock(&rs->lock);
	bool prefetch = tfs_list_is_empty(&l->entry->waits) && !l->entry->holds;
	uint64_t cost = l->entry->cost, backing = l->entry->backing;
	pthread_mutex_unlock(&rs->lock);

	int r = tfs_entry_reserve(rs, cost, prefetch);
	if (r)
		return tfs_error_set(err, r, TFS_NO_OFFSET, "no room for %" PRIu64 " bytes in the memory budget", cost);
	l->reserved = true;
	l->fd = tfs_store_create(rs->store, backing, l->layout.size);
	if (l->fd < 0)
		return tfs_error_set(err, l->fd, TFS_NO_OFFSET, "backing file: %s", strerror(-l->fd));
	return 0;
}

/* Bytes [at, at + len) of the backing file. */
static int write_backing(struct load *l, uint64_t at, const uint8_t *data, size_t len, struct tfs_error *err)
{
	/*
	 * pwrite rather than a mapping: they measure the same, and pwrite doesn't zero a fresh huge page that it overwrites
	 * completely (shmem_write_end() clears only what a write left out).
	 */
	for (size_t n = 0; n < len;) {
		ssize_t k = pwrite(l->fd, data + n, len - n, at + n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return tfs_error_set(err, -errno, TFS_NO_OFFSET, "backing file: %s", strerror(errno));
		n += k;
	}
	return 0;
}

/*
 * Write the file's bytes for source bytes [at, at + len), and the prefix before the first of them. Converted bytes, and those that
 * share a huge page with the prefix, are assembled in @scratch, so each huge page is written at once.
 */
static int write_file(struct load *l, uint64_t at, const uint8_t *data, size_t len, uint8_t *scratch, struct tfs_error *err)
{
	const struct tfs_layout *y = &l->layout;
	uint64_t place = tfs_layout_place(y, at);
	size_t have = 0;
	int r = 0;

	if (!at && y->prefix) {
		tfs_layout_make_prefix(y, scratch);
		have = y->prefix;
		place = 0;
	}
	while (len && !r) {
		if (!y->convert && !have)
			return write_backing(l, place, data, len, err); /* straight from where it was read */
		uint64_t room = TFS_SCRATCH - (place + have) % TFS_SCRATCH;
		uint64_t n = room < y->out ? y->in : room / y->out * y->in;
		if (n > len)
			n = len;
		have += tfs_layout_convert(y, data, n, scratch + have);
		if (have > y->size - place)
			have = y->size - place; /* the last block has elements that the tensor lacks */
		r = write_backing(l, place, scratch, have, err);
		data += n;
		len -= n;
		place += have;
		have = 0;
	}
	return r;
}

static int load_write(struct tfs_transfer *t, uint64_t at, const uint8_t *data, size_t len, void *scratch, struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_range_wait *ready = NULL;
	int r = write_file(l, at, data, len, scratch, err);
	if (r)
		return r;

	pthread_mutex_lock(&l->rs->lock);
	l->ready[tfs_transfer_chunk(t, at)] = 1;
	l->written += len;
	for (struct tfs_range_wait **p = &l->ranges; *p;) {
		struct tfs_range_wait *w = *p;
		bool all = true;
		for (uint64_t c = tfs_load_chunk_at(l, w->at); c <= tfs_load_chunk_at(l, w->at + w->len - 1); c++)
			all &= l->ready[c];
		if (all) {
			*p = w->next;
			w->next = ready;
			ready = w;
		} else {
			p = &w->next;
		}
	}
	pthread_mutex_unlock(&l->rs->lock);
	for (struct tfs_range_wait *next; ready; ready = next) {
		next = ready->next;
		ready->done(ready, 0);
	}
	return 0;
}

static void load_end(struct tfs_transfer *t, int code, const struct tfs_error *err)
{
	struct load *l = (struct load *)t;
	struct tfs_residency *rs = l->rs;
	struct tfs_entry *e = l->entry;
	struct tfs_list waits;
	struct tfs_file_id id = e->id;
	bool duplicate = false;
	bool refused = code == -ENOSPC || code == -EDQUOT || code == -ECANCELED; /* the file itself is fine */
	char line[TFS_ERROR_LINE];

	/* Before it can be opened: the lease test counts our own descriptors, too. */
	if (l->fd >= 0)
		close(l->fd);
	if (code && !refused)
		tfs_report(rs->model, tfs_entry_tensor(rs, e->id), 0, code, err, line);
	if (!code && rs->loaded)
		rs->loaded(rs->loaded_arg, e->backing);
	if (code && l->fd >= 0)
		tfs_store_remove(rs->store, e->backing);

	pthread_mutex_lock(&rs->lock);
	e->load = NULL;
	tfs_list_init(&waits);
	tfs_list_each(struct tfs_wait, w, &e->waits, of_entry) {
		tfs_entry_wait_remove(w);
		tfs_list_add(&waits, &w->of_entry);
		if (!code)
			tfs_entry_take_hold(e);
	}
	if (code) {
		tfs_entry_set_state(rs, e, refused ? TFS_ABSENT : TFS_FAILED);
		e->failure = code;
		if (l->reserved)
			rs->stats.used -= e->cost;
		rs->stats.refusals += code == -ENOSPC;
		if (!refused) {
			memcpy(rs->stats.last_error, line, sizeof line);
			rs->stats.failures++;
		}
		if (refused && !e->holds)
			tfs_entry_forget(rs, e);
		/* Otherwise attached readers learn why, until they drop it. */
	} else {
		tfs_entry_set_state(rs, e, TFS_RESIDENT);
		if (e->holds)
			e->wanted = true;
		else
			tfs_entry_lru_add(rs, e);
		duplicate = tfs_entry_has_duplicate(rs, e);
	}
	pthread_mutex_unlock(&rs->lock);

	if (duplicate)
		rs->on_duplicate(rs->on_duplicate_arg, id);
	tfs_list_each(struct tfs_wait, w, &waits, of_entry)
		w->done(w, code);
	for (struct tfs_range_wait *w = l->ranges, *next; w; w = next) {
		next = w->next;
		w->done(w, code);
	}
	free(l);
}

static const struct tfs_transfer_ops load_ops = { .begin = load_begin, .write = load_write, .end = load_end };
