/* SPDX-License-Identifier: MIT */
#include "format/window.h"

#include <assert.h>
#include <errno.h>

#include "storage/storage.h"

/* Size of the first read after a jump, doubled as long as reading is sequential. */
enum { FIRST_READ = 4096 };

void tfs_window_init(struct tfs_window *w, const struct tfs_input *in, struct tfs_error *err)
{
	w->in = in;
	w->err = err;
	w->at = 0;
	w->have = w->want = 0;
}

/* Read on from @offset, at least @len bytes, which the file has. */
static int fill(struct tfs_window *w, uint64_t offset, size_t len)
{
	uint64_t left = w->in->size - offset;
	int r;

	if (w->have && offset >= w->at && offset - w->at <= w->have)
		w->want = 2 * w->want < TFS_WINDOW ? 2 * w->want : TFS_WINDOW;
	else
		w->want = FIRST_READ;
	w->at = offset;
	w->have = w->want > len ? w->want : len;
	if (w->have > left)
		w->have = left;
	r = tfs_input_read(w->in, w->buf, w->have, offset, w->err);
	if (r)
		w->have = 0;
	return r;
}

int tfs_window_get(struct tfs_window *w, uint64_t offset, size_t len, const uint8_t **ret_bytes)
{
	uint64_t before = offset - w->at;
	int r = 0;

	assert(len <= TFS_WINDOW);
	if (offset > w->in->size || len > w->in->size - offset)
		return tfs_error_set(w->err, -EINVAL, offset, "%zu bytes of a table go past the end of the file, at %llu", len,
				     (unsigned long long)w->in->size);
	if (before > w->have || len > w->have - before) { /* before the buffer, too: the difference wraps */
		r = fill(w, offset, len);
		before = 0;
	}
	*ret_bytes = w->buf + before;
	return r;
}
