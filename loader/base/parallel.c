/* SPDX-License-Identifier: MIT */
#include "base/parallel.h"

#include <stdatomic.h>

#include "base/thread.h"

struct loop {
	size_t n;
	_Atomic size_t next; /* relaxed: it only hands out indices; pthread_join orders what @fn wrote */
	void (*fn)(void *arg, size_t i);
	void *arg;
};

static void *run(void *arg)
{
	struct loop *loop = arg;
	size_t i;

	while ((i = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed)) < loop->n)
		loop->fn(loop->arg, i);
	return NULL;
}

void tfs_parallel_for(size_t n, unsigned threads, void (*fn)(void *arg, size_t i), void *arg)
{
	struct loop loop = { .n = n, .fn = fn, .arg = arg };
	pthread_t helpers[TFS_PARALLEL_MAX_THREADS];
	unsigned started = 0;

	if (threads > TFS_PARALLEL_MAX_THREADS)
		threads = TFS_PARALLEL_MAX_THREADS;
	if (threads > n)
		threads = n;
	while (started + 1 < threads && !tfs_thread_start(&helpers[started], "tfs-parse", run, &loop))
		started++;
	run(&loop);
	while (started)
		pthread_join(helpers[--started], NULL);
}
