/* SPDX-License-Identifier: MIT */
#include "cli/reading.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/array.h"
#include "base/log.h"
#include "base/parallel.h"

/* Storage is read by the loader's threads: these compute. One more than CPUs, as at the start of a range there is nothing to compute yet. */
enum { READERS_MAX = 17 };

/*
 * A range is as long as this: long enough for its readahead to reach full depth, short enough for all threads to have work until the
 * end of a model.
 */
#define RANGE_SIZE ((uint64_t)64 << 20)

unsigned tfs_readers(void)
{
	const int n = get_nprocs();

	return n < 1 ? 2 : n >= READERS_MAX ? READERS_MAX : (unsigned)n + 1;
}

int tfs_reading_open(const struct tfs_model *model, struct tfs_loader **ret_loader)
{
	const struct tfs_loader_options options = {
		.memory = tfs_memory_default(),
		.threads = TFS_THREADS_DEFAULT,
		.engine = TFS_TIER_URING,
		.prefetch = TFS_PREFETCH_AUTO,
	};
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	char line[TFS_ERROR_LINE];
	int r = tfs_loader_create(model, &options, ret_loader, &err);

	if (r)
		tfs_log_error("%s", tfs_error_line(&err, line, sizeof line));
	return r;
}

void tfs_reading_close(struct tfs_loader *l)
{
	if (!l)
		return;
	tfs_loader_stop(l);
	tfs_loader_destroy(l);
}

uint64_t tfs_body_size(const struct tfs_model *model, struct tfs_file_id id)
{
	const struct tfs_tensor *t = tfs_set_tensor(&model->sets[id.set], id.tensor);
	struct tfs_layout l;

	return t->nbytes && !tfs_view_layout(id.view, t, model->npy_align, &l) ? l.size - l.prefix : 0;
}

int tfs_reading_begin(struct tfs_reading *r, const struct tfs_model *model, struct tfs_loader *l, struct tfs_file_id id,
		      uint64_t at, uint64_t len)
{
	const uint64_t prefix = len ? tfs_file_layout(model, id).prefix : 0;

	r->stream = len ? tfs_loader_stream(l, id) : NULL;
	r->at = prefix + at;
	r->end = prefix + at + len;
	r->have = false;
	return !len || r->stream ? 0 : -ENOMEM;
}

int tfs_reading_peek(struct tfs_reading *r, const uint8_t **ret_data, size_t *ret_len)
{
	if (!r->have && r->at < r->end) {
		r->rd.offset = r->at;
		r->rd.len = r->end - r->at < TFS_STREAM_MAX_READ ? r->end - r->at : TFS_STREAM_MAX_READ;
		const int code = tfs_stream_read_wait(r->stream, &r->rd);
		if (code)
			return code;
		r->at += r->rd.len;
		r->piece = 0;
		r->used = 0;
		r->have = true;
	}
	*ret_len = r->have ? r->rd.iov[r->piece].iov_len - r->used : 0;
	*ret_data = r->have ? (const uint8_t *)r->rd.iov[r->piece].iov_base + r->used : NULL;
	return 0;
}

static void release(struct tfs_reading *r)
{
	if (r->have)
		tfs_read_release(&r->rd);
	r->have = false;
}

void tfs_reading_take(struct tfs_reading *r, size_t len)
{
	r->used += len;
	if (!r->have || r->used < r->rd.iov[r->piece].iov_len)
		return;
	r->used = 0;
	if (++r->piece == r->rd.n_iov)
		release(r);
}

void tfs_reading_end(struct tfs_reading *r)
{
	release(r);
	if (r->stream)
		tfs_stream_close(r->stream);
	r->stream = NULL;
}

int tfs_ranges_add(struct tfs_ranges *ranges, const struct tfs_model *model, struct tfs_file_id id, size_t item)
{
	const uint64_t size = tfs_body_size(model, id);
	uint64_t at = 0;

	if (!size) {
		if (tfs_array_room(ranges->ranges, ranges->n, ranges->room))
			return -ENOMEM;
		ranges->ranges[ranges->n++] = (struct tfs_range){ item, 0, 0 };
		return 0;
	}
	const struct tfs_layout l = tfs_file_layout(model, id);
	const bool in_order = l.content.ops->in_order && l.content.ops->in_order(l.content.of);
	while (at < size) {
		const uint64_t len = in_order || size - at < RANGE_SIZE + RANGE_SIZE / 2 ? size - at : RANGE_SIZE;

		if (tfs_array_room(ranges->ranges, ranges->n, ranges->room))
			return -ENOMEM;
		ranges->ranges[ranges->n++] = (struct tfs_range){ item, at, len };
		at += len;
	}
	return 0;
}

static int scan_range(struct tfs_scan *s, size_t i)
{
	const struct tfs_range *range = &s->ranges->ranges[i];
	struct tfs_reading reading;
	const uint8_t *data;
	size_t len;
	int r = tfs_reading_begin(&reading, s->model, s->loader, s->files[range->item], range->at, range->len);

	while (!r && !(r = tfs_reading_peek(&reading, &data, &len)) && len) {
		r = s->error ? -ECANCELED : s->visit(s->arg, i, data, len);
		tfs_reading_take(&reading, len);
		if (s->progress)
			tfs_progress_add(s->progress, len);
	}
	tfs_reading_end(&reading);
	return r;
}

static void scan_one(void *arg, size_t i)
{
	struct tfs_scan *s = arg;
	int none = 0, r = s->error ? -ECANCELED : scan_range(s, i);

	if (s->codes)
		s->codes[i] = r;
	else if (r)
		atomic_compare_exchange_strong(&s->error, &none, r);
}

int tfs_scan_run(struct tfs_scan *s)
{
	s->error = 0;
	tfs_parallel_for(s->ranges->n, tfs_readers(), scan_one, s);
	return s->error;
}
