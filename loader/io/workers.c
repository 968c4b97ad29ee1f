/* SPDX-License-Identifier: MIT */
#include "io/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/error.h"
#include "extract.h"

struct tfs_workers {
	struct tfs_sched *sched;
	struct tfs_sources *sources;
	struct tfs_extractor *extractor;
	void (*idle)(void *arg);
	void *idle_arg;
	unsigned n;
	pthread_t threads[];
};

/* A job's bytes, and what O_DIRECT's alignment may add at both ends. */
#define BUFFER_SIZE (TFS_CHUNK + 2 * TFS_IO_ALIGN)
/* Scratch, and then that: both begin at a huge page. */
_Static_assert(TFS_SCRATCH >= TFS_EXTRACT_SCRATCH, "the scratch is what tensors are extracted with");
#define WORKER_BUFFER (TFS_SCRATCH + BUFFER_SIZE)

/* Read, and only then look whether the file is still the one whose header told us where the bytes are. */
static int read_checked(struct tfs_workers *w, struct tfs_source *source, uint64_t offset, size_t len, void *buf,
			uint8_t **ret_data, enum tfs_read_how *ret_how, struct tfs_error *err)
{
	struct tfs_error changed = { .offset = TFS_NO_OFFSET };
	int r = tfs_source_read(source, offset, len, buf, ret_data, ret_how, err);
	int c = tfs_source_check(w->sources, source, &changed);
	if (c)
		*err = changed;
	return c ? c : r;
}

/* @memory: WORKER_BUFFER bytes; NULL: there is none. */
static void run(struct tfs_workers *w, struct tfs_job *job, uint8_t *memory)
{
	uint8_t *scratch = memory, *bounce = memory ? memory + TFS_SCRATCH : NULL;
	int codes[TFS_JOB_PARTS] = { 0 };
	struct tfs_error err = { .offset = TFS_NO_OFFSET };
	enum tfs_read_how how = TFS_READ_BUFFERED;
	struct tfs_source *source = NULL;
	uint8_t *data = NULL;

	tfs_sched_begin(w->sched, job);
	if (!job->n_parts) {
		tfs_sched_done(w->sched, job, how, codes, NULL);
		return;
	}

	const struct tfs_transfer *t = job->parts[0].t;
	void *buf = job->n_parts == 1 && t->buf ? t->buf : bounce;
	int r = 0;
	if (!buf || (t->packed && !scratch))
		r = tfs_error_set(&err, -ENOMEM, TFS_NO_OFFSET, "no memory for a read buffer of %zu bytes", WORKER_BUFFER);
	else if (t->packed)
		r = tfs_extract(w->extractor, t->packed, job->offset - t->packed->offset, job->len, buf, scratch, &data, &how,
				&err);
	else
		r = tfs_source_pin(w->sources, job->node, &source, &err);
	if (source)
		r = read_checked(w, source, job->offset, job->len, buf, &data, &how, &err);
	/* Where something in a joined read is damaged, those who are not get their bytes one by one. */
	bool each = r == -EIO && source && job->n_parts > 1;
	if (each)
		err = (struct tfs_error){ .offset = TFS_NO_OFFSET };
	for (unsigned i = 0; i < job->n_parts; i++) {
		struct tfs_job_part *p = &job->parts[i];
		struct tfs_error part_err = { .offset = TFS_NO_OFFSET };
		uint64_t offset = p->t->offset + p->at;
		codes[i] = r;
		if (each)
			codes[i] = read_checked(w, source, offset, p->len, buf, &data, &how, &part_err);
		if (!codes[i])
			codes[i] = p->t->ops->write(p->t, p->at, each ? data : data + (offset - job->offset), p->len,
						    scratch, &part_err);
		if (codes[i] && !err.code)
			err = part_err;
	}
	if (source)
		tfs_source_unpin(w->sources, source);
	tfs_sched_done(w->sched, job, how, codes, err.code ? &err : NULL);
}

static void *worker(void *arg)
{
	struct tfs_workers *w = arg;
	struct tfs_job job;
	uint8_t *memory = NULL;
	enum tfs_take take;

	while ((take = tfs_sched_take(w->sched, &job)) != TFS_TAKE_STOP) {
		if (take == TFS_TAKE_IDLE) {
			/* Nothing to do for a while: an idle mount should cost no buffers. */
			tfs_buffer_destroy(memory, WORKER_BUFFER);
			memory = NULL;
			if (w->idle)
				w->idle(w->idle_arg);
		} else if (take == TFS_TAKE_JOB) {
			if (!memory)
				memory = tfs_buffer_create(WORKER_BUFFER);
			run(w, &job, memory);
		}
	}
	tfs_buffer_destroy(memory, WORKER_BUFFER);
	return NULL;
}

int tfs_workers_start(struct tfs_sched *sched, struct tfs_sources *sources, unsigned threads, void (*idle)(void *arg),
		      void *arg, struct tfs_workers **ret_workers)
{
	struct tfs_workers *w = calloc(1, sizeof *w + threads * sizeof *w->threads);
	sigset_t all, old;

	if (!w)
		return -ENOMEM;
	w->extractor = tfs_extractor_create(sources);
	if (!w->extractor) {
		free(w);
		return -ENOMEM;
	}
	w->sched = sched;
	w->sources = sources;
	w->idle = idle;
	w->idle_arg = arg;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (w->n < threads && !pthread_create(&w->threads[w->n], NULL, worker, w))
		w->n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!w->n) {
		tfs_extractor_destroy(w->extractor);
		free(w);
		return -EAGAIN;
	}
	*ret_workers = w;
	return 0;
}

void tfs_workers_join(struct tfs_workers *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
	tfs_extractor_destroy(w->extractor);
	free(w);
}

unsigned tfs_workers_count(const struct tfs_workers *w)
{
	return w ? w->n : 0;
}
