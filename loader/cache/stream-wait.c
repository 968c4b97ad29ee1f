/* SPDX-License-Identifier: MIT */
/* Waiting for reads of streams. */
#include <pthread.h>
#include <string.h>

#include "base/file.h"
#include "cache/stream.h"

struct waiter {
	pthread_mutex_t lock; /* guards the answer */
	pthread_cond_t answered;
	bool done;
	int result;
};

static void on_answer(struct tfs_read *rd, int result)
{
	struct waiter *w = rd->waiter;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->result = result;
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
}

int tfs_stream_read_wait(struct tfs_stream *st, struct tfs_read *rd)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };

	rd->done = on_answer;
	rd->waiter = &w;
	int r = tfs_stream_read(st, rd);
	if (r == TFS_QUEUED) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.answered, &w.lock);
		r = w.result;
		pthread_mutex_unlock(&w.lock);
	}
	pthread_cond_destroy(&w.answered);
	pthread_mutex_destroy(&w.lock);
	return r;
}

/* The bytes of an answer. */
static int copy_answer(const struct tfs_read *rd, uint8_t *to)
{
	if (rd->fd >= 0)
		return tfs_file_read(rd->fd, to, rd->len, rd->offset, NULL);
	for (unsigned i = 0; i < rd->n_iov; i++) {
		memcpy(to, rd->iov[i].iov_base, rd->iov[i].iov_len);
		to += rd->iov[i].iov_len;
	}
	return 0;
}

int tfs_stream_pread(struct tfs_stream *st, void *buf, size_t len, uint64_t offset)
{
	struct tfs_read rd = { 0 };
	int r = 0;

	for (size_t done = 0; !r && done < len; done += rd.len) {
		rd.offset = offset + done;
		rd.len = len - done < TFS_STREAM_MAX_READ ? len - done : TFS_STREAM_MAX_READ;
		r = tfs_stream_read_wait(st, &rd);
		if (r)
			break;
		r = copy_answer(&rd, (uint8_t *)buf + done);
		tfs_read_release(&rd);
	}
	return r;
}
