/* SPDX-License-Identifier: MIT */
#include "base/scan.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

/* Between two looks at the time, which is a system call. */
enum { CALLS = 256 };

static uint64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void charge_time(struct tfs_share *s)
{
	uint64_t now = cpu_time(), more = now - s->since;

	s->since = now;
	more += atomic_fetch_add_explicit(&s->scan->nanoseconds, more, memory_order_relaxed);
	if ((double)more > s->scan->limits.seconds * 1e9)
		s->over = TFS_OVER_TIME;
}

void tfs_share_begin(struct tfs_share *s, struct tfs_scan_cost *scan)
{
	*s = (struct tfs_share){ .scan = scan, .since = cpu_time() };
}

/* Once it is over it stays so: nothing else of that file is worth any time. */
static int charge(struct tfs_share *s, uint64_t n)
{
	if (!(s->calls++ % CALLS))
		charge_time(s);
	if (s->over)
		return -ENOMEM;
	uint64_t used = atomic_fetch_add_explicit(&s->scan->used, n, memory_order_relaxed);
	if (used <= s->scan->limits.memory && n <= s->scan->limits.memory - used)
		return 0;
	atomic_fetch_sub_explicit(&s->scan->used, n, memory_order_relaxed);
	s->over = TFS_OVER_MEMORY;
	return -ENOMEM;
}

int tfs_share_scratch(struct tfs_share *s, uint64_t n)
{
	int r = s && s->scan ? charge(s, n) : 0;

	if (!r && s)
		s->scratch += n;
	return r;
}

int tfs_share_keep(struct tfs_share *s, uint64_t n)
{
	int r = s && s->scan ? charge(s, n) : 0;

	if (!r && s)
		s->kept += n;
	return r;
}

static void give(struct tfs_share *s, uint64_t *from, uint64_t n)
{
	if (s->scan)
		atomic_fetch_sub_explicit(&s->scan->used, n, memory_order_relaxed);
	*from -= n;
}

void tfs_share_give(struct tfs_share *s, uint64_t n)
{
	if (s)
		give(s, &s->scratch, n);
}

void tfs_share_end(struct tfs_share *s)
{
	give(s, &s->scratch, s->scratch);
	if (s->scan)
		charge_time(s);
}

void tfs_share_fini(struct tfs_share *s)
{
	give(s, &s->scratch, s->scratch);
	give(s, &s->kept, s->kept);
}
